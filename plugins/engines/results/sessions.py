"""How many bars a year has, by which metrics are annualised."""

import numpy as np
import pandas as pd

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, DAY_MS, market_calendar

DAYS_OF_YEAR = 365.25
HOLE_DAYS = 10
"""No market rests for longer: such a stretch without bars is missing from the data."""


def periods_per_year(times: pd.DatetimeIndex, interval_ms: int | None = None, calendar: str = AUTO) -> float:
    """Bars in a year.

    Parameters
    ----------
    times
        The bars' closes.
    interval_ms
        Length of a bar; 0: no time closes it; None: the median distance of the times.
    calendar
        ``24/7``, a name of `exchange_calendars` (XNYS, XLON, …), or ``auto``: by the times themselves.

    Notes
    -----
    - Bars that no time closes (`interval_ms` 0), whatever the calendar: the bars after the first over the time that
      they took, ``(n - 1) * 365.25 days / (last - first)``.
    - ``24/7``, and bars longer than a day: ``365.25 * 86,400,000 / interval_ms``.
    - A named calendar: `plugins.base.market_calendar.MarketCalendar.bars_in_a_year` of the years that the times touch.
    - ``auto``: the bars over the years from the first day to the last (UTC, by the bars' middles), without stretches
      of more than 10 days that have no bars. Where that is less than a year: the bars of a week times 365.25 / 7. A
      week has for each weekday the median of that day's counts of bars (of an even number the upper one; days without
      bars count), so one special Saturday is no weekday. A day of the week that the data does not reach has as many as
      the median of the others, and none on a weekend. Nobody knows the holidays of a few weeks: name the calendar.

    Raises
    ------
    ConfigurationError
        There is no such calendar, or `exchange_calendars` is not installed.
    """
    stamps = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    stamps = stamps.unique().sort_values()
    if interval_ms is None:
        steps = np.diff(stamps.as_unit("ms").asi8)
        interval_ms = int(np.median(steps)) if len(steps) else DAY_MS
    if not interval_ms:
        return _of_elapsed(stamps)
    if calendar == ALWAYS_OPEN or interval_ms > DAY_MS:
        return DAYS_OF_YEAR * DAY_MS / interval_ms
    middle = stamps - pd.Timedelta(milliseconds=interval_ms / 2)
    if calendar == AUTO:
        return _of_data(middle)
    return market_calendar(calendar).bars_in_a_year(middle[0].year, middle[-1].year, interval_ms)


def _of_elapsed(stamps: pd.DatetimeIndex) -> float:
    """One bar alone has no returns, so that nothing is made of what it is given: a bar a day."""
    days = (stamps[-1] - stamps[0]) / pd.Timedelta(days=1)
    return (len(stamps) - 1) * DAYS_OF_YEAR / days if days else DAYS_OF_YEAR


def _of_data(middle: pd.DatetimeIndex) -> float:
    counts = _covered(middle)
    years = len(counts) / DAYS_OF_YEAR
    return float(counts.sum()) / years if years >= 1.0 else _of_week(counts) * DAYS_OF_YEAR / 7


def _covered(middle: pd.DatetimeIndex) -> "pd.Series[int]":
    """Bars of each day, without the days of holes. Where bars are rare a hole is longer than ten of their distances."""
    counts = pd.Series(1, index=middle).groupby(middle.floor("D")).sum().asfreq("D", fill_value=0)
    usual = float(np.median(np.diff(middle) / pd.Timedelta(days=1))) if len(middle) > 1 else 1.0
    empty = counts.eq(0).groupby(counts.gt(0).cumsum()).transform("sum")
    return counts[counts.gt(0) | (empty <= HOLE_DAYS * max(usual, 1.0))]


def _of_week(counts: "pd.Series[int]") -> float:
    """Bars of a week, by the counts of the days."""
    days = pd.DatetimeIndex(counts.index).day_of_week
    typical = {day: float(np.sort(own)[len(own) // 2]) for day, own in counts.groupby(days)}
    busy = [typical[day] for day in range(5) if typical.get(day)]
    other = float(np.median(busy)) if busy else float(counts.mean())
    return sum(typical.get(day, other if day < 5 else 0.0) for day in range(7)) or float(counts.mean()) * 7
