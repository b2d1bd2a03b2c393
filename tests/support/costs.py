"""What each test cost: seconds of the clock, and processor time of the test process and all that it started.

The clock alone names the tests that wait; the processor time names those that keep the others from running. Kernel
counters give both: a process's own time, that of its ended children, and the same of those that still run (brokers, the
server that workers are forked from), which `resource.getrusage` leaves out.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SHOWN = 20


class Cost:
    """Seconds of one test, or of all tests of a process."""

    def __init__(self) -> None:
        self._clock = time.monotonic()
        self._processor = processor_seconds(os.getpid())

    def spent(self) -> tuple[float, float]:
        """Seconds of the clock and of the processor since this was made."""
        return time.monotonic() - self._clock, processor_seconds(os.getpid()) - self._processor


def processor_seconds(pid: int) -> float:
    """Of a process, its ended children, and its descendants that still run."""
    return sum(_own_seconds(descendant) for descendant in _tree(pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield from _tree(child)


def _own_seconds(pid: int) -> float:
    try:
        # after the name, which may hold blanks: fields 14 to 17 are user, system, and both of ended children
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def slowest(costs: dict[str, tuple[float, float]]) -> list[str]:
    """Lines for the end of a run: the tests that took longest, of those that took a second, and the sum of all."""
    by_clock = sorted(costs.items(), key=lambda item: item[1][0], reverse=True)
    if not costs or by_clock[0][1][0] < 1.0:
        return []
    clock, processor = (sum(cost[part] for cost in costs.values()) for part in (0, 1))
    return [
        f"{'clock':>8} {'processor':>9}",
        *(f"{cost[0]:7.1f}s {cost[1]:8.1f}s {name}" for name, cost in by_clock[:_SHOWN] if cost[0] >= 1.0),
        f"{clock:7.1f}s {processor:8.1f}s {len(costs):,} tests",
    ]
