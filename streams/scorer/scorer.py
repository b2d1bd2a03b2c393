"""The scorer: articles in, scores and marks out. Several of a group share the partitions of `news`.

A plain consumer, and not a Faust app: there is no state to restore but one mark, no order between partitions, and each
step (fetch, score, write) waits for the one before. What makes it safe is few lines here: a desk writes nothing after
its partition was taken away, the place to go on from comes from the log and not from the group's offsets, and an error
with an unknown outcome ends the process.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from schemas.configuration import Config
from schemas.errors import BrokerError
from streams.kafka.clients import offset_range
from streams.kafka.topics import topic_name
from streams.process.exits import Die, Exit, cause
from streams.process.failpoints import failpoint
from streams.publishing.writer import Writer, WriterFactory
from streams.scorer.partition import Place, ScorerPartition, last_marks
from streams.scorer.scoring import Batch, Scoring

log = logging.getLogger("alphawire.scorer")

FETCH_MS = 200
COMMIT_EVERY = 2.0
AGAIN = 1.0
"""Seconds until a broker that is away is asked again."""


def wall_clock() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


class Scorer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Owner of partitions of `news`; `die` ends the process, `clock` gives milliseconds."""

    def __init__(
        self,
        config: Config,
        scoring: Scoring,
        place: Place,
        factory: WriterFactory,
        die: Die,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self.config = config
        self.scoring = scoring
        self.place = place
        self.factory = factory
        self.die = die
        self.clock = clock
        self.topic = topic_name(config.kafka, "news")
        self.desks: dict[int, ScorerPartition] = {}
        self.counts: Counter[str] = Counter()
        self.consumer: Any = None
        self.assigned: set[int] | None = None
        """The partitions that the group gave; None: it has not given any out, or is about to anew. The consumer's own
        `assignment` still has the old ones then.
        """
        self._changed = asyncio.Event()
        self._epoch = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing is written after this; what was being scored is scored by the next owner."""
        self.assigned = None
        self._epoch += 1
        gone = [self.desks.pop(tp.partition) for tp in revoked if tp.partition in self.desks]
        await asyncio.gather(*(self._let_go(desk) for desk in gone))

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.assigned = {tp.partition for tp in assigned}
        self._changed.set()

    async def _let_go(self, desk: ScorerPartition) -> None:
        await desk.close()
        self.counts += desk.counts
        await self.factory.close(desk.writer)

    async def run(self, consumer: Any, stop: asyncio.Event) -> None:
        """Until `stop` is set; then what is scored is written."""
        self.consumer = consumer
        consumer.subscribe([self.topic], listener=self)
        marking = asyncio.create_task(self._mark_forever(), name="marks")
        marking.add_done_callback(self._no_silent_end)
        try:
            while not stop.is_set():
                await self._step(consumer)
        finally:
            # first what is being written is written: a transaction that is left open would hold readers up
            await self.on_partitions_revoked([TopicPartition(self.topic, number) for number in self.desks])
            marking.cancel()

    async def _step(self, consumer: Any) -> None:
        if fresh := sorted((self.assigned or set()) - self.desks.keys()):
            await self._take_over(consumer, fresh)
        here = [TopicPartition(self.topic, number) for number in sorted(self.desks)]
        if not here:
            await self._wait_for_change()
            return
        for tp, records in (await self._fetched(consumer, here)).items():
            if (desk := self.desks.get(tp.partition)) is not None:
                await self._work(desk, [record for record in records if record.offset >= desk.position])

    async def _fetched(self, consumer: Any, here: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
        """Of each partition up to a batch: asked for all at once, the consumer would empty one before the next, which
        would stand still meanwhile, and with it the least of the marks.
        """
        most, found = self.config.news.batch_size, dict[TopicPartition, list[Any]]()
        for tp in here:
            found |= await consumer.getmany(tp, max_records=most)
        return found or await consumer.getmany(*here, timeout_ms=FETCH_MS, max_records=most)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(AGAIN):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _work(self, desk: ScorerPartition, records: list[Any]) -> None:
        while records and not desk.closed:
            try:
                batch, done = await asyncio.to_thread(self.scoring.score, records)
            except Exception as error:
                log.exception("news/%d: scoring failed", desk.number)
                where = {"partition": desk.number, "offset": records[0].offset}
                self.die(Exit.PLUGIN, f"news/{desk.number}: the scorer failed: {error!r}", **where)
            failpoint("after_scoring")
            await self._written(desk, batch)
            records = records[done:]

    async def _written(self, desk: ScorerPartition, batch: Batch | None) -> None:
        """The batch, or (None) how far it is, within `worker.delivery_timeout`; an error ends the process."""
        try:
            async with asyncio.timeout(self.config.worker.delivery_timeout):
                await (desk.mark() if batch is None else desk.publish(batch))
        except TimeoutError:
            seconds = self.config.worker.delivery_timeout
            self._fail(desk, Exit.BROKER, f"no acknowledgement within {seconds:g} s")
        except Exception as error:
            log.exception("news/%d: writing failed", desk.number)
            self._fail(desk, cause(error), f"writing failed: {error!r}")

    def _fail(self, desk: ScorerPartition, code: Exit, reason: str) -> None:
        self.die(code, f"news/{desk.number}: {reason}", partition=desk.number, offset=desk.position)

    async def _mark_forever(self) -> None:
        committed = 0.0
        while True:
            await asyncio.sleep(self.config.news.mark_interval)
            for desk in list(self.desks.values()):
                await self._written(desk, None)
            if time.monotonic() - committed >= COMMIT_EVERY:
                committed = time.monotonic()
                await self._commit()

    def _no_silent_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self.die(Exit.FAILED, f"marks are not written any more: {task.exception()!r}")

    async def _commit(self) -> None:
        """The group's offsets, which tell lag only."""
        offsets = {TopicPartition(self.topic, desk.number): desk.position for desk in self.desks.values()}
        try:
            await self.consumer.commit(offsets)
        except (KafkaError, CommitFailedError, ValueError) as error:
            log.debug("the group's offsets are not committed: %r", error)

    async def _take_over(self, consumer: Any, numbers: list[int]) -> None:
        """First the writers, which with transactions fences the former owner, then its last marks."""
        kafka, epoch = self.config.kafka, self._epoch
        writers: list[Writer] = []
        try:
            async with asyncio.timeout(self.config.worker.delivery_timeout):
                for number in numbers:
                    writers.append(await self.factory.open(number))
                failpoint("in_load")
                marks = await last_marks(kafka, self.place, numbers)
                ends = [await offset_range(kafka, self.topic, number, "read_committed") for number in numbers]
        except (BrokerError, KafkaError, TimeoutError) as error:
            self.die(cause(error), f"news/{numbers} cannot be taken over: {error or 'no answer in time'!r}")
        if epoch != self._epoch:  # another may have owned them meanwhile
            await asyncio.gather(*map(self.factory.close, writers))
            return
        for number, writer, (begin, end) in zip(numbers, writers, ends, strict=True):
            mark = marks.get(number)
            position = max(begin, mark.next if mark else 0)
            if position > end:
                self.die(
                    Exit.CONFIGURATION,
                    f"{self.topic}/{number} ends at {end}, and its scores go up to {position}: the topic was made anew;"
                    " choose another kafka.prefix",
                )
            up_to = mark.up_to if mark else 0
            backlog = end if up_to == 0 else 0
            self.desks[number] = ScorerPartition(number, writer, self.place, self.clock, position, up_to, backlog)
            consumer.seek(TopicPartition(self.topic, number), position)
            log.info("news/%d is scored from offset %d on", number, position)

    def lags(self) -> dict[int, int | None]:
        """Articles of each owned partition that are on the log and not scored; None before the first fetch."""
        found: dict[int, int | None] = {}
        for number, desk in sorted(self.desks.items()):
            end = self._end(number)
            found[number] = None if end is None else max(end - desk.position, 0)
        return found

    def _end(self, number: int) -> int | None:
        tp = TopicPartition(self.topic, number)
        if self.assigned is None or tp not in self.consumer.assignment():
            return None
        end: int | None = self.consumer.highwater(tp)
        stable: int | None = self.consumer.last_stable_offset(tp)
        return end if end is None or stable is None or stable < 0 else min(end, stable)

    def totals(self) -> Counter[str]:
        """What became of the records read since the start."""
        return sum((desk.counts for desk in self.desks.values()), self.counts.copy())
