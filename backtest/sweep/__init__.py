"""A grid of parameters through an engine, on local processes or a cluster."""
