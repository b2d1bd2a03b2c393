"""An owner whose partitions are fed by the chunk transport, and whose output goes through publishers.

Everything here runs on the app's event loop. The order that makes it safe: a marker is written only when every signal
that it covers is acknowledged, and states are restored before the first record after a rebalance is read.
"""

import asyncio
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from faust.types import TP

from plugins.pipeline.outcome import Failure
from schemas.configuration import Config
from schemas.errors import BrokerError
from streams.consuming.transport import Chunk
from streams.owners.fed_partition import FedPartition
from streams.owners.life_cycle import PartitionOwner, Restored
from streams.owners.publisher import PartitionPublisher
from streams.process import trace
from streams.process.durations import ServiceDurations
from streams.process.exits import Die, Exit, no_silent_end
from streams.publishing.tallies import Tally
from streams.publishing.writer import Writer, WriterFactory

Part = TypeVar("Part", bound=FedPartition)


class ChunkOwner(PartitionOwner[Part, Restored]):
    """Owner of the partitions of `topic` (see `streams.consuming.transport.Owner`). A chunk is fed in pieces of `piece`
    records, so that what else the loop has to do (heartbeats, pages, a stop) does not wait.
    """

    def __init__(
        self,
        kind: str,
        topic: str,
        config: Config,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], float],
        log: logging.Logger,
        piece: int,
        tracks: Sequence[str] = ("",),
    ) -> None:
        super().__init__(kind, factory, die, config.worker.delivery_timeout, tracks)
        self.config = config
        self.clock = clock
        self.topic = topic
        self._piece = piece
        self._log = log
        self.partition_count = 0
        """Of the topic, whoever owns them; a subclass knows it."""
        self._publishers: dict[int, list[PartitionPublisher[Any]]] = {}
        self.durations = ServiceDurations()
        self._written: Tally = Counter()
        """Of the partitions that are no longer owned."""
        self._tasks: dict[int, list[asyncio.Task[None]]] = {}
        self._left_at: dict[int, int] = {}
        self.up = asyncio.Event()
        """Has it taken over what the group gave it first?"""

    @property
    def topics(self) -> Collection[str]:
        """That of its partitions."""
        return (self.topic,)

    def positions(self) -> Mapping[TP, int]:
        """Where each partition is read on."""
        return {TP(self.topic, number): part.position for number, part in self.partitions.items()}

    def marked(self) -> Mapping[TP, int]:
        """Everything before this offset is on the log, of every track, and the log says so."""
        marked = self._left_at | {number: self._marked(number) for number in self.partitions}
        return {TP(self.topic, number): offset for number, offset in marked.items()}

    def tracks_of(self, part: Part) -> Sequence[FedPartition]:
        """The partition, and what else is published for it."""
        return [part]

    def published(self, number: int) -> int:
        """Everything before this offset is on the log, of every track."""
        return min(track.published for track in self.tracks_of(self.partitions[number]))

    def _marked(self, number: int) -> int:
        return min(track.marked for track in self.tracks_of(self.partitions[number]))

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        """Takes over what is the owner's of all that was `assigned`."""
        await self.take_over(self._own(assigned), generation)
        self.up.set()

    async def on_revoke(self, revoked: set[TP]) -> None:
        """Publishes and marks what was fed, as far as the deadline allows, then forgets the partitions."""
        await self.let_go(self._own(revoked))

    def _own(self, tps: set[TP]) -> list[int]:
        return sorted(tp.partition for tp in tps if tp.topic == self.topic)

    async def start(self, part: Part) -> None:
        """What was applied is on the log when this returns, and what goes on beside the feeding has begun."""
        for publisher in self._publishers[part.number]:
            await publisher.start()
            if self.partitions.get(part.number) is not part:
                return
        self._tasks[part.number] = [
            asyncio.create_task(self._guarded(part.number, what, work), name=f"{what}-{part.number}")
            for what, work in self.beside(part).items()
        ]

    @abstractmethod
    def beside(self, part: Part) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What goes on beside the feeding for as long as the partition is owned, by what it is."""

    async def _guarded(self, number: int, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Ends the process when the work cannot go on: a worker without it would hold its partition and do nothing."""
        place = self.place([number])
        with no_silent_end(self.die, f"{place}: {what}", partition=number):
            try:
                await work()
            except (BrokerError, KafkaError) as error:
                self.die(Exit.BROKER, f"{place}: {what} cannot read on: {error!r}", partition=number)
            except Exception as error:
                self._log.exception("%s: %s failed", place, what)
                self.die(Exit.FAILED, f"{place}: {what} failed: {error!r}", partition=number)

    def stop(self, part: Part) -> None:
        self.counts += self.counted(part)
        for task in self._tasks.pop(part.number, ()):
            task.cancel()

    async def finish(self, part: Part) -> Sequence[Writer]:
        deadline = min(self.config.worker.delivery_timeout, self.config.kafka.session_timeout)
        publishers = self._publishers.pop(part.number)
        await asyncio.gather(*(publisher.close(deadline) for publisher in publishers))
        self._left_at[part.number] = min(publisher.part.marked for publisher in publishers)
        self._written += _all_written(publishers)
        return [publisher.writer for publisher in publishers]

    async def feed(self, chunk: Chunk) -> None:
        """One chunk, in pieces. Then waits while too much is pending."""
        place = f"{self.topic}/{chunk.tp.partition}"
        trace.note("fed", place, chunk.next)
        for piece in chunk.pieces(self._piece):
            part = self.partitions.get(chunk.tp.partition)
            if part is None or chunk.generation != self.generation:
                return
            try:
                await self.prepare(part, piece)
                if self.partitions.get(part.number) is not part or chunk.generation != self.generation:
                    return
                if part.restored:
                    first = self._publishers[part.number][0]
                    first.times.note_read(piece.next, len(piece.records))
                self.step_over(part, piece)
                trace.note("decided", place, piece.next)
            except Exception as error:  # an agent that raises has its chunk acked all the same: records would be lost
                where = {"partition": part.number, "offset": piece.start}
                self._log.exception("%s: the chunk from offset %d failed", part.place, piece.start, extra=where)
                self.die(Exit.FAILED, f"{part.place}: the chunk from offset {piece.start} failed: {error!r}", **where)
            await asyncio.sleep(0)
            while part.waiting > self.config.worker.pending and self.partitions.get(part.number) is part:
                part.drained.clear()
                await part.drained.wait()

    def written(self) -> Tally:
        """What of each kind has been acknowledged since the start, over all partitions ever owned."""
        return self._written + _all_written(chain.from_iterable(self._publishers.values()))

    def snapshot_ages(self) -> dict[int, float]:
        """By partition, the seconds since its last round of snapshots."""
        return {number: publishers[0].snapshot_age() for number, publishers in sorted(self._publishers.items())}

    def waits(self) -> str | None:
        """What it waits for beside the broker, in words: until that comes, it does not get on."""
        return None

    async def prepare(self, part: Part, piece: Chunk) -> None:
        """Waits for what must be known before the partition can be fed."""

    def step_over(self, part: Part, piece: Chunk) -> None:
        """Feeds the partition."""
        part.feed(piece)

    def failures(self) -> list[tuple[int, Failure]]:
        """Partition and failure of every strategy that stopped."""
        return [
            (number, failure)
            for number, part in sorted(self.partitions.items())
            for track in self.tracks_of(part)
            for failure in track.failures.values()
        ]

    def _end_for_failures(self) -> None:
        number, failure = self.failures()[-1]
        where = {"partition": number, "offset": failure.offset}
        self.die(Exit.PLUGIN, f"every strategy has failed; {failure.strategy} on {failure.reason}", **where)


def _all_written(publishers: Iterable[PartitionPublisher[Any]]) -> Tally:
    return sum((publisher.part.written for publisher in publishers), Counter())
