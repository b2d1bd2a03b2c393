"""The owner of partitions of `bars`: restores their strategies, feeds them bars, publishes their signals.

A partition has a second track where strategies use news (`streams.owners.side_inputs`), with a writer and a marker of
its own.

An owner without a broker, whose log is empty: it says what is in force, publishes a signal for the bar, and marks it.

>>> from types import SimpleNamespace
>>> from plugins.strategy.ready import ready_strategy
>>> from schemas.configuration import Strategy
>>> from schemas.wire import Bar, encode
>>> from streams.publishing.writer import SharedWriterFactory
>>> from streams.recovery.plan import resume_plan
>>> from streams.recovery.state import StoredState
>>> strategy = ready_strategy("demo", Strategy.model_validate({
...     "interval": "1m", "features": ["technical.rsi"], "prediction": "rsi", "start": "earliest",
...     "signal": {"key": "signal.threshold", "buy_threshold": 70, "sell_threshold": 30},
... }))
>>> class Printed:
...     transactional = False
...     async def write(self, partition, records):
...         print(partition, [record.topic for record in records])
>>> class Example(BarsOwner):
...     async def restore(self, numbers):
...         return [[resume_plan(StoredState(), self.strategies, "bars", number, 0, 0)] for number in numbers]
>>> bar = Bar("AAPL", "1m", 0, 60_000, 10.0, 11.0, 9.0, 10.5, 100.0)
>>> record = SimpleNamespace(topic="bars", partition=0, offset=0, key=b"AAPL", value=encode(bar), timestamp=0)
>>> async def life(owner):
...     await owner.on_assigned({TP("bars", 0)}, generation=1)
...     await owner.feed(Chunk(TP("bars", 0), 1, 0, 1, [record]))
...     await owner.on_revoke({TP("bars", 0)})
...     return owner.totals()["signals"]
>>> asyncio.run(life(Example(Config(), [strategy], 1, "1.0", SharedWriterFactory(Printed()), die=print)))
0 ['control']
0 ['signals']
0 ['state']
1
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from faust.types import TP

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.side_inputs.news.join import Joining, NewsJoin
from plugins.side_inputs.references import ReferenceJoin
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import Decoders
from streams.consuming.intake import Intake, log_intake
from streams.consuming.side_inputs import Follow, follow
from streams.consuming.transport import Chunk
from streams.kafka.log import KafkaLog
from streams.kafka.partitioner import partition_of
from streams.owners.bars_partition import BarsPartition, LaggingStrategies
from streams.owners.catch_up import Reader, catch_up, log_reader
from streams.owners.chunk_owner import ChunkOwner
from streams.owners.publisher import BarsPublisher, PartitionPublisher
from streams.owners.shadows import Shadows
from streams.owners.side_inputs.news_track import NewsPartition, NewsTrack
from streams.owners.side_inputs.references import References
from streams.process.exits import Die
from streams.process.failpoints import failpoint
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.plan import ResumePlan, run_settings
from streams.recovery.resume_planner import ResumePlanner
from streams.recovery.state import load_control
from streams.requests.control_requests import ControlRequests
from streams.requests.symbol_places import SymbolPlaces

log = logging.getLogger("alphawire.worker")

PIECE_SECONDS = 0.05
FIRST_PIECE = 50
NO_NEWS = Joining(scorer="none")
COUNTED_OF_NEWS = ("signals", "predictions", "dead_letters", "failed", "foreign_news")
"""Of the second track. Records are counted by the first."""


async def nothing_to_hear() -> None:
    """No control requests come while a worker runs without a broker."""


class BarsOwner(ChunkOwner[BarsPartition, list[ResumePlan]]):
    """Owner of partitions of `bars`, of which there are `count`.

    `version` goes into the provenance of signals. `hear_requests` brings `requests` and `places` up to what the log
    holds now. `wall_clock` (seconds since the epoch) bounds the times of bars; `clock` measures. `reader` gives a
    partition's bars from an offset on; `followed` follows one of another topic, or of bars.
    """

    def __init__(
        self,
        config: Config,
        strategies: Sequence[ReadyStrategy],
        count: int,
        version: str,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], float] = time.monotonic,
        *,
        wall_clock: Callable[[], float] = time.time,
        requests: ControlRequests | None = None,
        hear_requests: Callable[[], Awaitable[None]] = nothing_to_hear,
        shadows: Shadows | None = None,
        places: SymbolPlaces | None = None,
        reader: Callable[[int], Reader] | None = None,
        followed: Callable[[str, int], Follow] | None = None,
        names: TopicNames | None = None,
    ) -> None:
        kafka, names = config.kafka, names or TopicNames.of(config.kafka)
        self.requests = requests or ControlRequests(strategies, config.strategies)
        self._restorer = ResumePlanner(config, strategies, count, factory, self.requests)
        super().__init__("bars", names.bars, config, factory, die, clock, log, FIRST_PIECE, self._restorer.tracks)
        self.names = names
        self.strategies = strategies
        self.partition_count = count
        self.version = version
        self.shadows = shadows or Shadows()
        self.places = places or SymbolPlaces(names.bars)
        self.news_tracks: dict[int, NewsTrack] = {}
        """The second track of each partition, where strategies use news."""
        self._schemas = KafkaLog(kafka).schemas
        self._decoders = Decoders(kafka.bars_source, self._schemas)
        self.wall_clock = wall_clock
        self._hear_requests = hear_requests
        self._followed = followed or (lambda name, number: follow(kafka, name, number, factory.exactly_once))
        self._reader = reader or (lambda number: log_reader(kafka, names.bars, number))
        self.requests.on_accepted(self.fulfil)

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        began = self.clock()
        await super().on_assigned(assigned, generation)
        numbers = ", ".join(map(str, self._own(assigned))) or "none"
        log.info("partitions %s restored in %.2f s", numbers, self.clock() - began)

    async def on_revoke(self, revoked: set[TP]) -> None:
        if self.partitions.keys() & set(self._own(revoked)):
            failpoint("in_revoke")
        await super().on_revoke(revoked)

    async def restore(self, numbers: Sequence[int]) -> Sequence[list[ResumePlan]]:
        """A plan for each track. Control requests are heard first, else a partition could go back to what a former
        owner was asked to leave.
        """
        await self._hear_requests()
        return await asyncio.gather(*map(self._restorer.plans, numbers))

    def open(self, number: int, restored: list[ResumePlan], writers: Sequence[Writer]) -> BarsPartition:
        bound = self._clock_bound(restored)
        part = self._first_track(number, restored[0], bound)
        publishers: list[PartitionPublisher[Any]] = [self._publisher(part, writers[0])]
        if len(restored) > 1:
            track = self.news_tracks[number] = self._news_track(part, restored[1], bound)
            publishers.append(self._publisher(track.part, writers[1]))
        self._publishers[number] = publishers
        return part

    def _clock_bound(self, restored: Sequence[ResumePlan]) -> ClockBound:
        """One for all tracks, so that they take the same bars."""
        settled = max(plan.marked for plan in restored)
        return ClockBound(restored[0].refused, settled, self.wall_clock, self.config.worker.clock_tolerance)

    def _first_track(self, number: int, restored: ResumePlan, bound: ClockBound) -> BarsPartition:
        source, shadows = self._source(number, restored), self.shadows.ready
        late = [strategy for strategy in restored.strategies if strategy.name in restored.behind]
        settings = run_settings(restored, shadows, restored.behind, self.durations.bar.lap)
        pipeline = Pipeline(restored.strategies, source, settings, isolated=True)
        lagging = None
        if late:
            own = Pipeline(late, source, run_settings(restored, shadows), isolated=True)
            lagging = LaggingStrategies(own, self._intake(number, restored, bound), restored)
        ended, intake = self._end_without_strategies, self._intake(number, restored, bound)
        return BarsPartition(number, self.names, intake, pipeline, restored, lagging, ended, self.places)

    def _news_track(self, first: BarsPartition, restored: ResumePlan, bound: ClockBound) -> NewsTrack:
        """The second track, beside the `first`."""
        number, config = first.number, self.config
        of_news = [strategy for strategy in restored.strategies if strategy.uses_news]
        join = NewsJoin(of_news[0].joining if of_news else NO_NEWS, partition=number)
        source = self._source(number, restored)
        settings = run_settings(restored, self.shadows.ready, lap=self.durations.bar.lap)
        pipeline = Pipeline(restored.strategies, source, settings, join if of_news else None, isolated=True)
        intake = self._intake(number, restored, bound)
        part = NewsPartition(first, intake, pipeline, restored, self._end_without_strategies)
        return NewsTrack(
            part, join, self._followed("news.scores", number) if of_news else None, self._reader(number),
            config.news.grace, config.worker.pending, self.clock, self._references(part),
        )  # fmt: skip

    def _references(self, part: NewsPartition) -> References | None:
        """What stands beside the bars of its second track."""
        if not any(group.wanted for group in part.pipeline.groups.values()):
            return None
        join, kafka, worker = ReferenceJoin(part.number), self.config.kafka, self.config.worker
        part.pipeline.refer_to(join)
        return References(
            part, part.pipeline, join, self.names.side_inputs, part.put_side_inputs,
            self._followed("side.inputs", part.number), lambda number: self._followed("bars", number),
            lambda symbol: partition_of(symbol.encode(), self.partition_count, kafka.partitioner),
            self._intake_of_others, worker.reference_grace, worker.pending, self.clock,
        )  # fmt: skip

    async def _intake_of_others(self, number: int) -> Intake:
        """Reads a partition as its owner does, whoever that is."""
        kafka = KafkaLog(self.config.kafka)
        control = await load_control(kafka, number)
        bound = ClockBound(control.refused, 0, self.wall_clock, self.config.worker.clock_tolerance)
        return log_intake(kafka, number, self.partition_count, control.partitioners, bound)

    def _source(self, number: int, restored: ResumePlan) -> Source:
        return Source(self.names.bars, number, self.version, restored.left_out)

    def _publisher(self, part: BarsPartition, writer: Writer) -> BarsPublisher:
        for name in list(part.plan.applied):
            self._request(part, name)
        return BarsPublisher(part, writer, self.config.worker, self.die, self.clock, self.durations)

    def beside(self, part: BarsPartition) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Strategies that are behind catch up; those that use news are fed when it is known."""
        work: dict[str, Callable[[], Awaitable[None]]] = {}
        if part.behind is not None:
            reader = self._reader(part.number)
            work["catching up"] = lambda: catch_up(part, reader, self.config.worker.pending, self.clock)
        if (track := self.news_tracks.get(part.number)) is not None:
            work["joining side inputs"] = track.run
        return work

    async def prepare(self, part: BarsPartition, piece: Chunk) -> None:
        await part.intake.prepare(piece.records)

    def waits(self) -> str | None:
        return self._schemas.away if self._schemas else None

    def stop(self, part: BarsPartition) -> None:
        super().stop(part)
        self.news_tracks.pop(part.number, None)

    def tracks_of(self, part: BarsPartition) -> list[BarsPartition]:
        track = self.news_tracks.get(part.number)
        return [part, track.part] if track else [part]

    def fulfil(self, name: str) -> None:
        """What is requested for the strategy has changed."""
        for part in self.partitions.values():
            for track in self.tracks_of(part):
                self._request(track, name)

    def _request(self, part: BarsPartition, name: str) -> None:
        if name in part.plan.applied:
            for switch in self.requests.switches(name):
                part.request(switch)

    def _intake(self, number: int, plan: ResumePlan, bound: ClockBound) -> Intake:
        kafka = self.config.kafka
        return Intake(number, self.partition_count, kafka.partitioner, bound, plan.partitioners, self._decoders)

    def step_over(self, part: BarsPartition, piece: Chunk) -> None:
        """Feeds both tracks, and sizes the pieces so that each takes about `PIECE_SECONDS`, however slow a plugin."""
        began = self.clock()
        part.feed(piece)
        if track := self.news_tracks.get(part.number):
            track.hold(piece)
        per_record = max(self.clock() - began, 1e-6) / len(piece.records)
        self._piece = min(max(int(PIECE_SECONDS / per_record), 1), self.config.worker.chunk)

    def _end_without_strategies(self) -> None:
        """A worker whose every strategy failed on every partition has nothing left to do."""
        tracks = [track for part in self.partitions.values() for track in self.tracks_of(part)]
        if all(name in track.failures for track in tracks for name in track.pipeline.runs):
            self._end_for_failures()

    def counted(self, part: BarsPartition) -> Counter[str]:
        counts = part.counts.copy()
        if track := self.news_tracks.get(part.number):
            counts += Counter({name: track.part.counts[name] for name in COUNTED_OF_NEWS})
        return counts
