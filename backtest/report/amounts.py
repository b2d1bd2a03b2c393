"""Amounts as text: with the digits that tell them apart, however large or small an account is."""

import math

DIGITS = 4
"""Of an amount below 10."""


def money(value: float) -> str:
    """Two decimals, and more where an amount is small: a coin's account may hold 0.05 of it.

    >>> money(1234.5), money(0.0512349), money(-3e-9), money(0.0)
    ('1,234.50', '0.05123', '-3e-09', '0.00')
    """
    size = abs(value)
    if size == 0.0 or size >= 10.0:
        return f"{value:,.2f}"
    return f"{value:.{max(DIGITS - 1 - math.floor(math.log10(size)), 2)}f}" if size >= 1e-6 else f"{value:.{DIGITS}g}"


def plain(value: float) -> str:
    """A round number as it is: the label of an axis.

    >>> plain(150000.0), plain(0.05)
    ('150,000', '0.05')
    """
    return f"{value:,.10g}"
