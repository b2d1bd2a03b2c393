"""Checks run in a process of their own, with a deadline; what a plugin reaches for outside."""
