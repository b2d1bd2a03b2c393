"""A running sum that is exact, so that it does not matter in which order, or over how many lives, it was added up.

Source: J. R. Shewchuk, Adaptive Precision Floating-Point Arithmetic (1997): the sum is kept as floats that do not
overlap. `math.fsum` does the same for values that are all there.
"""

import math


class ExactSum:
    """
    >>> total = ExactSum()
    >>> for _ in range(10):
    ...     total.add(0.1)
    >>> total.value
    1.0
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, value: float) -> None:
        kept = 0
        for part in self._parts:
            if abs(value) < abs(part):
                value, part = part, value
            high = value + part
            low = part - (high - value)
            if low:
                self._parts[kept] = low
                kept += 1
            value = high
        self._parts[kept:] = [value]

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return math.fsum(self._parts)
