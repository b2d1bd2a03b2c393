"""The owner of partitions of `predictions`: restores cross-sections, feeds them, closes them in time, publishes their
signals.

It runs beside the owner of the bars on the same loop, with writers of its own: with transactions those fence the former
owner of a partition of `predictions`, whoever owns the bars.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from plugins.strategy.model_exchange import mended, recreated
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from streams.consuming.transport import Chunk
from streams.kafka.log import KafkaLog
from streams.owners.chunk_owner import ChunkOwner
from streams.owners.cross_section_partition import CrossSectionPartition
from streams.owners.publisher import PartitionPublisher, until_set
from streams.process.exits import Die
from streams.process.failpoints import failpoint
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.cross_section_state import CrossSectionState, load_cross_sections
from streams.recovery.plan import check_not_shorter

log = logging.getLogger("alphawire.gatherer")

PIECE = 500


class CrossSectionPublisher(PartitionPublisher[CrossSectionPartition]):
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


class CrossSectionOwner(ChunkOwner[CrossSectionPartition, CrossSectionState]):
    """Owner of partitions of predictions, of which there are `count`. `load` reads the state of one; `requested`: with
    the models that requests have brought here.
    """

    def __init__(
        self,
        config: Config,
        strategies: Sequence[ReadyStrategy],
        count: int,
        names: TopicNames,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[int], Awaitable[CrossSectionState]] | None = None,
        requested: Callable[[str], Iterable[ReadyStrategy]] = lambda name: (),
    ) -> None:
        super().__init__("predictions", names.predictions, config, factory, die, clock, log, PIECE)
        self.names = names
        self.strategies = strategies
        self.partition_count = count
        self._requested = requested
        self.log_end: Callable[[int], int | None] = lambda _: None
        """Where a partition ends, as far as is known. The app says it, which is made with this owner."""
        predicting = {strategy.name for strategy in strategies if strategy.section}
        self._load = load or (lambda number: load_cross_sections(KafkaLog(config.kafka), number, predicting))
        self._fed: dict[int, asyncio.Event] = {}

    async def restore(self, numbers: Sequence[int]) -> Sequence[CrossSectionState]:
        return await asyncio.gather(*map(self._restore, numbers))

    async def _restore(self, number: int) -> CrossSectionState:
        stored = await self._load(number)
        failpoint("in_gathered_load")
        check_not_shorter(f"{stored.topic}/{number}", stored.written, stored.reached)
        return stored

    def open(self, number: int, restored: CrossSectionState, writers: Sequence[Writer]) -> CrossSectionPartition:
        (writer,) = writers
        part = CrossSectionPartition(
            number,
            self.names,
            self.strategies,
            self.partition_count,
            restored,
            self.clock,
            writer.transactional,
            lambda name, digest: self._found(restored, name, digest),
        )
        self._publishers[number] = [
            CrossSectionPublisher(part, writer, self.config.worker, self.die, self.clock, self.durations)
        ]
        self._fed[number] = asyncio.Event()
        return part

    def _found(self, stored: CrossSectionState, name: str, digest: str) -> ReadyStrategy | None:
        """With the model of a request, else as it was applied, by code that was mended since, too; what cannot be made
        here is looked for once.
        """
        for strategy in self._requested(name):
            if (known := strategy.as_of(digest)) is not None:
                return known
        if (entry := stored.applied.pop((name, digest), None)) is None:
            return None
        ours = next(strategy for strategy in self.strategies if strategy.name == name)
        return recreated(entry, self.config) or mended(entry, ours)

    def beside(self, part: CrossSectionPartition) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {"closing cross-sections": lambda: self._close_in_time(part)}

    def stop(self, part: CrossSectionPartition) -> None:
        super().stop(part)
        del self._fed[part.number]

    def step_over(self, part: CrossSectionPartition, piece: Chunk) -> None:
        super().step_over(part, piece)
        self._end_without_strategies()
        self._fed[part.number].set()

    async def _close_in_time(self, part: CrossSectionPartition) -> None:
        fed = self._fed[part.number]
        while self.partitions.get(part.number) is part:
            await until_set(fed, part.decide(self.log_end(part.number)))
            fed.clear()

    def _end_without_strategies(self) -> None:
        """A worker has nothing left to do when every strategy that it is configured with has failed here."""
        failed = {failure.strategy for _, failure in self.failures()}
        if failed and failed == self.config.strategies.keys():
            self._end_for_failures()
