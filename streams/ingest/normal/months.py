"""Bars of months: from when to when each lasts, by the calendar of a zone.

A file stamps a month with its first day, its first or last day of trading, or its end. Of one month all of these lie in
it, so no stamp leaves a doubt; of several months the end is declared.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from schemas.wire import months_of, spacing_ms
from streams.ingest.normal.bar_times import Mask, Milliseconds, Stamps, ends_of
from streams.ingest.normal.spacing import MEND
from streams.ingest.reading.tables import Table

DAY_MS = 86_400_000
BEGINS, ENDS = 10, 20
"""A market may rest for the first week of a month and for the last (New Year of China): the last day that may be the
first one of trading, and the first that may be the last.
"""


def month_counts(intervals: "pd.Series[Any]") -> NDArray[np.int64]:
    """How many months the bar of each row has; 0: it is not of months."""
    names = intervals.cat
    return np.array([months_of(name) for name in names.categories], np.int64)[names.codes.to_numpy()]


def spans(
    table: Table, name: str | None, found: Stamps, months: NDArray[np.int64]
) -> tuple[Milliseconds, Milliseconds, dict[str, Mask]]:
    """Starts and ends in ms, and which rows have none, by the reason; `name` of the column of times.

    Raises
    ------
    ConfigurationError
        For a time of day without a zone, and bars of several months whose stamps may be ends.
    """
    time = table.source.time
    zone = time.zone or _zone_of(table, name)
    wall, known = _local(found, zone), found.wall.notna().to_numpy()
    if time.stamp == "end":
        wall = ends_of(wall)
    if zone is None:
        _check_midnight(table, name, wall, known & ~found.dates)
    if time.stamp == "end":
        wall = wall - pd.Timedelta(milliseconds=1)
    days = wall.dt.day.fillna(1).to_numpy(np.int64)
    late, several = days >= ENDS, months > 1
    if time.stamp != "end" and (known & several & late).any():
        raise ConfigurationError(
            f"{table.piece}: its bars of {months.max()}M are stamped on days such as {_day(wall[known & late])}, which"
            " may be their last: declare time: {stamp: end}"
        )
    between = (days > BEGINS) & ~late if time.stamp != "end" else ~late
    first = wall.fillna(pd.Timestamp(0)).to_numpy().astype("datetime64[M]").astype(np.int64)
    first = first - np.where(late & several, months - 1, 0)
    faults = {"without a time": ~known, "of months, and stamped neither at their start nor at their end": between}
    return _instants(first, zone), _instants(first + months, zone), faults


def _zone_of(table: Table, name: str | None) -> str | None:
    """That of a column whose type has one."""
    kind = table.frame[name].dtype if name else None
    zone = getattr(kind, "tz", None)
    return str(zone) if zone is not None and "/" in str(zone) else None


def _local(found: Stamps, zone: str | None) -> "pd.Series[Any]":
    """By the clock of the zone; UTC where there is none."""
    if zone is None:
        return found.wall
    own = found.wall.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    local: pd.Series[Any] = own.where(~pd.Series(found.naive, own.index), found.wall)
    return local


def _check_midnight(table: Table, name: str | None, wall: "pd.Series[Any]", timed: Mask) -> None:
    """Fifteen hours after noon in London it is another month in Tokyo."""
    off = timed & (wall != wall.dt.normalize()).to_numpy()
    if off.any():
        numeric = name is not None and pd.api.types.is_numeric_dtype(table.frame[name])
        raise ConfigurationError(
            f"{table.piece}: its bars of months are stamped at times such as {wall[off].iloc[0]}, and whose midnight"
            f" begins a month is not said; declare time: {{{'unit: ms, ' if numeric else ''}zone: America/New_York}},"
            " say, or zone: UTC"
        )


def _day(wall: "pd.Series[Any]") -> str:
    return str(wall.iloc[0].date())


def _instants(numbers: NDArray[np.int64], zone: str | None) -> Milliseconds:
    """The midnights that begin months (1970-01: 0), in ms."""
    starts = pd.Series(numbers.astype("datetime64[M]").astype("datetime64[ms]"))
    local = starts.dt.tz_localize(zone or "UTC", ambiguous=np.ones(len(starts), np.bool_), nonexistent="shift_forward")
    utc = local.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("ms").to_numpy()
    return np.asarray(utc, "datetime64[ms]").view(np.int64)


def check_months(table: Table, frame: pd.DataFrame, stamps: "pd.Series[Any]") -> None:
    """`ConfigurationError` where the bars lie in one month, or never in months that follow each other."""
    for rows in frame.groupby(["symbol", "interval"], observed=True, sort=False).indices.values():
        symbol, interval = (str(frame[name].iloc[rows[0]]) for name in ("symbol", "interval"))
        apart = np.rint(np.diff(np.sort(frame["close_time"].to_numpy()[rows])) / spacing_ms(interval))
        usual = np.diff(np.sort(stamps.to_numpy("datetime64[ms]").view(np.int64)[rows]))
        longer = table.whole and len(apart) > 1 and apart.min() > 1
        if longer or 2 * int((apart < 1).sum()) > len(apart):
            raise ConfigurationError(
                f"{table.piece}: bars of {symbol} are {np.median(usual) / DAY_MS:.0f} days apart, so they are no"
                f" {interval} bars; {MEND}"
            )
