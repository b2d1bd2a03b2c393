"""Columns of times as people write them: datetimes, ISO 8601, compact numbers, or milliseconds since the epoch; UTC.

A bar's time is its start, and a date alone is the start of its day (`streams.ingest.normal.bar_times`). What is
published on a day may be published at its end, so a date alone counts from there: `published_in`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.wire import FIRST_TIME
from streams.ingest.row_places import row_places

EARLIEST, LATEST = 100_000_000_000, 16_725_225_599_999
"""Milliseconds in 1973 and at the end of 2499: yyyymmddhhmmss as a number is beyond."""
YEAR = 366 * 86_400_000
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Digits of a time without separators → how it is read."""
YEARS = (1900, 2199)
"""What may be the year of a compact time: 12 digits could be milliseconds, too."""
_DATE = r"\d{4}-?\d\d-?\d\d"
_ZONE = r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)"
_MIDNIGHT = rf"{_DATE}(?:[Tt ]00:?00(?::?00(?:\.0+)?)? ?{_ZONE}?)?"
Mask = NDArray[np.bool_]
Milliseconds = NDArray[np.int64]


@dataclass(frozen=True)
class Clock:
    """Times as they were written."""

    wall: "pd.Series[Any]"
    """In UTC where `fixed`, else by the clock of a zone that the column does not name."""
    fixed: Mask
    """Which of them are UTC whatever zone is declared."""
    dates: Mask
    """Which of them are days without a time."""


def published_in(
    path: Path, raw: pd.DataFrame, name: str, zone: str = "UTC", exact: bool = False
) -> tuple[Milliseconds, Mask, Mask]:
    """When what stands in each row was known: ms, which rows have no time, and which have a date alone.

    Clock times are of `zone` unless they say otherwise; of an hour that comes twice the second is taken. A date alone
    is the end of its day there. Where a whole column is at midnight these are dates, too, however they were written
    (`exact`: they are not, since the column says when something was there to be read).

    Raises
    ------
    ConfigurationError
        For a column that holds no times, or numbers that are none.
    """
    column = _pandas_own(raw[name])
    clock = clock_of(path, name, column)
    dates = clock.dates if exact else clock.dates | _all_at_midnight(column, clock)
    ends = _day_ends(column, clock, dates, zone)
    local = _localized(clock.wall, zone).where(~clock.fixed, clock.wall)
    utc = local.where(~dates, ends)
    return _milliseconds(utc), utc.isna().to_numpy(), dates


def check_dates(path: Path, name: str, raw: pd.DataFrame, unknown: Mask, dates: Mask, use: str) -> None:
    """`ConfigurationError` for a date without a time in a column of times, unless `use` says what it means
    (``news.dates``).
    """
    if use == "refuse" and dates.any() and not (dates | unknown).all():
        row = int(np.flatnonzero(dates)[0])
        place = f"{row_places(path, [row])[0]}: {raw[name].iloc[row]}"
        raise ConfigurationError(
            f"{path}: column {name} holds times, and in {int(dates.sum())} rows a date alone ({place}); write the time,"
            " or declare news: {dates: end_of_day}: it counts from there then"
        )


def dates_note(dates: int, zone: str) -> dict[str, str]:
    """What is said of dates that count from the end of their day."""
    return {f"{dates} dates without a time": f"the end of their day in {zone} (news.timezone)"} if dates else {}


def _pandas_own(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Timestamps of Arrow's type as pandas' own, which knows hours that come twice."""
    if not (isinstance(column.dtype, pd.ArrowDtype) and pd.api.types.is_datetime64_any_dtype(column)):
        return column
    aware = column.dt.tz is not None
    times = pd.Series(pd.to_datetime(column.tolist(), utc=aware), column.index)
    return times.dt.tz_convert(str(column.dt.tz)) if aware else times


def clock_of(path: Path, name: str, column: "pd.Series[Any]", compact: bool = True) -> Clock:
    """The times of a column. `compact`: numbers such as 20240308153000 are times; else they are refused."""
    column = _pandas_own(column)
    none = np.zeros(len(column), np.bool_)
    if pd.api.types.is_datetime64_any_dtype(column):
        aware = column.dt.tz is not None
        clock = Clock(_without_zone(column), np.full(len(column), aware), none)
    elif pd.api.types.is_numeric_dtype(column):
        clock = _of_numbers(path, name, column, compact)
    else:
        clock = _of_texts(path, name, column.astype(str).str.strip(), compact)
    if len(column) and clock.wall.isna().all():
        seen = column.iloc[0]
        raise ConfigurationError(
            f"{path}: column {name} holds {seen!r}, which is no time such as 2013-10-04T14:30:00Z; for another"
            f" writing declare time: {{columns: {name}, format: '%d/%m/%Y'}}, say"
        )
    return clock


def _of_texts(path: Path, name: str, texts: "pd.Series[Any]", allowed: bool) -> Clock:
    numbers = pd.to_numeric(texts, errors="coerce")
    digits = numbers.notna().to_numpy()
    if digits.all():
        return _of_numbers(path, name, numbers, allowed)
    wall = pd.to_datetime(texts.where(~digits), format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    # pandas reads 2024-03 as its first day; whether it is a month's start or end is not ours to guess
    wall = wall.where(~texts.str.fullmatch(r"\d{4}-\d\d"))
    fixed = texts.str.fullmatch(rf"{_DATE}[Tt ].*{_ZONE}").to_numpy(np.bool_)
    dates = texts.str.fullmatch(_DATE).to_numpy(np.bool_)
    if not digits.any():
        return Clock(wall, fixed, dates)
    others = _of_numbers(path, name, numbers, allowed)
    return Clock(wall.where(~digits, others.wall), fixed | (digits & others.fixed), dates | (digits & others.dates))


def _of_numbers(path: Path, name: str, numbers: "pd.Series[Any]", allowed: bool) -> Clock:
    """Milliseconds, or times written without separators; never a mixture."""
    values = numbers.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(values)
    whole = pd.Series(np.where(known, values, 0), numbers.index)
    compact = _compact(whole[known])
    if compact is not None and not allowed:
        seen = int(whole[known].iloc[0])
        raise ConfigurationError(
            f"{path}: column {name} holds {seen}, which reads as a calendar date; declare time: {{columns: {name},"
            f" format: '{COMPACT.get(len(str(seen)), '%Y%m%d')}'}}, or a unit where it is a number since the epoch"
        )
    if compact is not None:
        dates = known & (whole.to_numpy() < 10**8)
        return Clock(compact.reindex(numbers.index), np.zeros(len(values), np.bool_), dates)
    wrong = _no_milliseconds(values[known])
    if wrong is not None and abs(wrong) < EARLIEST:
        raise ConfigurationError(
            f"{path}: column {name} holds {wrong:.0f}, which could be {_shown(wrong)} in milliseconds since the epoch,"
            f" {_shown(1000 * wrong)} in seconds, or no time at all; convert it, or write ISO 8601"
        )
    if wrong is not None:
        raise ConfigurationError(
            f"{path}: column {name} holds {wrong:.0f}, which is no time in milliseconds since the epoch, and not all of"
            " the column is yyyymmddhhmmss; declare time: {unit: s}, us or ns where it is so, or write ISO 8601"
        )
    times = pd.Series(whole.to_numpy().astype(np.int64).astype("datetime64[ms]"), numbers.index)
    return Clock(times.where(known), known, np.zeros(len(values), np.bool_))


def _shown(milliseconds: float) -> str:
    return str(np.datetime64(int(milliseconds), "ms").astype("datetime64[s]")).replace("T", " ")


def _no_milliseconds(values: NDArray[np.float64]) -> float | None:
    """One of `values` that makes no sense as milliseconds; None where all do.

    Seconds are below what milliseconds were in 1973, microseconds and nanoseconds beyond those of 2499. Milliseconds of
    the years around 1970 are small, too: they are believed where the column goes on from them to larger ones (before
    1967 or after 1973) with no year between. A 0 that stands for nothing has no such neighbours.
    """
    beyond = (values > LATEST) | (values < FIRST_TIME)
    small = np.abs(values) < EARLIEST
    if beyond.any() or (small.any() and small.all()):
        return float(values[beyond | small][0])
    ordered = np.unique(values)
    near = np.abs(ordered) < EARLIEST
    lonely = (np.diff(ordered) > YEAR) & (near[1:] | near[:-1])
    return float(values[small][0]) if lonely.any() else None


def _compact(numbers: "pd.Series[Any]") -> "pd.Series[Any] | None":
    """The times that all of `numbers` write, such as 20240308153000; None where one writes none."""
    if not len(numbers) or numbers.min() < 10**7 or numbers.max() >= 10**14 or (numbers % 1 != 0).any():
        return None
    texts = numbers.astype(np.int64).astype(str)
    times = pd.Series(pd.NaT, texts.index, dtype="datetime64[ms]")
    for digits, form in COMPACT.items():
        own = texts[texts.str.len() == digits]
        times[own.index] = pd.to_datetime(own, format=form, errors="coerce").dt.as_unit("ms")
    return times if times.dt.year.between(*YEARS).all() else None


def _all_at_midnight(column: "pd.Series[Any]", clock: Clock) -> Mask:
    """All rows, where each time is a midnight: of several days, or of a type that has no date without a time."""
    known = clock.wall.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column):
        walls = column.dt.tz_localize(None)
        midnight, enough = (walls == walls.dt.normalize())[known], 1
    elif pd.api.types.is_numeric_dtype(column):
        midnight, enough = (clock.wall == clock.wall.dt.normalize())[known], 2
    else:
        midnight, enough = column.astype(str).str.strip().str.fullmatch(_MIDNIGHT)[known], 2
    return known & bool(midnight.all() and clock.wall[known].nunique() >= enough)


def _day_ends(column: "pd.Series[Any]", clock: Clock, dates: Mask, zone: str) -> "pd.Series[Any]":
    """The end of each day of `dates` in UTC: in `zone`, and not before it ends where the column itself is."""
    if pd.api.types.is_datetime64_any_dtype(column) and column.dt.tz is not None:
        days = column.dt.tz_localize(None).where(dates) + pd.Timedelta(days=1)
        own = _without_zone(days.dt.tz_localize(column.dt.tz, ambiguous="NaT", nonexistent="shift_forward"))
        return pd.concat([own, _localized(days, zone)], axis=1).max(axis=1)
    return _localized(clock.wall.dt.normalize().where(dates) + pd.Timedelta(days=1), zone)


def _localized(wall: "pd.Series[Any]", zone: str) -> "pd.Series[Any]":
    second = np.zeros(len(wall), np.bool_)  # of an hour that comes twice, winter time
    return _without_zone(wall.dt.tz_localize(zone, ambiguous=second, nonexistent="shift_forward"))


def _without_zone(times: "pd.Series[Any]") -> "pd.Series[Any]":
    return times if times.dt.tz is None else times.dt.tz_convert("UTC").dt.tz_localize(None)


def _milliseconds(times: "pd.Series[Any]") -> Milliseconds:
    return np.asarray(times.fillna(pd.Timestamp(0)).dt.as_unit("ms").to_numpy(), "datetime64[ms]").view(np.int64)
