"""How much of the market's time lies between bars, and where bars are missing from the data.

The bars of a symbol are counted in most of what follows. That a month of them is missing is not seen there: a return
over five bars may then be one over a year.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, DAY_MS, MarketCalendar, market_calendar
from schemas.wire.fields import MONTH_MS

IntArray = NDArray[np.int64]
HOUR_MS = 3_600_000
HOLIDAYS = 2
"""Weekdays in a row, beside the weekend, on which a market may rest; more of them without bars are a gap."""
SHOWN = 5


@dataclass(frozen=True)
class Gap:
    """Where a symbol lacks bars: from the close `after` (ms since the epoch, UTC) to the close `until` of the next bar
    that there is; `missing` of the market's bars.
    """

    symbol: str
    after: int
    until: int
    missing: int

    def __str__(self) -> str:
        return f"{self.symbol} {_day(self.after)} to {_day(self.until)} ({self.missing:,} bars)"


def market_steps(closes: IntArray, interval_ms: int, calendar: str) -> FloatArray:
    """Of the market's time, in bars, what lies between each close and the one before; 1 where bars follow each other.

    Parameters
    ----------
    closes
        Of one symbol's bars, ascending, in ms since the epoch (UTC).
    calendar
        As `execution.calendar`.

    Notes
    -----
    - Bars that no time closes (`interval_ms` 0): 1; nobody knows how many there would have been.
    - Bars of months (`schemas.wire.fields.spacing_ms`): months, whatever the calendar.
    - ``24/7``, and bars longer than a day: the time over the interval.
    - A named calendar: the bars of its sessions; a session's last bar may be shorter.
    - ``auto``: the time over the interval, and 1 for a rest of the market. A rest leaves out whole days (UTC), at most
      two of them weekdays, of a symbol that has no bars on most Saturdays; or it comes again, at half to double its
      length, in half of the nights or on half of the days or more (nights, lunch breaks, maintenance). A gap of a day
      and more has as many bars as its time, without weekends where the market rests on Saturdays, has in the rest of
      the data.
    """
    if len(closes) < 2:
        return np.empty(0)
    if not interval_ms:
        return np.ones(len(closes) - 1)
    if interval_ms % MONTH_MS == 0:
        return np.asarray(np.rint(np.diff(closes) / interval_ms), np.float64)
    if calendar == ALWAYS_OPEN or interval_ms > DAY_MS:
        return np.diff(closes) / interval_ms
    if calendar != AUTO:
        return np.diff(_slots(market_calendar(calendar), closes, interval_ms))
    steps = np.diff(closes) / interval_ms
    wide = np.flatnonzero(steps > 1.0)
    if not len(wide):
        return steps
    rests = _rests(closes, wide, interval_ms)
    lacking = wide[~rests & (np.diff(closes)[wide] >= DAY_MS + interval_ms)]
    steps[wide[rests]] = 1.0
    distances = np.diff(_market_days(closes - interval_ms // 2))
    others = np.delete(distances, lacking)
    density = len(others) * interval_ms / max(int(others.sum()), 1)  # bars of the time that the data covers
    steps[lacking] = 1.0 + np.rint(density * np.maximum(distances[lacking] / interval_ms - 1.0, 0.0))
    return steps


def _market_days(middles: IntArray) -> IntArray:
    """The times without weekends, where the market rests on these: a month has no more bars for where it begins."""
    if not _rests_on_saturdays(middles):
        return middles
    days, clock = np.divmod(middles, DAY_MS)
    return _weekdays_before(days) * DAY_MS + np.where((days + 3) % 7 < 5, clock, 0)


def _slots(market: MarketCalendar, times: IntArray, interval_ms: int) -> FloatArray:
    """Bars of the market that have begun before each time, since the calendar begins."""
    if interval_ms == DAY_MS:  # a day's bar belongs to the date of its middle, wherever its midnight is
        return np.searchsorted(market.labels, times - DAY_MS // 2, side="right").astype(np.float64)
    lengths = np.ceil(market.lengths_ms / interval_ms)
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    session = np.searchsorted(market.opens, times, side="left")  # sessions that have opened before
    last = np.maximum(session - 1, 0)
    morning = np.minimum(times, market.break_starts[last]) - market.opens[last]
    afternoon = np.clip(np.minimum(times, market.closes[last]) - market.break_ends[last], 0, None)
    begun = np.clip(np.ceil((morning + afternoon) / interval_ms), 0, lengths[last])
    return np.where(session > 0, before[last] + begun, 0.0)


def _rests(closes: IntArray, wide: IntArray, interval_ms: int) -> NDArray[np.bool_]:
    """Which of the distances that end after the closes numbered `wide` are rests of the market."""
    distances = closes[wide + 1] - closes[wide]
    middles = closes - interval_ms // 2
    days = middles // DAY_MS
    first, after = days[wide] + 1, days[wide + 1]
    missing = after - first
    weekdays = _weekdays_before(after) - _weekdays_before(first)
    weekly = _rests_on_saturdays(middles) & (missing > 0) & (weekdays <= HOLIDAYS)
    ordered = np.sort(distances)
    alike = np.searchsorted(ordered, 2 * distances, "right") - np.searchsorted(ordered, distances / 2, "left")
    dates = np.unique(days)
    chances = np.where(missing == 0, np.count_nonzero(np.diff(dates) == 1), len(dates))  # a weekend is no night
    daily = (missing <= 0) & (2 * alike >= chances) & ((missing == 0) | (alike > 1))
    return np.asarray(weekly | daily, np.bool_)


def _weekdays_before(days: IntArray) -> IntArray:
    """Mondays to Fridays before each day (days since the epoch, a Thursday)."""
    weeks, rest = np.divmod(days + 3, 7)
    return np.asarray(5 * weeks + np.minimum(rest, 5), np.int64)


def _rests_on_saturdays(middles: IntArray) -> bool:
    """Has the symbol no bars on most of the Saturdays that its data spans? Saturday begins at 06:00 UTC: before, it is
    still New York's Friday.
    """
    days = np.unique((middles - 6 * HOUR_MS) // DAY_MS)
    saturdays = days[(days + 3) % 7 == 5]
    spanned = int((days[-1] - 2) // 7 - (days[0] - 3) // 7)
    return 2 * len(saturdays) < spanned


def gaps_of(bars: pd.DataFrame, interval_ms: int, calendar: str) -> list[Gap]:
    """Where the symbols of `bars` (symbol, close_time) lack bars, the longest first."""
    gaps = [gap for symbol, closes in _by_symbol(bars) for gap in _gaps(symbol, closes, interval_ms, calendar)]
    return sorted(gaps, key=lambda gap: (-gap.missing, gap.symbol, gap.after))


def _gaps(symbol: str, closes: IntArray, interval_ms: int, calendar: str) -> Iterator[Gap]:
    steps = market_steps(closes, interval_ms, calendar)
    for place in np.flatnonzero(steps >= 2.0).tolist():
        yield Gap(symbol, int(closes[place]), int(closes[place + 1]), int(steps[place]) - 1)


def _by_symbol(bars: pd.DataFrame) -> Iterator[tuple[str, IntArray]]:
    for symbol, closes in bars.groupby("symbol", sort=True)["close_time"]:
        yield str(symbol), np.unique(closes.to_numpy(np.int64))


def describe_market_gaps(gaps: list[Gap]) -> str | None:
    """One line; None where nothing is missing."""
    if not gaps:
        return None
    symbols, lacking = len({gap.symbol for gap in gaps}), sum(gap.missing for gap in gaps)
    where = f"{len(gaps):,} gap{'s' * (len(gaps) != 1)} of {symbols} symbol{'s' * (symbols != 1)}"
    more = "; …" if len(gaps) > SHOWN else ""
    return f"{lacking:,} bars are missing in {where}: {'; '.join(map(str, gaps[:SHOWN]))}{more}"


def as_records(gaps: list[Gap]) -> dict[str, Any]:
    """For ``--json``: how many, how many bars they lack, and the longest."""
    longest = [{"symbol": gap.symbol, "after": gap.after, "until": gap.until, "missing": gap.missing} for gap in gaps]
    return {"count": len(gaps), "missing": sum(gap.missing for gap in gaps), "longest": longest[:SHOWN]}


def _day(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M}"
