"""The progress watchdog: a worker that heartbeats without getting on ends itself, so that a supervisor restarts it."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from streams.owners.chunk_owner import ChunkOwner
from streams.process.exits import Die, Exit
from streams.service.health import partition_statuses


async def watch(
    app: Any,
    bars: ChunkOwner[Any, Any],
    stall_timeout: float,
    die: Die,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Looks ten times per `stall_timeout`: a partition that is behind and has not moved for that long is a stall.

    Behind means that records are fed and not published, or that the last fetch did not reach the end of what is
    committed on the log; partitions of bars and of predictions alike, which one loop feeds. Time does not count while
    another partition that is behind gets on (this one waits its turn), nor while a schema is waited for, nor while the
    whole process stood still. Faust's
    own detector subtracts wall clock from monotonic and never fires.
    """
    period, last = stall_timeout / 10, clock()
    stalled: dict[str, float] = {}
    seen: dict[str, int] = {}
    while True:
        await asyncio.sleep(period)
        elapsed, last = min(clock() - last, 2 * period), clock()
        owned = {status.place: status for own in partition_statuses(app, bars).values() for status in own}
        behind = {place for place, status in owned.items() if status.behind}
        moved = {place for place, status in owned.items() if seen.get(place) != status.published}
        for place, status in owned.items():
            still = place in behind and not moved & behind and bars.waits() is None
            stalled[place] = stalled.get(place, 0.0) + elapsed if still else 0.0
            if stalled[place] > stall_timeout:
                reason = f"{place} stands at {status.published} for {stalled[place]:.0f} s and is behind"
                die(Exit.STALLED, reason, partition=status.number, offset=status.published)
        seen = {place: status.published for place, status in owned.items()}
        stalled = {place: stalled[place] for place in owned}


class Pulse(threading.Thread):
    """Ends the process when its event loop has stood still for `stall_timeout` seconds: a plugin that never returns,
    while Faust's fetching thread goes on heartbeating. `beat` runs on the loop.

    Time in which the whole process stood still does not count, as this thread then stood still too.
    """

    def __init__(self, stall_timeout: float, die: Die) -> None:
        super().__init__(name="pulse", daemon=True)
        self._period = stall_timeout / 10
        self._die = die
        self._beats = 0

    async def beat(self) -> None:
        while True:
            self._beats += 1
            await asyncio.sleep(self._period / 2)

    def run(self) -> None:
        beats, missed = -1, 0
        while True:
            time.sleep(self._period)
            missed = missed + 1 if self._beats == beats else 0
            beats = self._beats
            if missed >= 10:
                self._die(Exit.STALLED, f"the event loop stands still for {missed * self._period:.0f} s: a plugin?")
