"""What a table means: its columns, times and values as bars, and the doubts that a declaration settles."""
