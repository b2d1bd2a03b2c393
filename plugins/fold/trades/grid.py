"""Where time bars lie: on the grid of their interval from the epoch on, or from the opening of a market's sessions.

>>> minutes = Grid(60_000)
>>> minutes.not_over(61_000), minutes.times(60_000)
(Slot(begin=60000, end=120000), (60000, 120000))
"""

import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, DAY_MS, MarketCalendar, market_calendar
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import name_of_length

NEVER = -(2**62)
FAR = 2**62
HOUR_MS = 3_600_000


class Slot(NamedTuple):
    """Trades of ``[begin, end)``, in ms since the epoch (UTC), make one bar."""

    begin: int
    end: int


class Grid:
    """Slots of `length` ms from the epoch on."""

    def __init__(self, length: int) -> None:
        self._length = length

    def not_over(self, time: int) -> Slot:
        """The first slot that is not over at `time`: it has it, or comes next."""
        begin = time - time % self._length
        return Slot(begin, begin + self._length)

    def times(self, begin: int) -> tuple[int, int]:
        """`open_time` and `close_time` of the bar of a slot."""
        return begin, begin + self._length

    def check_known(self, time: int) -> None:
        """`BadRecord` where nobody knows whether `time` is in a slot."""


class SessionGrid(Grid):
    """Slots of `length` ms from the opening of each session; the last one ends with the session. Of a day: the session
    is the slot, and its bar has the session's date.
    """

    def __init__(self, length: int, calendar: MarketCalendar) -> None:
        super().__init__(DAY_MS if length == DAY_MS else length)
        self._name = calendar.name
        self._whole = length == DAY_MS
        self._opens, self._closes = calendar.opens.tolist(), calendar.closes.tolist()
        self._labels = dict(zip(self._opens, calendar.labels.tolist(), strict=True))
        self._check_fit(calendar)

    def not_over(self, time: int) -> Slot:
        number = bisect_right(self._closes, time)
        if number == len(self._closes):
            return Slot(FAR, FAR)
        opened, closes = self._opens[number], self._closes[number]
        if self._whole:
            return Slot(opened, closes)
        begin = max(opened, time - (time - opened) % self._length)
        return Slot(begin, min(begin + self._length, closes))

    def times(self, begin: int) -> tuple[int, int]:
        opened = self._labels[begin] if self._whole else begin
        return opened, opened + self._length

    def check_known(self, time: int) -> None:
        if not self._opens[0] <= time < self._closes[-1]:
            raise BadRecord("unknown_session", f"the calendar {self._name} knows no sessions at {time}")

    def _check_fit(self, calendar: MarketCalendar) -> None:
        """`ConfigurationError` where a session's last bar, which is `length` long all the same, would run into the next
        session, or so close to it that its first bar would be off the symbol's grid.
        """
        begins, length = (calendar.labels if self._whole else calendar.opens), self._length
        lengths = np.full(len(begins), DAY_MS) if self._whole else calendar.closes - calendar.opens
        apart = begins[1:] - (begins + -(-lengths // length) * length)[:-1]
        wrong = (apart < 0) | ((apart < length) & (apart % math.gcd(length, HOUR_MS) != 0))
        if self._whole:
            wrong |= (calendar.closes > calendar.labels + DAY_MS)[:-1]
        if wrong.any():
            day = str(calendar.labels[:-1][wrong][-1].astype("datetime64[ms]"))[:10]
            raise ConfigurationError(
                f"trades.session: bars of {name_of_length(length)} from the opening of {self._name} run into the next"
                f" session, as that of {day}; take an interval of which the sessions are a multiple"
            )


def grid_of(length: int, session: str | None) -> Grid:
    """That of bars of `length` ms; with a `session`, the name of a market's calendar, from its openings.

    Raises
    ------
    ConfigurationError
        There is no such calendar, it cannot be built, or such bars do not fit its sessions.
    """
    return Grid(length) if session is None else SessionGrid(length, sessions_of(length, session))


def sessions_of(length: int, session: str) -> MarketCalendar:
    if session in (ALWAYS_OPEN, AUTO):
        raise ConfigurationError(f"trades.session: {session} has no sessions; leave it out for bars by UTC")
    if length > DAY_MS:
        raise ConfigurationError(f"trades.session: bars of {name_of_length(length)} are longer than a session")
    return market_calendar(session, "trades.session")
