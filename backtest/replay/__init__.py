"""Signals recomputed from history by the pipeline that runs live."""
