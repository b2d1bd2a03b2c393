"""Strategies that decide about all symbols at once: predictions in, closings, one signal a symbol out."""
