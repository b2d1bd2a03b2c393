"""The owner of partitions of `predictions`: takes them over, feeds them, closes cross-sections in time, publishes what
they come to, lets them go.

It works as `streams.owners.worker` does for the bars, beside it on the same loop, with writers of its own: with
transactions those fence the former owner of a partition of `predictions`, whoever owns the bars.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka.errors import KafkaError
from faust.types import TP

from plugins.pipeline.failure import Failure
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.errors import BrokerError, ConfigurationError
from streams.consuming.transport import Chunk
from streams.kafka.log import KafkaLog
from streams.owners.cross_section_partition import CrossSectionPartition
from streams.owners.partition import Names
from streams.owners.publisher import Publishing, until_set
from streams.process.exits import Die, Exit, cause, no_silent_end
from streams.process.failpoints import failpoint
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.cross_section_state import CrossSectionState, load_gathered
from streams.recovery.plan import check_not_shorter
from streams.recovery.takeover import take_over

log = logging.getLogger("alphawire.gatherer")

PIECE = 500


class CrossSectionPublisher(Publishing[CrossSectionPartition]):
    """That of a partition of predictions. A state needs no others, so there are no rounds that must be whole."""

    async def _publish(self) -> None:
        await super()._publish()
        if self.part.wrote:
            failpoint("after_gathered")

    async def _snapshot(self) -> None:
        offset, records = self.part.position, self.part.state_records()
        while not self.part.acknowledged(offset):
            await self._publish()
        await self.writer.write(self.part.number, records)


class CrossSectionOwner:
    """Owner of partitions of predictions, `count` of them; `log_end` tells where one ends, as far as is known."""

    def __init__(
        self,
        config: Config,
        strategies: Sequence[ReadyStrategy],
        count: int,
        names: Names,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[int], Awaitable[CrossSectionState]] | None = None,
    ) -> None:
        self.config = config
        self.strategies = strategies
        self.partition_count = count
        self.names = names
        self.factory = factory
        self.die = die
        self.clock = clock
        self.log_end: Callable[[int], int | None] = lambda _: None
        self.partitions: dict[int, CrossSectionPartition] = {}
        self.counts: Counter[str] = Counter()
        self.generation = -1
        self._load = load or (lambda number: load_gathered(KafkaLog(config.kafka), number))
        self._publishers: dict[int, CrossSectionPublisher] = {}
        self._deciding: dict[int, asyncio.Task[None]] = {}
        self._stirred: dict[int, asyncio.Event] = {}
        self._left_at: dict[int, int] = {}
        self._epoch = 0

    def positions(self) -> Mapping[TP, int]:
        return {TP(self.names.predictions, number): part.position for number, part in self.partitions.items()}

    def committable(self, offsets: Mapping[TP, int]) -> dict[TP, int]:
        """Group offsets that may be committed: of predictions nothing beyond what is marked."""
        marked = self._left_at | {number: part.marked for number, part in self.partitions.items()}
        allowed = {
            tp: min(offset, marked.get(tp.partition, 0)) if tp.topic == self.names.predictions else offset
            for tp, offset in offsets.items()
        }
        return {tp: offset for tp, offset in allowed.items() if offset > 0}

    async def on_revoke(self, revoked: set[TP]) -> None:
        """Publishes and marks what was fed, as far as the deadline allows, then forgets the partitions."""
        self._epoch += 1
        numbers = [tp.partition for tp in revoked if tp.topic == self.names.predictions]
        numbers = [number for number in numbers if number in self.partitions]
        for number in numbers:
            self.counts += self.partitions.pop(number).counts
            self._stirred.pop(number)
            self._deciding.pop(number).cancel()
        deadline = min(self.config.worker.delivery_timeout, self.config.kafka.session_timeout)
        publishers = [self._publishers.pop(number) for number in numbers]
        await asyncio.gather(*(publisher.close(deadline) for publisher in publishers))
        self._left_at |= {publisher.part.number: publisher.part.marked for publisher in publishers}
        await asyncio.gather(*(self.factory.close(publisher.writer) for publisher in publishers))

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        """Restores the partitions of predictions that this worker now owns; ends the process when that cannot be."""
        numbers = sorted(tp.partition for tp in assigned if tp.topic == self.names.predictions)
        epoch = self._epoch
        try:
            async with asyncio.timeout(self.config.worker.delivery_timeout):
                taken = await take_over("predictions", self.factory, numbers, self._plan, lambda: epoch == self._epoch)
                if taken is not None:
                    self.generation = generation
                    opening = zip(numbers, *taken, strict=True)
                    await asyncio.gather(*(self.open(number, stored, *own) for number, stored, own in opening))
        except ConfigurationError as error:
            self.die(Exit.CONFIGURATION, str(error))
        except (BrokerError, KafkaError, TimeoutError) as error:
            self.die(cause(error), f"predictions {numbers} cannot be taken over: {error or 'no answer in time'!r}")

    async def _plan(self, number: int) -> CrossSectionState:
        stored = await self._load(number)
        failpoint("in_gathered_load")
        check_not_shorter(f"{stored.topic}/{number}", stored.written, stored.reached)
        return stored

    async def open(self, number: int, stored: CrossSectionState, writer: Writer) -> None:
        """Takes a partition over and begins to publish."""
        part = CrossSectionPartition(
            number, self.names, self.strategies, self.partition_count, stored, self.clock, writer.transactional
        )
        publisher = CrossSectionPublisher(part, writer, self.config.worker, self.die, self.clock)
        self.partitions[number], self._publishers[number] = part, publisher
        self._stirred[number] = asyncio.Event()
        await publisher.start()
        self._deciding[number] = asyncio.create_task(self._decide_in_time(part), name=f"decide-{number}")

    async def feed(self, chunk: Chunk) -> None:
        """One chunk, in pieces, so that what else the loop has to do does not wait. Then waits while too much is
        pending.
        """
        for piece in chunk.pieces(PIECE):
            part = self.partitions.get(chunk.tp.partition)
            if part is None or chunk.generation != self.generation:
                return
            self._feed(part, piece)
            self._stirred[part.number].set()
            await asyncio.sleep(0)
            while part.waiting > self.config.worker.pending and self.partitions.get(part.number) is part:
                part.drained.clear()
                await part.drained.wait()

    def _feed(self, part: CrossSectionPartition, chunk: Chunk) -> None:
        where = {"partition": part.number, "offset": chunk.start}
        try:
            part.feed(chunk)
            self._end_without_strategies()
        except Exception as error:
            log.exception("%s: the chunk from offset %d failed", part.place, chunk.start, extra=where)
            self.die(Exit.FAILED, f"{part.place}: the chunk from offset {chunk.start} failed: {error!r}", **where)

    async def _decide_in_time(self, part: CrossSectionPartition) -> None:
        stirred = self._stirred[part.number]
        with no_silent_end(self.die, f"{part.place}: closing", partition=part.number):
            try:
                while self.partitions.get(part.number) is part:
                    await until_set(stirred, part.decide(self.log_end(part.number)))
                    stirred.clear()
            except Exception as error:
                log.exception("%s: closing failed", part.place)
                self.die(Exit.FAILED, f"{part.place}: closing failed: {error!r}", partition=part.number)

    def failures(self) -> list[tuple[int, Failure]]:
        """Partition and failure of every strategy that stopped."""
        return [(n, failure) for n, part in sorted(self.partitions.items()) for failure in part.failures.values()]

    def _end_without_strategies(self) -> None:
        """A worker has nothing left to do when every strategy that it is configured with has failed here."""
        failures = self.failures()
        if failures and {failure.strategy for _, failure in failures} == self.config.strategies.keys():
            number, failure = failures[-1]
            where = {"partition": number, "offset": failure.offset}
            self.die(Exit.PLUGIN, f"every strategy has failed; {failure.strategy} on {failure.reason}", **where)

    def totals(self) -> Counter[str]:
        """What happened since the start, over all partitions ever owned."""
        return sum((part.counts for part in self.partitions.values()), self.counts.copy())
