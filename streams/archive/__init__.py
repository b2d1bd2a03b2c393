"""Topics to Parquet, a segment at a time."""
