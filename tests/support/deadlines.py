"""Every deadline of the tests comes from here, so that a busy machine makes them late and not red.

A deadline tells what hangs from what is slow. Tests say how long something may take on a quiet machine; here it is
stretched by the processes that compete for each core. Nobody waits longer for it: a test goes on when what it waits for
has come. Times that a test *measures* or that belong to its plot (a worker is held for 6 s) are not deadlines.

>>> stretched(10.0, busy=8, cores=2)
40.0
>>> stretched(10.0, busy=0, cores=2)
10.0
"""

import os
import time
from pathlib import Path

SPARE = 2.0
"""A quiet machine may be half as fast as the one on which the seconds were chosen."""
CORES = len(os.sched_getaffinity(0))


def deadline(seconds: float, spare: float = SPARE) -> float:
    """How long to wait now for what takes at most `seconds` on a quiet machine; ``ALPHAWIRE_TEST_PATIENCE=3`` makes it
    three times as long. `spare` is 1 where the whole of it is waited each time, as for what must not come.
    """
    return spare * stretched(seconds, _busy(), CORES) * float(os.environ.get("ALPHAWIRE_TEST_PATIENCE", 1))


def limit(seconds: float) -> float:
    """For a worker that must not exceed it by mischance, such as its session timeout. Tests wait for its end, so it is
    `seconds` until four processes want each core.
    """
    return round(max(seconds, deadline(seconds, spare=0.25)), 1)


def stretched(seconds: float, busy: float, cores: int) -> float:
    """As many times `seconds` as processes want each core, and never less."""
    return seconds * max(1.0, busy / cores)


class Deadline:
    """As `deadline`, for what is asked again and again: the load may grow while it is waited for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = time.monotonic()
        self.allowed = deadline(seconds)

    @property
    def passed(self) -> bool:
        if time.monotonic() - self._start <= self.allowed:
            return False
        self.allowed = max(self.allowed, deadline(self._seconds))
        return time.monotonic() - self._start > self.allowed


def _busy() -> float:
    """Processes that want a core: on average over the last minute, or at this moment where that is more."""
    average, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    return max(float(average), float(running.partition("/")[0]))
