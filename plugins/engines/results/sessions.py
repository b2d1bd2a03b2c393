"""How many bars a year has, by which metrics are annualised."""

import difflib
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd

from schemas.errors import ConfigurationError

DAY_MS = 86_400_000
DAYS_OF_YEAR = 365.25
ALWAYS_OPEN, AUTO = "24/7", "auto"
WEEKDAYS_OF_YEAR = DAYS_OF_YEAR * 5 / 7


def periods_per_year(times: pd.DatetimeIndex, interval_ms: int | None = None, calendar: str = AUTO) -> float:
    """Bars in a year.

    Parameters
    ----------
    times
        The bars' closes.
    interval_ms
        Length of a bar; None: the median distance of the times.
    calendar
        ``24/7``, a name of `exchange_calendars` (XNYS, XLON, …), or ``auto``: by the times themselves.

    Notes
    -----
    Sessions in a year times bars in a session; bars longer than a day: 365.25 over the days of one.

    - ``24/7``: ``365.25 * 86,400,000 / interval_ms``.
    - A named calendar: its sessions in the calendar years that the times touch, over the number of those years; a
      session has the median session's length without its break over the interval, rounded up (XNYS: 390 minutes, 7
      hours, 1 day).
    - ``auto``: days with bars (UTC, by the bars' middles) over the years from the first to the last, where that is at
      least one; in shorter data 365.25 if some bar lies on a Saturday (from 06:00 UTC: before, it is still New York's
      Friday), else 365.25 * 5 / 7. Nobody knows the holidays of a few weeks: name the calendar. Bars in a session: the
      median of the days'.

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
    if calendar == ALWAYS_OPEN or interval_ms > DAY_MS:
        return DAYS_OF_YEAR * DAY_MS / interval_ms
    middle = stamps - pd.Timedelta(milliseconds=interval_ms / 2)
    return _of_data(middle) if calendar == AUTO else _of_calendar(calendar, middle, interval_ms)


def _of_calendar(name: str, times: pd.DatetimeIndex, interval_ms: int) -> float:
    first, last = times[0].year, times[-1].year
    schedule = _calendar(name, f"{first}-01-01", f"{last}-12-31").schedule
    opened = schedule["close"] - schedule["open"]
    pause = (schedule["break_end"] - schedule["break_start"]).fillna(pd.Timedelta(0))
    length_ms = float(np.median((opened - pause) / pd.Timedelta(milliseconds=1)))
    return len(schedule) / (last - first + 1) * math.ceil(length_ms / interval_ms)


def _calendar(name: str, start: str, end: str) -> Any:
    try:
        import exchange_calendars
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"execution.calendar: {name} needs exchange_calendars; pip install 'alphawire[backtest]', or use 24/7"
        ) from None
    names = exchange_calendars.get_calendar_names()
    if name not in names:
        near = difflib.get_close_matches(name.upper(), names, n=3) or ["XNYS", "XLON", "XTKS"]
        raise ConfigurationError(
            f"execution.calendar: there is no calendar {name!r}; auto, 24/7, or a name of exchange_calendars,"
            f" such as {', '.join(near)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names in pandas that it still uses
            return exchange_calendars.get_calendar(name, start=start, end=end)
    except ValueError as error:  # years that the calendar does not know
        raise ConfigurationError(f"execution.calendar: {name}: {' '.join(str(error).split())}") from None


def _of_data(middle: pd.DatetimeIndex) -> float:
    days = pd.Series(1, index=middle).groupby(middle.floor("D")).sum()
    years = ((days.index[-1] - days.index[0]) / pd.Timedelta(days=1) + 1.0) / DAYS_OF_YEAR
    if years >= 1.0:
        sessions = len(days) / years
    else:
        saturday = (middle.day_of_week == 5) & (middle.hour >= 6)
        sessions = DAYS_OF_YEAR if saturday.any() else WEEKDAYS_OF_YEAR
    return float(sessions * np.median(days))
