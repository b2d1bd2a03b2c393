"""Times as records write them, in milliseconds since the epoch, UTC; what could be another time is refused."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from schemas.configuration.sources import TimeUse
from schemas.errors import BadRecord
from streams.ingest.normal.bar_times import SCALES
from streams.ingest.times import EARLIEST, LATEST

EPOCH = datetime(1970, 1, 1)
MINUTE = 60_000
_FRACTION = re.compile(r"([.,]\d{3})(\d+)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?([Zz]|[+-]\d\d(:?\d\d)?))?)?")
Milliseconds = Callable[[Any], int]


class Utc(int):
    """Milliseconds since the epoch, UTC, as the type of a field says."""


def reader_of(time: TimeUse, texts: bool) -> Milliseconds:
    """What makes milliseconds of a value, or raises `BadRecord` that says what to declare.

    >>> reader_of(TimeUse(unit="us"), False)(1_700_000_000_000_000)
    1700000000000
    >>> reader_of(TimeUse(zone="America/New_York"), False)("2024-03-08 09:30")
    1709908200000
    """
    known: dict[str, int] = {}

    def read(value: Any) -> int:
        if type(value) is Utc:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return _of_number(value, time)
        if isinstance(value, str):
            if (found := known.get(value)) is None:
                found = _of_text(value, time, texts)
                if len(known) >= 4096:
                    known.clear()
                known[value] = found
            return found
        if isinstance(value, datetime):
            return _of_datetime(value, time)
        if isinstance(value, date):
            return _of_wall(datetime(value.year, value.month, value.day), time)
        if isinstance(value, float | Decimal) and value == value // 1:  # a whole number, as JavaScript may write it
            return _of_number(int(value), time)
        raise BadRecord("invalid", f"its time {_shown(value)} is none")

    return read


def end_of(time: int, length: int | None) -> int:
    """The end of a bar that is said as its last second or millisecond, 23:59:59.999, as what it is."""
    if length is None:
        return time
    if length % MINUTE == 0:
        return -(-time // MINUTE) * MINUTE if time % MINUTE >= MINUTE - 1000 else time
    return -(-time // 1000) * 1000 if time % 1000 == 999 else time


def _of_number(value: int, time: TimeUse) -> int:
    if not time.unit:
        raise BadRecord(
            "invalid", f"its time {value} is a number: declare time: {{unit: ms}}, s, us or ns, in the source"
        )
    fits = [
        unit for unit in time.unit if len(time.unit) == 1 or EARLIEST <= abs(value) * SCALES[unit] // 10**6 <= LATEST
    ]
    if not fits:
        raise BadRecord("invalid", f"its time {value} is none in {' or '.join(time.unit)} since the epoch")
    milliseconds, rest = divmod(value * SCALES[fits[0]], 10**6)
    if rest:
        raise BadRecord("invalid", f"its time {value} {fits[0]} is not at a whole millisecond")
    if time.wall:
        return _of_wall(EPOCH + timedelta(milliseconds=_within(milliseconds, value)), time)
    return milliseconds


def _within(milliseconds: int, value: Any) -> int:
    if abs(milliseconds) > LATEST:
        raise BadRecord("invalid", f"its time {_shown(value)} is beyond the year 2499")
    return milliseconds


def _of_text(value: str, time: TimeUse, texts: bool) -> int:
    text = value.strip()
    if time.format is None and re.fullmatch(r"-?\d{1,20}", text):
        if not texts:
            raise BadRecord("invalid", f"its time is the text {_shown(value)}: declare texts: true in the source")
        return _of_number(int(text), time)
    try:
        return _of_datetime(_parsed(text, time.format), time)
    except ValueError:
        wanted = time.format or "2013-10-04T14:30:00Z"
        raise BadRecord("invalid", f"its time {_shown(value)} is not written as {wanted}") from None


def _parsed(text: str, form: str | None) -> datetime:
    if form is not None:
        return datetime.strptime(text, form)
    if not _ISO.fullmatch(text):
        raise ValueError(text)
    cut = _FRACTION.search(text)
    if cut and cut[2].strip("0"):
        raise BadRecord("invalid", f"its time {text} is not at a whole millisecond")
    plain = _FRACTION.sub(r"\1", text).replace(",", ".").replace(" ", "T", 1).replace(" ", "")
    return datetime.fromisoformat(plain.upper())


def _of_datetime(value: datetime, time: TimeUse) -> int:
    if value.microsecond % 1000:
        raise BadRecord("invalid", f"its time {value} is not at a whole millisecond")
    if value.tzinfo is None:
        return _of_wall(value, time)
    return (value.astimezone(UTC).replace(tzinfo=None) - EPOCH) // timedelta(milliseconds=1)


def _of_wall(wall: datetime, time: TimeUse) -> int:
    if time.zone is None:
        raise BadRecord(
            "invalid", f"its time {wall} has no zone: declare time: {{zone: UTC}}, or another, in the source"
        )
    zone = ZoneInfo(time.zone)
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first != second:
        raise BadRecord(
            "invalid", f"its time {wall} is of an hour that the clock of {time.zone} has twice or not at all"
        )
    return (wall - (first or timedelta()) - EPOCH) // timedelta(milliseconds=1)


def _shown(value: Any) -> str:
    return repr(value)[:80]
