"""Owners of partitions of `trades`: trades in, bars out."""
