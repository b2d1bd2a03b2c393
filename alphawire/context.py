"""What the options of a command leave for others in click's ``Context.meta``; without a library, so that ``--help`` is
quick.
"""

FOLDER = "alphawire.folder"
"""Where the configuration lies: the current folder when there is none."""
FILE = "alphawire.file"
"""The configuration's file; None when there is none."""
OUTPUT = "alphawire.output"
"""With ``--json``: the file that leads to standard output, for the command's answer alone."""
