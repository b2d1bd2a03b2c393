"""The owner of partitions: restores them when they come, feeds them, publishes what they say, lets them go.

Everything here runs on the app's event loop. The order that makes it safe: a marker is written only when every signal
that it covers is acknowledged, and states are restored before the first record after a rebalance is read.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka.errors import KafkaError
from faust.types import TP

from plugins.news.join import NewsJoin
from plugins.pipeline.failure import Failure
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.errors import BrokerError, ConfigurationError
from streams.consuming.intake import Intake
from streams.consuming.news_scores import follow_scores
from streams.consuming.transport import Chunk
from streams.kafka.topics import topic_name
from streams.owners.background import join_news, until_caught_up
from streams.owners.catch_up import Reader, log_reader
from streams.owners.news_track import NewsPartition, NewsSource, NewsTrack
from streams.owners.partition import Behind, Names, Partition
from streams.owners.publisher import Publisher
from streams.owners.shadows import Shadows
from streams.process.exits import Die, Exit, cause
from streams.process.failpoints import failpoint
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.plan import Plan
from streams.recovery.restoring import Restorer
from streams.recovery.takeover import take_over
from streams.requests.control_requests import ControlRequests

log = logging.getLogger("alphawire.worker")

TOPICS = ("bars", "signals", "state", "control", "dead-letters", "predictions.shadow", "predictions")
"""What `Names` names, in its order."""
PIECE_SECONDS = 0.05
FIRST_PIECE = 50


class Worker:
    """Owner of partitions (see `streams.consuming.transport.Owner`).

    `die(exit, reason)` ends the process; `partitions` of the bars topic are `count`; `version` goes into the
    provenance.
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
        reader: Callable[[int], Reader] | None = None,
        wishes: ControlRequests | None = None,
        shadows: Shadows | None = None,
        news: Callable[[int], NewsSource] | None = None,
    ) -> None:
        self.config = config
        self.wishes = wishes or ControlRequests(strategies, config.strategies)
        self.shadows = shadows or Shadows()
        self.hear_wishes: Callable[[], Awaitable[None]] | None = None
        """Brings `wishes` up to what the log holds now."""
        self.strategies = strategies
        self.partition_count = count
        self.version = version
        self.die = die
        self.clock = clock
        kafka = config.kafka
        self.names = Names(*(topic_name(kafka, name) for name in TOPICS))
        self.partitions: dict[int, Partition] = {}
        self.tracks: dict[int, NewsTrack] = {}
        """The second track of each of them, where strategies use news."""
        self.uses_news = any(strategy.uses_news for strategy in strategies)
        self.counts: Counter[str] = Counter()
        self.generation = -1
        self.factory = factory
        self._publishers: dict[tuple[int, str], Publisher] = {}
        self._catching_up: dict[int, asyncio.Task[None]] = {}
        self._following: dict[int, asyncio.Task[None]] = {}
        self._news = news or (lambda number: follow_scores(kafka, number, factory.exactly_once))
        self._reader = reader or (lambda number: log_reader(kafka, self.names.bars, number))
        self._restorer = Restorer(config, strategies, count, factory, self.wishes)
        self._left_at: dict[int, int] = {}
        self._epoch = 0
        self._piece = FIRST_PIECE

    def positions(self) -> Mapping[TP, int]:
        return {TP(self.names.bars, number): part.position for number, part in self.partitions.items()}

    def committable(self, offsets: Mapping[TP, int]) -> dict[TP, int]:
        marked = self._left_at | {number: self._marked(number) for number in self.partitions}
        allowed = {
            tp: min(offset, marked.get(tp.partition, 0)) if tp.topic == self.names.bars else offset
            for tp, offset in offsets.items()
        }
        return {tp: offset for tp, offset in allowed.items() if offset > 0}

    def _marked(self, number: int) -> int:
        return min(part.marked for part in self.parts(number))

    def published(self, number: int) -> int:
        """Everything before this offset is on the log, of either track."""
        return min(part.published for part in self.parts(number))

    def parts(self, number: int) -> list[Partition]:
        """The tracks of a partition."""
        return [self.partitions[number], *([self.tracks[number].part] if number in self.tracks else [])]

    async def on_revoke(self, revoked: set[TP]) -> None:
        """Publishes and marks what was fed, as far as the deadline allows, then forgets the partitions: another may
        own them now.
        """
        self._epoch += 1
        numbers = [tp.partition for tp in revoked if tp.topic == self.names.bars and tp.partition in self.partitions]
        if numbers:
            failpoint("in_revoke")
        for number in numbers:
            self.counts += self._counted(number)
            for tasks in (self._catching_up, self._following):
                if number in tasks:
                    tasks.pop(number).cancel()
            del self.partitions[number]
            self.tracks.pop(number, None)
        deadline = min(self.config.worker.delivery_timeout, self.config.kafka.session_timeout)
        publishers = [self._publishers.pop(key) for key in list(self._publishers) if key[0] in numbers]
        await asyncio.gather(*(publisher.close(deadline) for publisher in publishers))
        for number in numbers:
            self._left_at[number] = min(one.part.marked for one in publishers if one.part.number == number)
        await asyncio.gather(*(self.factory.close(publisher.writer) for publisher in publishers))

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        """Restores the bars partitions that this worker now owns, unless a new rebalance overtakes it; ends the process
        when that cannot be.
        """
        numbers = sorted(tp.partition for tp in assigned if tp.topic == self.names.bars)
        began = self.clock()
        try:
            async with asyncio.timeout(self.config.worker.delivery_timeout):
                await self._take_over(numbers, generation)
        except ConfigurationError as error:
            self.die(Exit.CONFIGURATION, str(error))
        except (BrokerError, KafkaError, TimeoutError) as error:
            self.die(cause(error), f"partitions {numbers} cannot be taken over: {error or 'no answer in time'!r}")
        log.info("partitions %s restored in %.2f s", ", ".join(map(str, numbers)) or "none", self.clock() - began)

    async def _take_over(self, numbers: list[int], generation: int) -> None:
        """The writers come first, which with transactions fences the former owner, then what the log says; of wishes
        too, else a partition could go back to what a former owner was wished to leave.
        """
        epoch, restorer = self._epoch, self._restorer
        taken = await take_over(
            "bars", self.factory, numbers, restorer.plans, lambda: epoch == self._epoch, restorer.tracks,
            self.hear_wishes,
        )  # fmt: skip
        if taken is not None:
            self.generation = generation
            opening = zip(numbers, *taken, strict=True)
            await asyncio.gather(*(self._open_tracks(*each) for each in opening))

    async def _open_tracks(self, number: int, plans: Sequence[Plan], writers: Sequence[Writer]) -> None:
        news = (plans[1], writers[1]) if len(plans) > 1 else None
        await self.open(number, plans[0], writers[0], news and news[0], news and news[1])

    def fulfil(self, name: str) -> None:
        """What is wished for the strategy has changed."""
        for number in self.partitions:
            for part in self.parts(number):
                self._want(part, name)

    def _want(self, part: Partition, name: str) -> None:
        if name in part.plan.applied:
            for switch in self.wishes.switches(name):
                part.want(switch)

    async def open(
        self,
        number: int,
        restored: Plan,
        writer: Writer,
        news: Plan | None = None,
        news_writer: Writer | None = None,
    ) -> None:
        """Takes a partition over, as planned, and begins to publish."""
        source = Source(self.names.bars, number, self.version)
        late = [strategy for strategy in restored.strategies if strategy.name in restored.behind]
        beside = self.shadows.ready
        part = Partition(
            number, self.names, self._intake(number),
            Pipeline(restored.strategies, source, restored.behind, beside, isolated=True), restored,
            Behind(Pipeline(late, source, shadows=beside, isolated=True), self._intake(number), restored)
            if late else None,
        )  # fmt: skip
        part.on_failure = self._end_without_strategies
        self.partitions[number] = part
        await self._publish(part, writer)
        if late:
            reader = self._reader(number)
            catching_up = until_caught_up(part, reader, self.config.worker.pending, self.die, self.clock)
            self._catching_up[number] = asyncio.create_task(catching_up, name=f"catch-up-{number}")
        if news is not None and news_writer is not None:
            await self._open_news(part, news, news_writer)

    async def _publish(self, part: Partition, writer: Writer) -> None:
        publisher = Publisher(part, writer, self.config.worker, self.die, self.clock)
        self._publishers[part.number, part.plan.track] = publisher
        for name in list(part.plan.applied):
            self._want(part, name)
        await publisher.start()

    async def _open_news(self, first: Partition, restored: Plan, writer: Writer) -> None:
        """The second track, beside the `first`."""
        number, config = first.number, self.config
        join = NewsJoin(restored.strategies[0].joining, partition=number)
        source = Source(self.names.bars, number, self.version)
        pipeline = Pipeline(restored.strategies, source, shadows=self.shadows.ready, news=join, isolated=True)
        part = NewsPartition(number, self.names, self._intake(number), pipeline, restored)
        part.on_failure = self._end_without_strategies
        part.first, part.scores_topic = first, topic_name(config.kafka, "news.scores")
        track = NewsTrack(
            part, join, self._news(number), self._reader(number), config.news.grace, config.worker.pending, self.clock
        )
        self.tracks[number] = track
        await self._publish(part, writer)
        self._following[number] = asyncio.create_task(join_news(track, self.die), name=f"news-{number}")

    def _intake(self, number: int) -> Intake:
        return Intake(number, self.partition_count, self.config.kafka.partitioner)

    async def feed(self, chunk: Chunk) -> None:
        """One chunk, in pieces that take about `PIECE_SECONDS` each: what else the loop has to do (heartbeats, pages, a
        stop) does not wait for a slow plugin. Then waits while too much is pending.
        """
        for piece in chunk.pieces(self._piece):
            part = self.partitions.get(chunk.tp.partition)
            if part is None or chunk.generation != self.generation:
                return
            began = self.clock()
            self._feed(part, piece)
            if track := self.tracks.get(part.number):
                track.hold(piece)
            pace = max(self.clock() - began, 1e-6) / len(piece.records)
            self._piece = min(max(int(PIECE_SECONDS / pace), 1), self.config.worker.chunk)
            await asyncio.sleep(0)
            while part.waiting > self.config.worker.pending and self.partitions.get(part.number) is part:
                part.drained.clear()
                await part.drained.wait()

    def _feed(self, part: Partition, chunk: Chunk) -> None:
        try:
            part.feed(chunk)
        except Exception as error:  # an agent that raises has its chunk acked all the same, and the bars would be lost
            where = {"partition": part.number, "offset": chunk.start}
            log.exception("bars/%d: the chunk from offset %d failed", part.number, chunk.start, extra=where)
            self.die(Exit.FAILED, f"bars/{part.number}: the chunk from offset {chunk.start} failed: {error!r}", **where)

    def failures(self) -> list[tuple[int, Failure]]:
        """Partition and failure of every strategy that stopped."""
        return [
            (number, failure)
            for number in sorted(self.partitions)
            for part in self.parts(number)
            for failure in part.failures.values()
        ]

    def _end_without_strategies(self) -> None:
        """A worker whose every strategy failed on every partition has nothing left to do."""
        parts = [part for number in self.partitions for part in self.parts(number)]
        if all(name in part.failures for part in parts for name in part.pipeline.runs):
            number, failure = self.failures()[-1]
            where = {"partition": number, "offset": failure.offset}
            self.die(Exit.PLUGIN, f"every strategy has failed; {failure.strategy} on {failure.reason}", **where)

    def totals(self) -> Counter[str]:
        """What happened since the start, over all partitions ever owned."""
        return sum(map(self._counted, self.partitions), self.counts.copy())

    def _counted(self, number: int) -> Counter[str]:
        """Of both tracks; records are counted by the first."""
        counts = self.partitions[number].counts.copy()
        if track := self.tracks.get(number):
            more = track.part.counts
            counts += Counter(
                {name: more[name] for name in ("signals", "predictions", "dead_letters", "failed", "foreign_news")}
            )
        return counts
