"""Words for the length of bars, as exchanges and terminals write them."""

import re

from schemas.wire import canonical_interval, in_days, months_of

_UNITS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "m": "m", "t": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "h": "h", "hr": "h", "hour": "h", "hours": "h",
    "d": "d", "day": "d", "days": "d",
    "w": "w", "wk": "w", "week": "w", "weeks": "w",
    "mo": "M", "mon": "M", "month": "M", "months": "M", "mn": "M",
    "q": "Q", "quarter": "Q", "quarters": "Q", "y": "Y", "yr": "Y", "year": "Y", "years": "Y",
}  # fmt: skip
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_WORDS = {
    "monthly": "1M",
    "month": "1M",
    "quarterly": "3M",
    "quarter": "3M",
    "yearly": "12M",
    "annual": "12M",
    "year": "12M",
    "weekly": "1w",
    "week": "1w",
    "w": "1w",
    "daily": "1d",
    "day": "1d",
    "d": "1d",
    "minute": "1m",
    "hourly": "1h",
    "hour": "1h",
    "minutely": "1m",
}


def known_name(text: str) -> str:
    """The interval that a word means; what means none, or several (60: minutes or seconds?), stays as it is.

    >>> [known_name(text) for text in ("1min", "M1", "H4", "1-MINUTE", "5T", "D", "daily", "60", "1M", "1wk")]
    ['1m', '1m', '4h', '1m', '5m', '1d', '1d', '60', '1M', '7d']
    >>> [known_name(text) for text in ("1mo", "MN1", "monthly", "3M", "1y", "Q1")]
    ['1M', '1M', '1M', '3M', '12M', 'Q1']
    """
    if months_of(text) or text.isdigit():
        return text
    low = text.lower()
    if low in _WORDS:
        return in_days(_WORDS[low])
    before, after = re.fullmatch(r"(\d+)[-_ ]?([a-z]+)", low), re.fullmatch(r"(mn|[mhdw])(\d+)", low)
    number, unit = (before[1], before[2]) if before else (after[2], after[1]) if after else ("", "")
    if (months := _MONTHS.get(_UNITS.get(unit, ""))) and int(number):
        return f"{int(number) * months}M"
    return (
        canonical_interval(in_days(f"{int(number)}{_UNITS[unit]}"))
        if unit in _UNITS and int(number)
        else canonical_interval(text)
    )
