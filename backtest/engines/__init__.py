"""A backtest: a strategy's signals through backtest engines, to a folder; two of them side by side."""
