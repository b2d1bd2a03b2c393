"""Commands over history: train, replay, verify, explain, archive, backtest, sweep."""
