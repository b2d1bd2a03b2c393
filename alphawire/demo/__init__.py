"""``alphawire demo``: all of it on real bars.

`bars.parquet` and `strategy.yaml` here are links to the files in `examples`; a wheel holds their content.
"""
