"""From fills to frames and metrics: one code for all engines."""
