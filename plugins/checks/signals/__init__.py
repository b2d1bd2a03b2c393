"""Checks of signal generators."""
