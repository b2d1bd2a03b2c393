"""Replay, verification and backtests over the bars that a worker would have seen."""
