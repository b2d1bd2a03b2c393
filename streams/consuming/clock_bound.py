"""Bars that open after the worker's clock: they cannot exist yet, and one of them would make all later bars of its
symbol late.

A clock decides, so what it decided is on the log (`control`) before anything that follows from it. Whoever reads the
bars again, a successor or a replay, obeys the log.

>>> from schemas.wire import Bar
>>> bound = ClockBound(clock=lambda: 60.0, tolerance=5.0)
>>> bound.check(7, Bar("A", "1m", 65_000, 125_000, 1.0, 1.0, 1.0, 1.0, 1.0))
>>> try:
...     bound.check(8, Bar("A", "1m", 65_001, 125_001, 1.0, 1.0, 1.0, 1.0, 1.0))
... except BadRecord as bad:
...     print(bad.kind, bound.refused)
future {8: 60000}
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.configuration import Worker
from schemas.errors import AlphawireError, BadRecord
from schemas.wire import Bar


class ClockBound:
    """What is refused of one partition.

    Parameters
    ----------
    known
        By offset, the clock (ms since the epoch, UTC) by which a bar was refused, as the log says.
    settled
        Of the bars before this offset nothing else is refused: what they led to is on the log.
    clock
        Seconds since the epoch; None: nothing is refused but what is known.
    tolerance
        Seconds after the clock at which a bar may open; None: there is no bound.
    """

    def __init__(
        self,
        known: Mapping[int, int] = MappingProxyType({}),
        settled: int = 0,
        clock: Callable[[], float] | None = None,
        tolerance: float | None = None,
    ) -> None:
        self.known = known
        self.refused: dict[int, int] = {}
        """By offset, the clock of those that are not known to be on the log."""
        self._settled = settled
        self._any_clock = clock
        self._clock = clock if tolerance is not None else None
        self._tolerance = int(1000 * (tolerance or 0.0))
        self._now = 0

    def check(self, offset: int, bar: Bar) -> None:
        """`BadRecord` for a bar that opens after the clock."""
        self.check_time(offset, bar.open_time, "the bar opens at")

    def check_time(self, offset: int, time: int, what: str) -> None:
        """`BadRecord` for a `time` (ms) after the clock; `what` says of what."""
        by_clock = self.known.get(offset, self.refused.get(offset))
        if by_clock is None and self._clock and offset >= self._settled and self._is_later(time):
            by_clock = self.refused[offset] = self._now
        if by_clock is not None and time < by_clock:  # not by the clock, then
            raise BadRecord("unknown_schema", f"its schema was not known at {_utc(by_clock)}, when a worker read it")
        if by_clock is not None:
            raise BadRecord(
                "future",
                f"{what} {_utc(time)}, and the clock of the worker that read it said"
                f" {_utc(by_clock)}; send it with its true time; if that is its true time, set the worker's clock right"
                " or raise worker.clock_tolerance, and put the letter back",
            )

    def refuse(self, offset: int) -> None:
        """Notes that the schema of a record is not known now: so it is refused for good, whoever reads it again.

        Raises
        ------
        AlphawireError
            For one that was read before, when its schema was known.
        """
        if self._any_clock is None or offset in self.known or offset in self.refused:
            return
        if offset < self._settled:
            raise AlphawireError(
                f"offset {offset} was read with a schema that the registry does not know any more: without it no state"
                " can be folded again; register the schema under its id, or restore the registry"
            )
        self.refused[offset] = int(1000 * self._any_clock())

    def doubtful(self, offsets: IntArray, opens: IntArray) -> NDArray[np.bool_]:
        """Which of these bars `check` has to look at: it lets the others pass."""
        doubtful = np.zeros(len(offsets), np.bool_)
        if self.known or self.refused:
            doubtful[:] = [offset in self.known or offset in self.refused for offset in offsets.tolist()]
        if self._clock is None or not len(opens):
            return doubtful
        if opens.max() > self._now + self._tolerance:
            self._now = max(self._now, int(1000 * self._clock()))
        return doubtful | ((offsets >= self._settled) & (opens > self._now + self._tolerance))

    def _is_later(self, time: int) -> bool:
        """The clock is read where the last look at it is not enough; it never goes back."""
        if self._clock and time > self._now + self._tolerance:
            self._now = max(self._now, int(1000 * self._clock()))
        return time > self._now + self._tolerance


def latest_open(settings: Worker, now: float) -> int | None:
    """Until when (ms) a bar may open that is taken when the clock says `now` (seconds); None: there is no bound."""
    return None if settings.clock_tolerance is None else int(1000 * (now + settings.clock_tolerance))


def _utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
