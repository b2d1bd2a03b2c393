"""The scorer: articles in, scores and marks out. Several of a group share the partitions of `news`.

A plain consumer, and not a Faust app: there is no state to restore but one mark, no order between partitions, and each
step (fetch, score, write) waits for the one before. Three rules make it safe: nothing is written for a partition after
it was revoked, the log and not the group's offsets say where to go on, and an error with an unknown outcome ends the
process.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire.news import Mark
from streams.kafka.clients import offset_range
from streams.kafka.gaps import PartitionGaps, Span
from streams.kafka.topics import topic_name
from streams.owners.life_cycle import PartitionOwner
from streams.process.exits import Die, Exit, cause
from streams.process.failpoints import failpoint
from streams.publishing.writer import Writer, WriterFactory
from streams.recovery.plan import check_not_shorter
from streams.scorer.partition import Resume, ScoreDestination, ScorerPartition, last_marks
from streams.scorer.scoring import ScoredBatch, Scoring

log = logging.getLogger("alphawire.scorer")

FETCH_MS = 200
COMMIT_EVERY = 2.0
AGAIN = 1.0
"""Seconds until a broker that is away is asked again."""


def wall_clock() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


class Scorer(PartitionOwner[ScorerPartition, Resume], ConsumerRebalanceListener):  # type: ignore[misc]
    """Owner of partitions of `news`; `die` ends the process, `clock` gives milliseconds."""

    def __init__(
        self,
        config: Config,
        scoring: Scoring,
        destination: ScoreDestination,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        super().__init__("news", factory, die, config.worker.delivery_timeout)
        self.config = config
        self.scoring = scoring
        self.destination = destination
        self.clock = clock
        self.topic = topic_name(config.kafka, "news")
        self.consumer: Any = None
        self.assigned: set[int] | None = None
        """The partitions that the group gave; None: it has not given any out, or is about to anew. The consumer's own
        `assignment` still has the old ones then.
        """
        self.gaps = PartitionGaps()
        """What the consumer reports."""
        self._changed = asyncio.Event()
        self._passed: dict[int, int] = {}
        """By partition, where the client is when all that it handed out is dealt with: past marks of transactions."""

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing is written after this; what was being scored is scored by the next owner."""
        self.assigned = None
        offsets = self._group_offsets()
        await self.let_go([tp.partition for tp in revoked])
        await self._commit(offsets)
        self._passed.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.assigned = {tp.partition for tp in assigned}
        self._changed.set()

    async def restore(self, numbers: Sequence[int]) -> Sequence[Resume]:
        failpoint("in_load")
        marks = await last_marks(self.config.kafka, self.destination, numbers)
        return [await self._resume(number, marks.get(number)) for number in numbers]

    async def _resume(self, number: int, mark: Mark | None) -> Resume:
        begin, end = await offset_range(self.config.kafka, self.topic, number, "read_committed")
        check_not_shorter(f"{self.topic}/{number}", end, mark.next if mark else 0, "scores")
        if mark is None:
            return Resume(begin, 0, end)
        unread = Span(mark.next, begin) if mark.next < begin else None
        return Resume(max(begin, mark.next), mark.up_to, end if mark.up_to == 0 else 0, unread)

    def open(self, number: int, restored: Resume, writers: Sequence[Writer]) -> ScorerPartition:
        (writer,) = writers
        part = ScorerPartition(number, writer, self.destination, self.clock, restored)
        self.consumer.seek(TopicPartition(self.topic, number), part.position)
        self.gaps.begin((self.topic, number), part.position)
        log.info("news/%d is scored from offset %d on", number, part.position)
        return part

    async def finish(self, part: ScorerPartition) -> Sequence[Writer]:
        await part.close()
        self.counts += part.counts
        return [part.writer]

    async def run(self, consumer: Any, stop: asyncio.Event) -> None:
        """Until `stop` is set; then what is scored is written."""
        self.consumer, self.gaps = consumer, consumer._key_deserializer
        consumer.subscribe([self.topic], listener=self)
        marking = asyncio.create_task(self._mark_forever(), name="marks")
        marking.add_done_callback(self._no_silent_end)
        try:
            while not stop.is_set():
                await self._step(consumer)
        finally:
            # first what is being written is written: a transaction that is left open would hold readers up
            await self.on_partitions_revoked([TopicPartition(self.topic, number) for number in self.partitions])
            marking.cancel()

    async def _step(self, consumer: Any) -> None:
        if fresh := sorted((self.assigned or set()) - self.partitions.keys()):
            await self.take_over(fresh)
        here = [TopicPartition(self.topic, number) for number in sorted(self.partitions)]
        if not here:
            await self._wait_for_change()
            return
        for tp, records in (await self._fetched(consumer, here)).items():
            if (part := self.partitions.get(tp.partition)) is not None:
                part.note_unread(self.gaps.take(tp, part.position, records[-1].offset + 1) if records else [])
                await self._work(part, [record for record in records if record.offset >= part.position])
        if self.assigned is not None:
            self._passed = {tp.partition: await consumer.position(tp) for tp in here if tp.partition in self.assigned}

    async def _fetched(self, consumer: Any, here: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
        """Of each partition up to a batch: asked for all at once, the consumer would empty one before the next, which
        would stand still meanwhile, and with it the least of the marks.
        """
        most, fetched = self.config.news.batch_size, dict[TopicPartition, list[Any]]()
        for tp in here:
            fetched |= await consumer.getmany(tp, max_records=most)
        return fetched or await consumer.getmany(*here, timeout_ms=FETCH_MS, max_records=most)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(AGAIN):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _work(self, part: ScorerPartition, records: list[Any]) -> None:
        while records and not part.closed:
            try:
                await self.scoring.prepare(records)
                batch, done = await asyncio.to_thread(self.scoring.score, records)
            except Exception as error:
                log.exception("news/%d: scoring failed", part.number)
                where = {"partition": part.number, "offset": records[0].offset}
                self.die(Exit.PLUGIN, f"news/{part.number}: the scorer failed: {error!r}", **where)
            failpoint("after_scoring")
            await self._written(part, batch)
            records = records[done:]

    async def _written(self, part: ScorerPartition, batch: ScoredBatch | None) -> None:
        """The batch, or (None) how far it is, within `worker.delivery_timeout`; an error ends the process."""
        try:
            async with asyncio.timeout(self.config.worker.delivery_timeout):
                await (part.mark() if batch is None else part.publish(batch))
        except TimeoutError:
            seconds = self.config.worker.delivery_timeout
            self._fail(part, Exit.BROKER, f"no acknowledgement within {seconds:g} s")
        except ConfigurationError as error:
            self._fail(part, Exit.CONFIGURATION, str(error))
        except Exception as error:
            log.exception("news/%d: writing failed", part.number)
            self._fail(part, cause(error), f"writing failed: {error!r}")

    def _fail(self, part: ScorerPartition, code: Exit, reason: str) -> None:
        self.die(code, f"news/{part.number}: {reason}", partition=part.number, offset=part.position)

    async def _mark_forever(self) -> None:
        committed = 0.0
        while True:
            await asyncio.sleep(self.config.news.mark_interval)
            for part in list(self.partitions.values()):
                await self._written(part, None)
            if time.monotonic() - committed >= COMMIT_EVERY:
                committed = time.monotonic()
                await self._commit(self._group_offsets())

    def _no_silent_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self.die(Exit.FAILED, f"marks are not written any more: {task.exception()!r}")

    def _group_offsets(self) -> dict[TopicPartition, int]:
        """They tell lag only: what is dealt with, and what there is nothing to do about."""
        return {
            TopicPartition(self.topic, number): max(part.position, self._passed.get(number, 0))
            for number, part in self.partitions.items()
        }

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        if not offsets:
            return
        try:
            await self.consumer.commit(offsets)
        except (KafkaError, CommitFailedError, ValueError) as error:
            log.debug("the group's offsets are not committed: %r", error)

    def lags(self) -> dict[int, int | None]:
        """Articles of each owned partition that are on the log and not scored; None before the first fetch."""
        lags: dict[int, int | None] = {}
        for number, part in sorted(self.partitions.items()):
            end = self._end(number)
            lags[number] = None if end is None else max(end - part.position, 0)
        return lags

    def _end(self, number: int) -> int | None:
        tp = TopicPartition(self.topic, number)
        if self.assigned is None or tp not in self.consumer.assignment():
            return None
        end: int | None = self.consumer.highwater(tp)
        stable: int | None = self.consumer.last_stable_offset(tp)
        return end if end is None or stable is None or stable < 0 else min(end, stable)
