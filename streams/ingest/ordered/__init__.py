"""Bars of files in time order, however many: read and judged once, kept as sorted runs, and merged."""
