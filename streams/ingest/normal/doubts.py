"""Doubts about bars that a line of their source settles: whose clock, which end, which of two rows.

None of these can be told from one row, and each would be wrong in silence; what is asked for is one line.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from schemas.wire import is_varying
from streams.ingest.normal.columns import Columns
from streams.ingest.reading.tables import Table

DAY, MINUTE = 86_400_000, 60_000
OPENINGS = {
    "04:00": "America/New_York", "08:30": "America/Chicago", "09:00": "Europe/Berlin", "09:15": "Asia/Kolkata",
    "09:30": "America/New_York", "10:00": "Australia/Sydney",
}  # fmt: skip
"""When markets open by their own clocks, and none does by UTC's → a zone that such a file may be of."""
Mask = NDArray[np.bool_]


def check_clock(table: Table, frame: pd.DataFrame, naive: Mask, dates: Mask) -> None:
    """`ConfigurationError` for clock times that may be another zone's, and for stamps that may be the bars' ends."""
    if not len(frame):
        return
    length = int((frame["close_time"] - frame["open_time"]).iloc[0])
    if length >= DAY:
        return
    starts = np.sort(frame["open_time"].to_numpy())
    first, _ = _edges(starts)
    time = table.source.time
    if time.zone is None and naive.all() and not dates.all():
        _check_zone(table, starts, first)
    if time.stamp is None and length <= 30 * MINUTE and not is_varying(str(frame["interval"].iloc[0])):
        _check_stamp(table, frame, length)


def _edges(starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last time of each day, since its midnight."""
    days = starts // DAY
    begins = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    ends = np.append(begins[1:] - 1, len(starts) - 1)
    return starts[begins] % DAY, starts[ends] % DAY


def _check_zone(table: Table, starts: NDArray[np.int64], first: NDArray[np.int64]) -> None:
    market = table.source.market
    named = ", ".join(table.source.time.columns) or "its times"
    if market not in (None, "24/7", "auto"):
        raise ConfigurationError(
            f"{table.piece}: {named} name no zone, and the market {market} is not on UTC; declare time: {{zone: …}},"
            " such as America/New_York, or UTC"
        )
    at = f"{first[0] // 3_600_000:02d}:{first[0] // MINUTE % 60:02d}"
    daily = OPENINGS.get(at) if (first == first[0]).all() and len(starts) > 4 else None
    zone, seen = daily or _week(starts), f"each day begins at {at}" if daily else "its weeks begin as one's do"
    if zone:
        raise ConfigurationError(
            f"{table.piece}: {named} name no zone, and look like a market's own clock ({seen});"
            f" declare time: {{zone: {zone}}}, or zone: UTC"
        )


def _week(starts: NDArray[np.int64]) -> str | None:
    """Weeks of a market without nights: from Sunday 17:00 or 18:00 by New York's clock, Monday 00:00 by a broker's."""
    gaps = np.flatnonzero(np.diff(starts) > 1.5 * DAY)
    begins = starts[gaps + 1]
    if not len(begins) or len(starts) < 100:
        return None
    weekday, of_day = (begins // DAY + 3) % 7, begins % DAY
    hours = of_day // 3_600_000
    if bool(((weekday == 6) & np.isin(hours, (17, 18)) & (of_day % 3_600_000 < 10 * MINUTE)).all()):
        return "America/New_York"
    last = starts[gaps]
    whole = bool(
        (
            (weekday == 0) & (of_day < 10 * MINUTE) & ((last // DAY + 3) % 7 == 4) & (last % DAY > 23 * 3_600_000 - 1)
        ).all()
    )
    return "Europe/Athens" if whole else None


def _check_stamp(table: Table, frame: pd.DataFrame, length: int) -> None:
    """Sessions begin at whole half hours: a first stamp one interval later, each day, is an end."""
    for symbol, rows in frame.groupby("symbol", observed=True, sort=False).indices.items():
        first, last = _edges(np.sort(frame["open_time"].to_numpy()[rows]))
        late = first % (30 * MINUTE) == length % (30 * MINUTE) if length < 30 * MINUTE else first % (60 * MINUTE) == 0
        enough = len(rows) > 4 and (len(first) > 1 or last[0] % (30 * MINUTE) == 0)
        if length < 30 * MINUTE and late.all() and enough:
            at = f"{first[0] // 3_600_000:02d}:{first[0] // MINUTE % 60:02d}"
            raise ConfigurationError(
                f"{table.piece}: the first bar of {symbol} is stamped {at}, one interval after a session's beginning,"
                " as where ends are stamped; declare time: {stamp: end}, or stamp: start"
            )


def distinct_rows(table: Table, columns: Columns, frame: pd.DataFrame) -> pd.DataFrame:
    """`ConfigurationError` for two rows of one symbol and time with other values, unless which counts is declared."""
    keys, use = ["symbol", "interval", "open_time"], table.source.repeated
    twice = frame.duplicated(keys, keep=False)
    if not twice.any() or use == "all":
        return frame
    differing = frame[twice & ~frame.duplicated([*keys, *COLUMNS], keep=False)]
    if not len(differing):
        return frame
    if use != "refuse":
        return frame.drop_duplicates(keys, keep=use)
    row = differing.iloc[0]
    rows = frame.index[(frame["symbol"] == row["symbol"]) & (frame["open_time"] == row["open_time"])]
    raw = table.frame.loc[rows]
    others = [name for name in raw.columns if name not in columns.used and raw[name].nunique() > 1]
    raise ConfigurationError(_conflict(table, columns, row, others))


def _conflict(table: Table, columns: Columns, row: "pd.Series[Any]", others: Sequence[str]) -> str:
    by = columns.symbol[0] if columns.symbol else "symbol"
    apart = f"columns: {{symbol: [{by}, {others[0]}]}}, or only: {{{others[0]}: …}}, or " if others else ""
    seen = f"; they differ in {', '.join(others[:4])}" if others else ""
    return (
        f"{table.piece}: has two bars of {row['symbol']} at {_at(row)} with other values{seen};"
        f" declare {apart}repeated: last"
        " (first, or all as corrections)"
    )


def once(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The bars of several files: `ConfigurationError` for two of one symbol and time with other values, unless which
    of them counts is declared.
    """
    keys = ["symbol", "interval", "open_time"]
    twice = frame[frame.duplicated(keys, keep=False)] if source.repeated != "all" else frame[:0]
    differing = twice[~twice.duplicated([*keys, *COLUMNS], keep=False)]
    if not len(differing):
        return frame
    if source.repeated == "first" or source.repeated == "last":
        return frame.drop_duplicates(keys, keep=source.repeated)
    row = differing.iloc[0]
    raise ConfigurationError(
        f"{row['symbol']} has two bars at {_at(row)} with other values, in two files (or far apart in one); declare a"
        " source for each, or repeated: last (first, or all as corrections)"
    )


def _at(row: "pd.Series[Any]") -> str:
    return pd.Timestamp(int(row["open_time"]), unit="ms", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


class Scales:
    """What the prices of each symbol are about, by the first rows of each file."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def take(self, name: str, part: pd.DataFrame) -> None:
        """Bars of the file `name`: `ConfigurationError` where they are off by a power of ten from another file's."""
        if not len(part):
            return
        for symbol, close in part.groupby("symbol", observed=True, sort=False)["close"].median().items():
            file, other = self._seen.setdefault(str(symbol), (name, float(close)))
            power = np.log10(close / other)
            if file != name and abs(power) > 0.9 and abs(power - round(power)) < 0.05:
                raise ConfigurationError(
                    f"prices of {symbol} are {10 ** round(abs(power)):,} times as large in one file as in another;"
                    " declare a source for each, with its price_scale"
                )
