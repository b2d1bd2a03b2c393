"""Where a command's bars and news come from: the log, an archive, or files."""
