"""Checks of features."""
