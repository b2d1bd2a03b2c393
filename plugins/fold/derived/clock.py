"""When the bars of a longer interval begin and end: by the clock, counted from 1970 in UTC, or by a market's sessions.

>>> hours = clock_of("1h", None)
>>> hours.most_bars(60_000), hours.resolved
(60, {})
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, DAY_MS, market_calendar
from plugins.base.streaming import IntArray
from schemas.errors import ConfigurationError
from schemas.wire import interval_ms

NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Clock:
    """Periods ``(begin, end]`` of `length_ms` each, or those of the sessions from `opens` to `closes`: times in ms
    since the epoch (UTC). A bar belongs to the period in which it closes; one outside of all sessions belongs to none.
    """

    length_ms: int
    opens: IntArray = field(default_factory=NONE.copy)
    closes: IntArray = field(default_factory=NONE.copy)
    digest: str | None = None
    """Of the sessions."""

    def most_bars(self, interval_ms: int) -> int:
        """How many bars of `interval_ms` a period can have."""
        longest = int((self.closes - self.opens).max()) if len(self.closes) else self.length_ms
        return -(-longest // interval_ms)

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What of it belongs into a resolved configuration beside its names: a library's calendar changes with its
        version.
        """
        return {} if self.digest is None else {"sessions": self.digest}


def clock_of(interval: str, session: str | None) -> Clock:
    """The periods of an `interval`; with a `session`, the name of a market's calendar, its sessions.

    Raises
    ------
    ConfigurationError
        There is no such calendar, it cannot be built, or the interval is not one day.
    """
    length = interval_ms(interval)
    if session is None:
        return Clock(length)
    if length != DAY_MS:
        raise ConfigurationError(f"session: {session} divides time into days, and interval is {interval}; write 1d")
    if session in (ALWAYS_OPEN, AUTO):
        raise ConfigurationError(f"session: {session} has no sessions; leave it out for days by UTC")
    calendar = market_calendar(session, "session")
    return Clock(length, calendar.opens, calendar.closes, calendar.digest)
