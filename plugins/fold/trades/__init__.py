"""Bars folded from trades: time, tick, volume, dollar and imbalance bars, one symbol's trades in log order."""
