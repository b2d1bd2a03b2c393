"""Checks of backtest engines."""
