"""What steps over a ring of values share: moments, scores, sorted windows, percentiles.

Plain functions, compiled with the steps that call them. Sums go from the oldest value to the newest and relative to
the oldest: equal values then have a deviation of exactly zero, and the bits depend on the window alone, not on where
the ring happens to begin. NaN stands for a value that is not known, and is passed over.
"""

import math
from typing import Any

Moments = tuple[int, float, float, float]


def moments(ring: Any, first: int, length: int) -> Moments:
    """Of the `length` values of `ring` from place `first` on: how many are known, the oldest of them, their mean minus
    that oldest one, and the sum of their squared distances from the mean.
    """
    size = len(ring)
    known = 0
    oldest = math.nan
    mean = 0.0
    place = first
    for _ in range(length):
        value = ring[place]
        if value == value:
            if known == 0:
                oldest = value
            mean += value - oldest
            known += 1
        place = place + 1 if place + 1 < size else 0
    squares = 0.0
    if known > 0:
        mean /= known
        place = first
        for _ in range(length):
            value = ring[place]
            if value == value:
                distance = value - oldest - mean
                squares += distance * distance
            place = place + 1 if place + 1 < size else 0
    return known, oldest, mean, squares


def score(ring: Any, first: int, length: int, value: float) -> float:
    """`value`'s distance from the mean of those values in sample standard deviations; NaN where these are fewer than
    two, or all equal.
    """
    known, oldest, mean, squares = moments(ring, first, length)
    if known > 1 and squares > 0.0:
        return (value - oldest - mean) / math.sqrt(squares / (known - 1))
    return math.nan


def sorted_insert(values: Any, count: int, value: float) -> None:
    """Put `value` among the `count` ascending ones that `values` begins with."""
    place = count
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        place -= 1
    values[place] = value


def sorted_replace(values: Any, count: int, old: float, new: float) -> None:
    """Put `new` in the place of `old`, which is one of the `count` ascending values."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if values[middle] < old:
            low = middle + 1
        else:
            high = middle
    while low + 1 < count and values[low + 1] < new:
        values[low] = values[low + 1]
        low += 1
    while low > 0 and values[low - 1] > new:
        values[low] = values[low - 1]
        low -= 1
    values[low] = new


def percentile(values: Any, count: int, percent: float) -> float:
    """Of `count` ascending values, by linear interpolation: ``numpy.percentile``, to the bit (hence two forms)."""
    position = (count - 1) * (percent / 100.0)
    below = int(position)
    above = min(below + 1, count - 1)
    part = position - below
    step = values[above] - values[below]
    if part >= 0.5:
        return values[above] - step * (1.0 - part)  # type: ignore[no-any-return]
    return values[below] + step * part  # type: ignore[no-any-return]
