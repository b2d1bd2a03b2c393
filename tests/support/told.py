"""What tests have to tell at the end of the run, also those that ran in another process."""

from collections import Counter

ROWS: list[str] = []
"""The table of clean and faulty plugins."""
TRIED: Counter[str] = Counter()
"""Inputs that each decoder got."""


def told() -> tuple[list[str], dict[str, int]]:
    return list(ROWS), dict(TRIED)


def hear(rows: list[str], tried: dict[str, int]) -> None:
    """What another process told."""
    ROWS.extend(rows)
    TRIED.update(tried)
