"""The sessions of a market: when it opens and closes, and until when a decision can still be traded.

The sessions are those of `exchange_calendars`. With pandas 3 its version 4.13.2 cannot build some calendars and loses
sessions of others; see `_mended`. What comes out is checked against the calendar's own rules, whatever the versions.
"""

import difflib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.canonical import sha256_hex
from schemas.errors import ConfigurationError

IntArray = NDArray[np.int64]

DAY_MS = 86_400_000
ALWAYS_OPEN, AUTO = "24/7", "auto"
FIRST, LAST = pd.Timestamp("1970-01-01"), pd.Timestamp("2049-12-31")
"""Sessions are known within these, or within the narrower bounds of a calendar."""
INSTALL = "pip install 'alphawire[calendars]'"


@dataclass(frozen=True)
class MarketCalendar:
    """Sessions of a market, in order. Times are milliseconds since the epoch, UTC.

    `labels` are the midnights of the sessions' dates. A session without a break has one of no length, at its close.
    """

    name: str
    labels: IntArray
    opens: IntArray
    break_starts: IntArray
    break_ends: IntArray
    closes: IntArray

    @property
    def lengths_ms(self) -> IntArray:
        """Trading time of each session, without its break."""
        return self.closes - self.opens - (self.break_ends - self.break_starts)

    @cached_property
    def digest(self) -> str:
        """Equal for equal sessions, whatever versions of libraries they come from."""
        table = np.stack([self.labels, self.opens, self.break_starts, self.break_ends, self.closes])
        return sha256_hex(table.astype("<i8").tobytes())[:16]

    def bars_in_a_year(self, first: int, last: int, interval_ms: int) -> float:
        """Bars in a year from the calendar years `first` to `last`, of those that the calendar knows.

        Notes
        -----
        Sessions over years, times the bars of the session of median length, rounded up (New York: 390 minutes, 7
        hours, 1 day).
        """
        years = pd.DatetimeIndex(self.labels.astype("datetime64[ms]")).year.to_numpy()
        first, last = (int(np.clip(year, years[0], years[-1])) for year in (first, last))
        inside = (years >= first) & (years <= last)
        return (
            int(inside.sum()) / (last - first + 1) * math.ceil(float(np.median(self.lengths_ms[inside])) / interval_ms)
        )

    def valid_until(self, times: IntArray, interval_ms: int) -> IntArray:
        """Until when what was decided at `times`, the closes of bars of `interval_ms`, may be traded.

        Notes
        -----
        That is the end of the first bar in which it can fill. While the market trades that is the next bar:
        ``time + interval_ms``. Else it is the first bar that ends after the market has opened again; bars follow each
        other from `times` in steps of `interval_ms`. Bars of a day or longer belong to the session's date, so their
        first bar also ends after the midnight that begins it. Beyond the known sessions it is the next bar.
        """
        opening = self._next_opening(times, interval_ms)
        bars = np.maximum((opening - times) // interval_ms + 1, 1)
        until: IntArray = times + bars * interval_ms
        return until

    def _next_opening(self, times: IntArray, interval_ms: int) -> IntArray:
        """When the market trades next, at or before `times` where it is trading then."""
        if interval_ms >= DAY_MS:
            opens, closes = np.maximum(self.opens, self.labels), self.closes
        else:
            opens = np.stack([self.opens, self.break_ends], axis=1).ravel()
            closes = np.stack([self.break_starts, self.closes], axis=1).ravel()
        place = np.searchsorted(closes, times, side="right")
        known = (place < len(closes)) & (times >= self.opens[0])
        return np.where(known, opens[np.minimum(place, len(opens) - 1)], times)


def check_calendar(name: str) -> None:
    """`ConfigurationError` for a named calendar that there is not, or that cannot be built here: before the work."""
    if name not in (AUTO, ALWAYS_OPEN):
        market_calendar(name)


def market_calendar(name: str, place: str = "execution.calendar") -> MarketCalendar:
    """The calendar of this name of `exchange_calendars`, or of an alias there; `place` names it in the configuration.

    Raises
    ------
    ConfigurationError
        There is no such calendar (near names are told), it cannot be built with the versions installed, or
        `exchange_calendars` is not installed.
    """
    try:
        return _calendar(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


@lru_cache(maxsize=16)
def _calendar(name: str) -> MarketCalendar:
    try:
        import exchange_calendars
    except ModuleNotFoundError:
        raise ConfigurationError(f"{name} needs exchange_calendars; {INSTALL}, or use 24/7") from None
    names = exchange_calendars.get_calendar_names()
    if name not in names:
        near = difflib.get_close_matches(name.upper(), names, n=3) or ["XNYS", "XLON", "XTKS"]
        raise ConfigurationError(
            f"there is no calendar {name!r}; auto, 24/7, or a name of exchange_calendars, such as {', '.join(near)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names in pandas that it still uses
            calendar = _built(exchange_calendars.resolve_alias(name))
            wrong = _rules_apart(calendar)
    except Exception as error:  # whatever a library raises that meets a pandas it does not know
        raise ConfigurationError(
            f"{_versions(name)} cannot be built: {type(error).__name__}:"
            f" {' '.join(str(error).split())[:120]}; use auto or 24/7, or other versions"
        ) from None
    if len(wrong):
        raise ConfigurationError(
            f"{_versions(name)} has {len(wrong)} wrong sessions, such as {wrong[0].date()};"
            " use auto or 24/7, or other versions"
        )
    return _from_schedule(name, calendar.schedule)


def _from_schedule(name: str, schedule: pd.DataFrame) -> MarketCalendar:
    closes = schedule["close"]
    return MarketCalendar(
        name,
        _milliseconds(schedule.index.to_series()),
        _milliseconds(schedule["open"]),
        _milliseconds(schedule["break_start"].fillna(closes)),
        _milliseconds(schedule["break_end"].fillna(closes)),
        _milliseconds(closes),
    )


def _milliseconds(times: "pd.Series[Any]") -> IntArray:
    stamps: IntArray = pd.DatetimeIndex(times).as_unit("ms").asi8
    return stamps


def _versions(name: str) -> str:
    import exchange_calendars

    return f"{name} of exchange_calendars {exchange_calendars.__version__} with pandas {pd.__version__}"


def _built(name: str) -> Any:
    """The library's calendar over all years that it knows."""
    from exchange_calendars.calendar_utils import global_calendar_dispatcher

    factory = _mended(global_calendar_dispatcher._calendar_factories[name])
    least, most = factory.bound_min(), factory.bound_max()
    start = FIRST if least is None else max(least.tz_localize(None), FIRST)
    end = LAST if most is None else min(most.tz_localize(None), LAST)
    return factory(start=start, end=end)


def _mended(factory: Any) -> Any:
    """`factory` as it works with pandas 2.

    Notes
    -----
    pandas 3 renamed the hook by which an offset is added to a time. Without it the library's Orthodox Easter raises
    (ASEX, XBEL, XBSE, XCYS), and its Hebrew holidays fall on western Easter (XTAE). And ``date_range`` takes days from
    an offset's week mask alone, so the library's offset of several week masks loses what the others allow: special
    sessions on weekends (XBOM, XMOS), or the years of another week (XTAE). An offset that is open on all days but
    those that the calendar closes has no such fault.
    """
    for kind in _offsets():
        if "_apply" in vars(kind) and "_add_datetime" not in vars(kind):
            kind._add_datetime = kind._apply
    if not hasattr(factory, "special_weekmasks"):
        return factory

    def day(self: Any) -> Any:
        every = pd.date_range(FIRST, LAST)
        return pd.offsets.CustomBusinessDay(weekmask="1111111", holidays=every[~_open(self, every)].to_list())

    return type(factory.__name__, (factory,), {"day": cached_property(day), "__module__": __name__})


def _offsets() -> Iterator[Any]:
    """The library's own kinds of offsets."""
    waiting: list[Any] = [pd.offsets.BaseOffset]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("exchange_calendars."):
            yield kind


def _open(calendar: Any, days: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Which `days` are sessions by the calendar's own rules: its week masks and its holidays."""
    opened = _in_mask(days, calendar.weekmask)
    for start, end, mask in getattr(calendar, "special_weekmasks", ()):
        inside = (days >= (start or FIRST)) & (days <= (end or LAST))
        opened = np.where(inside, _in_mask(days, mask), opened)
    closed = days.isin(pd.DatetimeIndex(calendar.adhoc_holidays))
    if calendar.regular_holidays is not None:
        closed |= days.isin(pd.DatetimeIndex(calendar.regular_holidays.holidays(days[0], days[-1])))
    return opened & ~closed


def _in_mask(days: pd.DatetimeIndex, mask: str) -> NDArray[np.bool_]:
    allowed: NDArray[np.bool_] = np.array([letter == "1" for letter in mask])[days.day_of_week]
    return allowed


def _rules_apart(calendar: Any) -> pd.DatetimeIndex:
    """Days that are sessions against the calendar's own rules, or should be and are not."""
    sessions = pd.DatetimeIndex(calendar.schedule.index)
    days = pd.date_range(sessions[0], sessions[-1])
    return sessions.symmetric_difference(days[_open(calendar, days)])
