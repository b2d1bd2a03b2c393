"""The report of a backtest: one HTML page that fetches nothing. Runs no engine."""
