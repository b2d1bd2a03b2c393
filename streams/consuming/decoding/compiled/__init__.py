"""Plain records of a declared source, many at once in compiled code."""
