"""The parts of the report of a backtest, each HTML out of an outcome."""
