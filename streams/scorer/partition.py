"""The owner of one partition of `news`: says when its scores count, and how far it is.

A score counts from `available_at` on: the time at which it is written, or one millisecond after what the last mark
covers, whichever is later. A mark says that every score up to its time is on the log before it. Both are written by
one task at a time, so a mark never passes a score; and the next owner goes on after the last mark on the log, so marks
never go back.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.configuration import Kafka
from schemas.errors import BadRecord
from schemas.wire import encode
from schemas.wire.news import Mark, Score, decode_news
from streams.kafka.clients import offset_range, read_partition_to_end
from streams.kafka.gaps import Span, merged, size_of
from streams.kafka.partitioner import partition_of
from streams.owners.fed_partition import log_unread, unread_records
from streams.process.failpoints import failpoint
from streams.publishing.writer import Record, Writer, dead_record
from streams.scorer.scoring import ScoredBatch

log = logging.getLogger("alphawire.scorer")

FIRST_LOOK = 2_000
"""Records at the end of the log that are searched for the last marks; then 16 times as many, and so on."""


@dataclass(frozen=True)
class ScoreDestination:
    """Where scores are written: names and partitions of the topics, and what decides them."""

    scores: str
    dead_letters: str
    partitions: int
    """Of `news.scores`, as many as of `bars`."""
    news_partitions: int
    partitioner: str
    delay_ms: int
    """From the publication of a historical article until its score counts."""
    news: str = "news"
    control: str = "control"


@dataclass(frozen=True)
class Resume:
    """Where the owner of a partition goes on: at the offset `position`, after marks up to the time `up_to` (ms)."""

    position: int = 0
    up_to: int = 0
    backlog: int = 0
    """Where `news` ended when its scorer first began: until there its marks promise nothing, so that history which was
    sent before counts for bars that come after.
    """
    unread: Span | None = None
    """What was gone before any scorer had read it."""


class ScorerPartition:
    """One partition of `news`, `number`, scored up to the offset `position`; `clock` gives milliseconds."""

    def __init__(
        self, number: int, writer: Writer, destination: ScoreDestination, clock: Callable[[], int], resume: Resume
    ) -> None:
        self.number = number
        self.writer = writer
        self.destination = destination
        self.clock = clock
        self.position = resume.position
        self.up_to = resume.up_to
        self.backlog = resume.backlog
        self.closed = False
        self.counts: Counter[str] = Counter()
        self.unread: list[Span] = []
        """Offsets of articles that were gone before they were read."""
        self._to_say: list[Record] = []
        self._lock = asyncio.Lock()
        self.note_unread([resume.unread] if resume.unread else [])

    def note_unread(self, gaps: Sequence[Span]) -> None:
        """Says that these are gone: here, and on the log with what is written next."""
        if gaps:
            self.unread = merged([*self.unread, *gaps])
            self.counts["deleted_unread"] += size_of(gaps)
            log_unread(log, f"news/{self.number}", self.destination.news, gaps)
            said = unread_records(self.destination.control, self.destination.news, self.number, gaps)
            home = self.number % self.destination.partitions
            self._to_say += [msgspec.structs.replace(record, partition=home) for record in said]

    async def publish(self, batch: ScoredBatch) -> None:
        """The scores and dead letters of `batch`, and the mark after them: in one transaction where there are such."""
        async with self._lock:
            if self.closed:
                return
            scores = [self._timed(score) for score in batch.scores]
            records = list(map(self._score_record, scores))
            home = self.number % self.destination.partitions
            for dead in batch.dead:
                records.append(dead_record(self.destination.dead_letters, dead, home))
            latest = max((score.available_at for score in scores if not score.historical), default=0)
            await self._write(records, batch.next, latest)
            self.counts += batch.counts
            self.counts["future"] += sum("future" in score.flags for score in scores)

    async def mark(self) -> None:
        """How far it is, now: while nothing comes, too."""
        async with self._lock:
            if not self.closed:
                await self._write([], self.position, 0)

    async def close(self) -> None:
        """When what is being written is written; nothing after that."""
        async with self._lock:
            self.closed = True

    async def _write(self, records: list[Record], following: int, latest: int) -> None:
        records, self._to_say = [*self._to_say, *records], []
        failpoint("before_scores")
        if records and not self.writer.transactional:
            await self.writer.write(self.number, records)
            failpoint("after_scores")
            records = []
        up_to = max(self.clock(), self.up_to, latest) if following >= self.backlog else self.up_to
        mark = Mark(self.number, self.destination.news_partitions, up_to, following)
        key, value = mark_key(self.number), encode(mark)
        marks = [
            Record(self.destination.scores, key, value, up_to, partition=n) for n in range(self.destination.partitions)
        ]
        await self.writer.write(self.number, [*records, *marks])
        failpoint("after_scorer_marks")
        self.up_to, self.position = up_to, following

    def _timed(self, score: Score) -> Score:
        """When it counts. A historical one that would count in the future is an article of today."""
        now = self.clock()
        flags = [*score.flags, "future"] if score.published_at > now else score.flags
        known = score.published_at + self.destination.delay_ms
        if score.historical and known <= now:
            return msgspec.structs.replace(score, available_at=known, flags=flags)
        available = max(now, self.up_to + 1)
        return msgspec.structs.replace(score, available_at=available, flags=flags, historical=False)

    def _score_record(self, score: Score) -> Record:
        key = score.symbol.encode()
        home = partition_of(key, self.destination.partitions, self.destination.partitioner)
        return Record(self.destination.scores, key, encode(score), score.available_at, partition=home)


def mark_key(number: int) -> bytes:
    return f":mark/{number}".encode()


async def last_marks(kafka: Kafka, destination: ScoreDestination, numbers: Iterable[int]) -> dict[int, Mark]:
    """The last mark on the log of each of these partitions of `news`, as far as there is one.

    Without transactions it may be on some partitions of `news.scores` alone, and is good all the same: what it covers
    was acknowledged before.
    """
    wanted = set(numbers)
    per_partition = await asyncio.gather(
        *(_marks_at_end(kafka, destination.scores, n, wanted) for n in range(destination.partitions))
    )
    latest: dict[int, Mark] = {}
    for marks in per_partition:
        for number, mark in marks.items():
            if number not in latest or (mark.up_to, mark.next) > (latest[number].up_to, latest[number].next):
                latest[number] = mark
    return latest


async def _marks_at_end(kafka: Kafka, topic: str, partition: int, wanted: set[int]) -> Mapping[int, Mark]:
    begin, end = await offset_range(kafka, topic, partition, "read_committed")
    look, start = FIRST_LOOK, end
    marks: dict[int, Mark] = {}
    while start > begin and not wanted <= marks.keys():
        start, look = max(begin, end - look), look * 16
        marks = {}
        async for record in read_partition_to_end(kafka, topic, partition, start, isolation="read_committed"):
            if (mark := _mark(record)) is not None and mark.news_partition in wanted:
                marks[mark.news_partition] = mark
    return marks


def _mark(record: Any) -> Mark | None:
    if not (record.key or b"").startswith(b":mark/"):
        return None
    try:
        mark = decode_news(record.value)
    except BadRecord as bad:
        log.warning("the record %d of %s/%d is no mark: %s", record.offset, record.topic, record.partition, bad)
        return None
    return mark if isinstance(mark, Mark) and mark_key(mark.news_partition) == record.key else None
