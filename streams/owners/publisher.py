"""Puts the output of one partition's owner on the log: signals as soon as there are any, then the marker, now and then
a round of snapshots.

The order is the promise: a marker is written only when all that it covers is acknowledged. One task does all writing
for a partition, so nothing is ever taken and then forgotten.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from schemas.configuration import Worker as Settings
from schemas.errors import ConfigurationError
from streams.owners.bars_partition import BarsPartition
from streams.owners.fed_partition import FedPartition
from streams.process import trace
from streams.process.durations import ServiceDurations
from streams.process.exits import Die, Exit, cause, no_silent_end
from streams.process.failpoints import failpoint
from streams.publishing.writer import Record, Writer

log = logging.getLogger("alphawire.publisher")

WRITE_RECORDS = 5_000
ROUND_BATCH = 500
BARS_BETWEEN_ROUNDS = 500_000


P = TypeVar("P", bound=FedPartition)


class PublishingTimes:
    """Measures a partition's publishing, for the `durations` of its service."""

    def __init__(self, durations: ServiceDurations) -> None:
        self._durations = durations
        self._read: deque[tuple[int, int, float]] = deque()

    def note_read(self, end: int, count: int) -> None:
        """So many records, the last of them before offset `end`, have been read."""
        self._read.append((end, count, self._durations.clock()))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One write, until it is acknowledged."""
        began = self._durations.clock()
        yield
        self._durations.writes.add(self._durations.clock() - began, 1)

    def note_reached(self, position: int) -> None:
        """What the records before this offset led to is acknowledged."""
        now = self._durations.clock()
        while self._read and self._read[0][0] <= position:
            _, count, at = self._read.popleft()
            self._durations.acknowledged.add(now - at, count)


class PartitionPublisher(Generic[P]):
    """The writing side of an owner's partition, from `start` to `close`."""

    def __init__(
        self,
        part: P,
        writer: Writer,
        settings: Settings,
        die: Die,
        clock: Callable[[], float],
        durations: ServiceDurations | None = None,
    ) -> None:
        self.part = part
        self.writer = writer
        self._settings = settings
        self._die = die
        self._clock = clock
        self.times = PublishingTimes(durations or ServiceDurations())
        self._closing = False
        self._marked_at = self._snapshot_at = clock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when what was applied is on the log: before the first signal that it affects; or when a rebalance
        came meanwhile, and `close` has given it up.
        """
        self._task = asyncio.create_task(self._publish(), name=f"publish-{self.part.place}")
        try:
            await self._task
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closing or task is None or task.cancelling():
                raise
        if not self._closing:
            self._task = asyncio.create_task(self._run(), name=f"publish-{self.part.place}")

    async def close(self, deadline: float) -> None:
        """Publishes and marks what was fed; after `deadline` seconds it is given up, and what is not marked is
        published again by the next owner.
        """
        self._closing = True
        self.part.wake.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=deadline)
            if late:
                self._task.cancel()
                where = {"partition": self.part.number, "offset": self.part.published}
                log.warning("%s: given up before all was acknowledged", self.part.place, extra=where)
        self.part.drained.set()

    async def _run(self) -> None:
        with no_silent_end(self._die, f"{self.part.place}: publishing", partition=self.part.number):
            await self._write_all()

    async def _write_all(self) -> None:
        part, settings = self.part, self._settings
        try:
            while not self._closing or part.waiting or part.unmarked:
                await until_set(part.wake, self._patience())
                part.wake.clear()
                async with asyncio.timeout(settings.delivery_timeout):
                    await self._cycle()
        except TimeoutError:
            self._fail(Exit.BROKER, f"no acknowledgement within {settings.delivery_timeout:g} s")
        except ConfigurationError as error:
            self._fail(Exit.CONFIGURATION, str(error))
        except Exception as error:
            where = {"partition": part.number, "offset": part.published}
            log.exception("%s: publishing failed", self.part.place, extra=where)
            self._fail(cause(error), f"publishing failed: {error!r}")

    def _fail(self, code: Exit, reason: str) -> None:
        number, offset = self.part.number, self.part.published
        self._die(code, f"{self.part.place}: {reason}", partition=number, offset=offset)

    def snapshot_age(self) -> float:
        """Seconds since the last round of snapshots, or since the partition was taken over."""
        return self._clock() - self._snapshot_at

    def _patience(self) -> float | None:
        """Seconds until something is due even if nothing comes: a marker, a round of snapshots."""
        part = self.part
        if part.unmarked:
            return self._settings.commit_interval
        return self._settings.snapshot_interval if part.published > part.snapshot_position else None

    async def _cycle(self) -> None:
        part = self.part
        await self._publish()
        if self._closing and part.waiting:
            return
        now = self._clock()
        if part.unmarked and (self._closing or now - self._marked_at >= self._settings.commit_interval):
            await self._mark()
            self._marked_at = now
        if not self._closing and self._round_due(now):
            await self._snapshot()
            self._snapshot_at = now

    async def _publish(self) -> None:
        """With transactions each write carries its marker; without, the marker may only come after the
        acknowledgement. A marker alone is not worth a transaction each time: it waits for its interval.
        """
        part = self.part
        records, reached = part.take(WRITE_RECORDS, self.writer.transactional)
        switched = part.switched
        together = self.writer.transactional and bool(records) and part.advances(reached)
        if together:
            records.append(part.marker_record(reached))
        if records:
            failpoint("before_signals")
            trace.note_written(part.traced, reached.position)
            with self.times.writing():
                await self.writer.write(part.number, records)
            part.note_written()
            failpoint("after_signals")
            if switched:
                failpoint("after_swap_applied")
        if reached.position > part.published:
            trace.note("committed", part.traced, reached.position)
            self.times.note_reached(reached.position)
        part.reached = reached
        if together:
            part.note_marker(reached)
            self._marked_at = self._clock()

    async def _mark(self, *first: Record) -> None:
        part, reached = self.part, self.part.reached
        await self.writer.write(part.number, [*first, part.marker_record(reached)])
        failpoint("after_marker")
        part.note_marker(reached)

    def _round_due(self, now: float) -> bool:
        part = self.part
        bars = part.published - part.snapshot_position
        if not part.round_ready():
            return False
        waited = now - self._snapshot_at >= self._settings.snapshot_interval
        return part.round_due or bars > BARS_BETWEEN_ROUNDS or (bars > 0 and waited)

    async def _snapshot(self) -> None:
        """Writes down states, and signals in between. A state on the log says that what it includes is dealt with, even
        when the round breaks off: so what that came to is acknowledged first.
        """
        raise NotImplementedError


class BarsPublisher(PartitionPublisher[BarsPartition]):
    """That of a partition of the bars."""

    async def _snapshot(self) -> None:
        """A round of snapshots, its roster, and the marker that names it (with transactions in one); states are copied
        at once and written at leisure, signals in between.

        A state on the log says that its bars are dealt with, even when the round breaks off: so what they came to is
        acknowledged first.
        """
        part = self.part
        capture = part.capture()
        while not part.acknowledged(capture.offset):
            await self._publish()
        snapshots = part.snapshot_records(capture)
        while records := list(islice(snapshots, ROUND_BATCH)):
            await self.writer.write(part.number, records)
            failpoint("mid_round")
            await self._publish()
        failpoint("before_roster")
        roster = part.roster_record(capture)
        if self.writer.transactional:
            part.complete(capture, roster)
            await self._mark(roster)
            failpoint("after_round")
        else:
            await self.writer.write(part.number, [roster])
            failpoint("after_round")
            part.complete(capture, roster)
            await self._mark()


async def until_set(event: asyncio.Event, seconds: float | None) -> None:
    """Waits for it, `seconds` at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
