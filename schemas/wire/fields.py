"""Types that the messages share: times, intervals, symbols, prices."""

import math
import re
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

INTERVAL_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# All but white space, control, and what cannot be seen: soft hyphen, zero width, directions of text, tags. A class of
# what is allowed, by its ends: no escape above ff is one to Python, JavaScript, Java and RE2 alike, white space is not
# the same set to them, and a byte order mark may not stand in Go's source, where generators write the pattern.
_SYMBOL_PATTERN = (
    r"[\x21-\x7e\xa1-\xac\xae-"
    "\u061b\u061d-\u167f\u1681-\u180d\u180f-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\u2fff\u3001-\ufefe\uff00-"
    "\ufff8\ufffc-\U000dffff\U000e0080-\U0010ffff]"
)
MAX_SYMBOL = 64
_SYMBOL = re.compile(f"{_SYMBOL_PATTERN}{{1,{MAX_SYMBOL}}}")
_INTERVAL = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_MONTHS = re.compile(r"([1-9][0-9]?)M")
MONTH_MS = 2_629_746_000
"""A month of the Gregorian calendar in the mean; no interval of a fixed length is a multiple of it."""
MONTH_SLACK_MS = 5 * 43_200_000
"""Months in a row are shorter or longer than as many mean ones by less than this, whichever zone's they are."""
_THRESHOLD_PATTERN = "(tick|volume|dollar|imbalance):[0-9][0-9.e+-]{0,30}"
_THRESHOLD = re.compile(_THRESHOLD_PATTERN)
COUNTED = ("tick", "imbalance")
"""Kinds whose threshold is a whole number of trades."""


def in_days(interval: str) -> str:
    """A number of weeks as what their bars are called, days; all else as it is. A week begins where its bar does.

    >>> in_days("1w"), in_days("2w"), in_days("1h")
    ('7d', '14d', '1h')
    """
    weeks = interval.removesuffix("w")
    return f"{7 * int(weeks)}d" if weeks != interval and weeks.isdecimal() and len(weeks) < 4 else interval


def interval_ms(interval: str) -> int:
    """Length of an interval such as ``1m``, ``4h`` or ``1d`` in milliseconds; `ValueError` for anything else."""
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        more = f"; months have no one length, and {interval} is the name of their bars" if months_of(interval) else ""
        raise ValueError(
            f"{interval!r} is not an interval; write a number and s, m, h or d, such as 1m, 1h or 1d{more}"
        )
    return int(match[1]) * INTERVAL_UNITS[match[2]]


def bar_length(interval: str) -> int:
    """Length of a bar in ms; 0 where its own two times say it (`is_varying`). `ValueError` for what is no interval.

    >>> bar_length("1m"), bar_length("volume:10000"), bar_length("1M")
    (60000, 0, 0)
    """
    return 0 if is_varying(interval) else interval_ms(interval)


def months_of(interval: str) -> int:
    """How many months of the calendar a bar of that name has; 0: it is not of months.

    >>> months_of("1M"), months_of("12M"), months_of("1m")
    (1, 12, 0)
    """
    match = _MONTHS.fullmatch(interval)
    return int(match[1]) if match else 0


def is_varying(interval: str) -> bool:
    """Do bars of that name differ in length, so that each says by `open_time` and `close_time` how long it is?

    >>> is_varying("volume:10000"), is_varying("3M"), is_varying("1d")
    (True, True, False)
    """
    return has_threshold(interval) or months_of(interval) > 0


def spacing_ms(interval: str) -> int:
    """How far the closes of bars in a row are apart, of months in the mean; 0 where nobody knows.

    >>> spacing_ms("1m"), spacing_ms("1M"), spacing_ms("volume:10000")
    (60000, 2629746000, 0)
    """
    return months_of(interval) * MONTH_MS or bar_length(interval)


def are_months(opened: int, closed: int, months: int) -> bool:
    """May so many months lie between the two, in ms? Only their zone would tell exactly.

    >>> from datetime import UTC, datetime
    >>> ends = [int(datetime(2024, month, 1, tzinfo=UTC).timestamp()) * 1000 for month in (2, 3, 5)]
    >>> are_months(ends[0], ends[1], 1), are_months(ends[1], ends[2], 1), are_months(ends[1], ends[2], 2)
    (True, False, True)
    """
    return abs(closed - opened - months * MONTH_MS) < MONTH_SLACK_MS


def name_of_length(length: int) -> str:
    """Shortest name of an interval of `length` ms: ``1h`` for 3,600,000; `ValueError` unless whole seconds."""
    for unit, size in reversed(INTERVAL_UNITS.items()):
        if length > 0 and length % size == 0:
            return f"{length // size}{unit}"
    raise ValueError(f"{length} ms is no interval of whole seconds")


@lru_cache(maxsize=1024)
def canonical_interval(interval: str) -> str:
    """The shortest name of the same interval, by which bars find their strategies; what is none stays as it is.

    >>> canonical_interval("60m"), canonical_interval("24h"), canonical_interval("90m")
    ('1h', '1d', '90m')
    >>> canonical_interval("volume:1e4")
    'volume:10000'
    """
    if (size := threshold_of(interval)) is not None:
        whole = size == int(size) and size < 1e15
        return f"{interval.partition(':')[0]}:{int(size) if whole else size!r}"
    length = known_interval(interval)
    return interval if length is None else name_of_length(length)


def spellings(interval: str) -> list[str]:
    """All names of the same interval, the shortest first.

    >>> spellings("60m"), spellings("volume:1e4")
    (['1h', '60m', '3600s'], ['volume:10000'])
    """
    if is_varying(interval):
        return [canonical_interval(interval)]
    length = interval_ms(interval)
    names = (f"{length // size}{unit}" for unit, size in reversed(INTERVAL_UNITS.items()) if length % size == 0)
    return [name for name in names if _INTERVAL.fullmatch(name)]


GRID_MS = 60_000
"""Sessions begin at whole minutes: bars of 1h may open at 09:30, of 1d at any zone's midnight. By what a symbol's other
bars say, the gate holds each to its own grid (`plugins.fold.gate`).
"""


def grid_ms(length: int) -> int:
    """What the opening of every bar of an interval of `length` ms is a multiple of: a minute, or for bars of seconds
    their length where it divides one.
    """
    return math.gcd(length, GRID_MS)


FIRST_TIME, LAST_TIME = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 and 9999, in ms since the epoch, UTC. Bars of files may be older than 1970; a topic holds none of those:
the timestamp of a record cannot say so.
"""
Time = Annotated[int, Meta(ge=0, le=LAST_TIME, description="milliseconds since the epoch, UTC")]
BarTime = Annotated[
    int,
    Meta(ge=FIRST_TIME, le=LAST_TIME, description="milliseconds since the epoch, UTC; before 1970 only from files"),
]
_SYMBOL_SCHEMA = f"^{_SYMBOL_PATTERN}+$"
# msgspec would run a pattern on each record, which costs more than the rest of the decoding: `check_bar` looks at a new
# symbol or interval once
Symbol = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_SYMBOL, "pattern": _SYMBOL_SCHEMA})]
Interval = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": f"^([1-9][0-9]{{0,4}}[smhd]|[1-9][0-9]?M|{_THRESHOLD_PATTERN})$"},
        description="such as 1m, 1h, 1d or 1M (a month); of bars that trades close, and no time, volume:10000, say",
    ),
]
Price = Annotated[float, Meta(gt=0)]


@lru_cache(maxsize=1024)
def known_interval(interval: str) -> int | None:
    return interval_ms(interval) if _INTERVAL.fullmatch(interval) else None


@lru_cache(maxsize=1024)
def threshold_of(interval: str) -> float | None:
    """How much must have been traded before a bar of that name closes; None: time closes it, or there is no such name.

    >>> threshold_of("volume:1e4"), threshold_of("tick:1.5"), threshold_of("1m")
    (10000.0, None, None)
    """
    if _THRESHOLD.fullmatch(interval) is None:
        return None
    kind, _, text = interval.partition(":")
    try:
        size = float(text)
    except ValueError:
        return None
    return size if 0 < size < math.inf and (kind not in COUNTED or size == int(size)) else None


def has_threshold(interval: str) -> bool:
    """Is it the name of bars that close when enough has been traded?

    >>> has_threshold("volume:10000"), has_threshold("1m")
    (True, False)
    """
    return threshold_of(interval) is not None


@lru_cache(maxsize=65_536)
def is_symbol(symbol: str) -> bool:
    """1 to 64 characters, none of them white space, control or invisible (zero width, turning the direction of text).

    Two symbols are the same when their bytes are; nothing is normalised.
    """
    return len(symbol) <= MAX_SYMBOL and _SYMBOL.fullmatch(symbol) is not None


def symbol_fault(symbol: str) -> tuple[str, str]:
    """What is wrong with a name that `is_symbol` refuses, and the mend.

    >>> symbol_fault("BRK B"), symbol_fault("A\\u200bB")
    (('has white space', "write 'BRK.B', say"), ('has an invisible character', 'remove U+200B'))
    """
    if not symbol.strip():
        return "is empty", "name it"
    if len(symbol) > MAX_SYMBOL:
        return "is too long", f"its {len(symbol):,} characters may be {MAX_SYMBOL} at most"
    if symbol.split() != [symbol]:
        return "has white space", f"write {'.'.join(symbol.split())!r}, say"
    hidden = next(character for character in symbol if _SYMBOL.fullmatch(character) is None)
    return "has an invisible character", f"remove U+{ord(hidden):04X}"


def not_a_symbol(symbol: str) -> str:
    """The line for a name that `is_symbol` refuses.

    >>> not_a_symbol("BRK B")
    "'BRK B' is not a symbol: it has white space; write 'BRK.B', say"
    """
    return f"{symbol[:80]!r} is not a symbol: it {'; '.join(symbol_fault(symbol))}"
