"""What a result is made of: drawdowns, trades, costs, regimes, predictions. Numbers only; nothing here draws."""
