"""The owner of partitions of `trades`: restores the open bars, feeds them trades, publishes bars that close."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from plugins.fold.trades.grid import sessions_of
from plugins.fold.trades.kinds import TIME, BarKind, TimeRules
from schemas.configuration import Config, Trades
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import TradeDecoder
from streams.consuming.trade_intake import TradeIntake
from streams.consuming.transport import Chunk
from streams.kafka.log import KafkaLog
from streams.owners.chunk_owner import ChunkOwner
from streams.owners.publisher import PartitionPublisher
from streams.owners.trades.partition import TradesPartition
from streams.owners.trades.stored import StoredBars, build_plan, load_bars
from streams.process.exits import Die
from streams.process.failpoints import failpoint
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.plan import check_not_shorter

log = logging.getLogger("alphawire.trades")

PIECE = 500
ROUND_BATCH = 500
TICKS = 0.2
"""Seconds between looks for bars that are over."""


class TradesPublisher(PartitionPublisher[TradesPartition]):
    """That of a partition of trades."""

    async def _snapshot(self) -> None:
        """A round of states, and the marker that names it. A state on the log says that what it includes is dealt with,
        so that is acknowledged first.
        """
        part = self.part
        offset, states, counts = part.capture()
        while not part.acknowledged(offset):
            await self._publish()
        for first in range(0, len(states), ROUND_BATCH):
            await self.writer.write(part.number, states[first : first + ROUND_BATCH])
            failpoint("mid_open_bars")
            await self._publish()
        part.complete(offset, counts)
        await self._mark()


class TradesOwner(ChunkOwner[TradesPartition, StoredBars]):
    """Owner of partitions of `trades`, of which there are `count`. `wall_clock` (seconds since the epoch) says when a
    bar is over, `clock` measures how long a symbol is silent; `load` reads what the log knows of a partition.
    """

    def __init__(
        self,
        config: Config,
        count: int,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        load: Callable[[int], Awaitable[StoredBars]] | None = None,
    ) -> None:
        self.names = TopicNames.of(config.kafka)
        super().__init__("trades", self.names.trades, config, factory, die, clock, log, PIECE)
        self.partition_count = count
        self._kinds = kinds_of(config)
        self._wall_clock = wall_clock
        self._source, self._schemas = config.kafka.source_of("trades"), KafkaLog(config.kafka).schemas
        self._decoder = TradeDecoder(self._source, self._schemas) if self._source else None
        self._load = load or (lambda number: load_bars(KafkaLog(config.kafka), number))

    async def restore(self, numbers: Sequence[int]) -> Sequence[StoredBars]:
        return await asyncio.gather(*map(self._restore, numbers))

    async def _restore(self, number: int) -> StoredBars:
        stored = await self._load(number)
        failpoint("in_open_bars_load")
        check_not_shorter(f"{self.topic}/{number}", stored.end, stored.marked, "bars")
        return stored

    def open(self, number: int, restored: StoredBars, writers: Sequence[Writer]) -> TradesPartition:
        (writer,) = writers
        plan = build_plan(restored, self._kinds, self._source)
        if why := plan.why_rebuilt:
            log.warning("trades/%d: open bars are folded again from offset %d on: %s", number, plan.position, why)
        kafka, tolerance = self.config.kafka, self.config.worker.clock_tolerance
        bound = ClockBound(restored.refused, restored.marked, self._wall_clock, tolerance)
        intake = TradeIntake(number, self.partition_count, kafka.partitioner, bound, self._decoder)
        part = TradesPartition(number, self.names, intake, plan, restored, self.clock())
        self._publishers[number] = [
            TradesPublisher(part, writer, self.config.worker, self.die, self.clock, self.durations)
        ]
        log.info("trades/%d: from offset %d on; bars are published up to %d", number, plan.position, plan.publish_from)
        return part

    def beside(self, part: TradesPartition) -> Mapping[str, Callable[[], Awaitable[None]]]:
        if self.config.trades.grace is None or not any(kind.kind == TIME for kind in self._kinds):
            return {}
        return {"closing bars": lambda: self._tick_forever(part)}

    async def prepare(self, part: TradesPartition, piece: Chunk) -> None:
        await part.intake.prepare(piece.records)

    def waits(self) -> str | None:
        return self._schemas.away if self._schemas else None

    def step_over(self, part: TradesPartition, piece: Chunk) -> None:
        part.feed_at(piece, self.clock())

    async def _tick_forever(self, part: TradesPartition) -> None:
        grace = self.config.trades.grace or 0.0
        while self.partitions.get(part.number) is part:
            await asyncio.sleep(TICKS)
            over = int(1000 * (self._wall_clock() - grace))
            self.counts["ticks_written"] += part.tick(over, self.clock(), grace)


def kinds_of(config: Config) -> dict[BarKind, TimeRules]:
    """The configured kinds of bars, with the rules of time bars; `ConfigurationError` for one that is none, and for a
    session that there is not.
    """
    return {kind: _rules(kind, config.trades) for kind in map(BarKind.of, config.trades.bars)}


def _rules(kind: BarKind, trades: Trades) -> TimeRules:
    if kind.kind != TIME:
        return TimeRules()
    digest = sessions_of(int(kind.size), trades.session).digest if trades.session else None
    return TimeRules(round(1000 * trades.lateness), trades.session, digest, trades.flat)
