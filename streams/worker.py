"""The owner of partitions: restores them when they come, feeds them, publishes what they say, lets them go.

Everything here runs on the app's event loop. The order that makes it safe: a marker is written only when every signal
that it covers is acknowledged, and states are restored before the first record after a rebalance is read.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from faust.types import TP

from plugins.pipeline import Pipeline
from plugins.run import Source
from plugins.strategy import ReadyStrategy
from schemas.config import Config
from schemas.errors import ConfigurationError, PluginError
from streams.clients import offset_range
from streams.exits import Exit
from streams.intake import Intake
from streams.outlet import Record, Writer
from streams.partition import Names, Partition
from streams.state import Plan, load, plan
from streams.topics import topic_name
from streams.transport import Chunk

log = logging.getLogger("alphawire.worker")

ROUND_BATCH = 500
BARS_BETWEEN_ROUNDS = 500_000


class Worker:
    """Owner of partitions (see `streams.transport.Owner`).

    `die(exit, reason)` ends the process; `partitions` of the bars topic are `count`; `version` goes into the
    provenance.
    """

    def __init__(
        self,
        config: Config,
        strategies: Sequence[ReadyStrategy],
        count: int,
        version: str,
        die: Callable[[Exit, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.strategies = strategies
        self.partition_count = count
        self.version = version
        self.die = die
        self.clock = clock
        kafka = config.kafka
        self.names = Names(
            *(topic_name(kafka, name) for name in ("bars", "signals", "state", "control", "dead-letters"))
        )
        self.partitions: dict[int, Partition] = {}
        self.counts: Counter[str] = Counter()
        self.generation = -1
        self._writer: Writer | None = None
        self._publishers: dict[int, asyncio.Task[None]] = {}

    def start(self, writer: Writer) -> None:
        self._writer = writer

    def positions(self) -> Mapping[TP, int]:
        return {TP(self.names.bars, number): part.position for number, part in self.partitions.items()}

    def committable(self, offsets: Mapping[TP, int]) -> dict[TP, int]:
        allowed = {}
        for tp, offset in offsets.items():
            part = self.partitions.get(tp.partition) if tp.topic == self.names.bars else None
            allowed[tp] = offset if part is None else min(offset, part.marked)
        return {tp: offset for tp, offset in allowed.items() if offset > 0}

    async def on_revoke(self, revoked: set[TP]) -> None:
        """Publishes and marks what was fed, as far as the deadline allows, then forgets the partitions: another may
        own them now.
        """
        numbers = [tp.partition for tp in revoked if tp.topic == self.names.bars and tp.partition in self.partitions]
        parts = [self.partitions.pop(number) for number in numbers]
        for number in numbers:
            self._publishers.pop(number).cancel()
        deadline = min(self.config.worker.delivery_timeout, self.config.kafka.session_timeout)
        results = await asyncio.gather(*(self._finish(part, deadline) for part in parts), return_exceptions=True)
        for part, result in zip(parts, results, strict=True):
            self.counts += part.counts
            if isinstance(result, BaseException):
                log.warning("bars/%d: the last commit before it was given up failed: %r", part.number, result)

    async def _finish(self, part: Partition, deadline: float) -> None:
        async with asyncio.timeout(deadline), part.lock:
            await self._publish(part)
            if part.published > part.marked:
                await self._mark(part)

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        """Restores the bars partitions that this worker now owns."""
        self.generation = generation
        numbers = sorted(tp.partition for tp in assigned if tp.topic == self.names.bars)
        began = self.clock()
        plans = await asyncio.gather(*(self._plan(number) for number in numbers))
        for number, restored in zip(numbers, plans, strict=True):
            self.open(number, restored)
        if numbers:
            log.info("partitions %s restored in %.2f s", ", ".join(map(str, numbers)), self.clock() - began)

    async def _plan(self, number: int) -> Plan:
        kafka = self.config.kafka
        stored = await load(kafka, number)
        begin, end = await offset_range(kafka, self.names.bars, number)
        restored = plan(stored, self.strategies, self.names.bars, number, begin, end)
        if restored.why_rebuilt:
            log.warning(
                "bars/%d: states are folded again from offset %d: %s", number, restored.position, restored.why_rebuilt
            )
        return restored

    def open(self, number: int, restored: Plan) -> None:
        """Takes a partition over, as planned, and begins to publish."""
        source = Source(self.names.bars, number, self.version)
        pipeline = Pipeline(self.strategies, source)
        intake = Intake(number, self.partition_count, self.config.kafka.partitioner)
        part = Partition(number, self.names, intake, pipeline, restored)
        self.partitions[number] = part
        self._publishers[number] = asyncio.create_task(self._keep_publishing(part), name=f"publish-{number}")

    async def feed(self, chunk: Chunk) -> None:
        """One chunk, whole and without an await; then waits while too much is pending."""
        part = self.partitions.get(chunk.tp.partition)
        if part is None or chunk.generation != self.generation:
            return
        try:
            part.feed(chunk)
        except PluginError as error:
            self.die(Exit.PLUGIN, str(error))
        while len(part.pending) > self.config.worker.pending and self.partitions.get(part.number) is part:
            part.drained.clear()
            await part.drained.wait()

    async def _keep_publishing(self, part: Partition) -> None:
        """Publishes as soon as there is something, marks at least every `commit_interval`, takes snapshots now and
        then.
        """
        settings = self.config.worker
        marked_at = snapshot_at = self.clock()
        try:
            while True:
                wait = settings.commit_interval if part.published > part.marked else None
                await _wait(part.wake, wait)
                part.wake.clear()
                async with asyncio.timeout(settings.delivery_timeout), part.lock:
                    await self._publish(part)
                    if part.published > part.marked and self.clock() - marked_at >= settings.commit_interval:
                        await self._mark(part)
                        marked_at = self.clock()
                    if self._round_due(part, snapshot_at):
                        await self._snapshot(part)
                        snapshot_at = self.clock()
        except asyncio.CancelledError:
            raise
        except TimeoutError:
            self.die(
                Exit.BROKER,
                f"bars/{part.number}: the broker did not acknowledge within {settings.delivery_timeout:g} s",
            )
        except Exception as error:
            log.exception("bars/%d: publishing failed", part.number)
            self.die(Exit.BROKER, f"bars/{part.number}: publishing failed: {error!r}")

    async def _publish(self, part: Partition) -> None:
        records, position = part.take()
        if records:
            await self._write(part, records)
        part.published = position

    async def _mark(self, part: Partition) -> None:
        """The marker covers acknowledged signals only: `published` moves after their acknowledgement."""
        offset = part.published
        await self._write(part, [part.marker_record()])
        part.marked = max(part.marked, offset)

    def _round_due(self, part: Partition, last: float) -> bool:
        bars = part.published - part.snapshot_position
        return bars > BARS_BETWEEN_ROUNDS or (bars > 0 and self.clock() - last >= self.config.worker.snapshot_interval)

    async def _snapshot(self, part: Partition) -> None:
        """A round of snapshots, its roster, and the marker that names it; states are copied at once, written at
        leisure.
        """
        capture = part.capture()
        records = part.round_records(capture)
        for first in range(0, len(records), ROUND_BATCH):
            await self._write(part, records[first : first + ROUND_BATCH])
            await self._publish(part)
        part.complete(capture, records[-1])
        await self._mark(part)

    async def _write(self, part: Partition, records: Sequence[Record]) -> None:
        if self._writer is None:
            raise ConfigurationError("the worker has no producer yet")
        await self._writer.write(part.number, records)

    def totals(self) -> Counter[str]:
        """What happened since the start, over all partitions ever owned."""
        return sum((part.counts for part in self.partitions.values()), self.counts.copy())


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
