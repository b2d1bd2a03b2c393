"""The progress watchdog: a worker that heartbeats without getting on ends itself, so that a supervisor restarts it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from streams.exits import Die, Exit
from streams.health import log_end
from streams.worker import Worker


async def watch(
    app: Any,
    worker: Worker,
    stall_timeout: float,
    die: Die,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Looks ten times per `stall_timeout`: a partition that is behind and has not moved for that long is a stall.

    Behind means that bars are fed and not published, or that the last fetch did not reach the end of what is committed
    on the log. Faust's own detector subtracts wall clock from monotonic and never fires.
    """
    seen: dict[int, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(stall_timeout / 10)
        now = clock()
        for number, part in list(worker.partitions.items()):
            at, since = seen.get(number, (-1, now))
            if part.published != at or not _behind(app, worker, number):
                seen[number] = (part.published, now)
            elif now - since > stall_timeout:
                reason = f"bars/{number} stands at {part.published} for {now - since:.0f} s and is behind"
                die(Exit.STALLED, reason, partition=number, offset=part.published)
        seen = {number: entry for number, entry in seen.items() if number in worker.partitions}


def _behind(app: Any, worker: Worker, number: int) -> bool:
    part = worker.partitions[number]
    if part.position > part.published:
        return True
    end = log_end(app, worker, number)
    return end is not None and end > part.position
