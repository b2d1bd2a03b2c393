"""Strategies that use news or references: a second track of a partition, whose bars wait until what they may know is
on the log.

Bars come as they do to the first track, which never waits. Here each is held until the scorers' marks on
``news.scores`` reach its close, or its grace is over. Then an `Unknown` is written, and **obeyed only when it comes
back from the log**, unless the marks come before it there. So what is decided is a function of the log, whoever wrote
it, and replay, `verify` and a successor decide the same. Of references: `streams.owners.side_inputs.references`.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from plugins.fold import gate
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.side_inputs.news.join import NewsJoin
from schemas.errors import BadRecord
from schemas.wire import Bar, canonical_interval, encode
from schemas.wire.news import Score, Unknown, decode_news
from streams.consuming.intake import DeadLetter, DecodedBars, Intake
from streams.consuming.side_inputs import Follow, RecordsRead
from streams.consuming.transport import Chunk
from streams.kafka.gaps import Span, size_of
from streams.owners.bars_partition import BarsPartition
from streams.owners.catch_up import Reader
from streams.owners.side_inputs.references import References
from streams.process.failpoints import failpoint
from streams.publishing.writer import Record
from streams.recovery.plan import ResumePlan

log = logging.getLogger("alphawire.news")

PIECE = 200
HELD = 20_000
"""Bars in memory; of what is held beyond, the oldest is read again from the log when its turn comes."""
AHEAD = 200_000
"""Scores in memory before the reading of scores waits for the bars."""


class NewsPartition(BarsPartition):
    """The second track. The `first` reports all records that any of its own strategies wants, or that nobody can
    read.
    """

    def __init__(
        self, first: BarsPartition, intake: Intake, pipeline: Pipeline, plan: ResumePlan, on_failure: Callable[[], None]
    ) -> None:
        super().__init__(first.number, first.names, intake, pipeline, plan, on_failure=on_failure)
        self.first = first

    @property
    def traced(self) -> str:
        """Not the first track's: a trace is of what does not wait for news."""
        return f"{super().traced} with news"

    def propose(self, unknown: Unknown, timestamp: int) -> None:
        """Onto the log, after all that came before."""
        failpoint("before_unknown")
        self._put([Record(self.names.news_scores, b":unknown", encode(unknown), timestamp)], apart=True)

    def put_side_inputs(self, records: list[Record]) -> None:
        """Onto the log, after all that came before."""
        self._put(records, apart=True)

    def note_scores_unread(self, gaps: Sequence[Span]) -> None:
        """The same of scores that are gone; the first track counts."""
        self._note_unread(gaps, f"news.scores/{self.number}", self.names.news_scores)
        self.first.counts["deleted_unread"] += size_of(gaps)

    def _put_outcome(self, outcome: Outcome, dead: list[DeadLetter]) -> None:
        super()._put_outcome(outcome, [letter for letter in dead if not self._reported_by_first(letter)])

    def _reported_by_first(self, letter: DeadLetter) -> bool:
        bars = self.intake.bars(letter.record)
        return not bars or any(map(self._wanted_by_first, bars))

    def _wanted_by_first(self, bar: Bar) -> bool:
        group = self.first.pipeline.groups.get(canonical_interval(bar.interval))
        return group is not None and any(run.wants(bar.symbol) for run in group.runs)


@dataclass
class _Piece:
    """Records up to, not including, offset `next`, and when (by the clock) the last of them came."""

    records: list[Any]
    next: int
    arrived: float


class NewsTrack:
    """Feeds a `NewsPartition`, as the log of scores (`source`; None: no strategy uses news) and the `references` (the
    same) allow; `read` gives bars from further back.
    """

    def __init__(
        self,
        part: NewsPartition,
        join: NewsJoin,
        source: Follow | None,
        read: Reader,
        grace: float,
        pending: int,
        clock: Callable[[], float],
        references: References | None = None,
    ) -> None:
        self.part, self.join, self.references = part, join, references
        self._source, self._read = source, read
        self._grace, self._pending, self._clock = grace, pending, clock
        self._recent: deque[tuple[Any, float]] = deque()
        self._recent_from = self._end = part.first.position
        self._opened = clock()
        self._scores_end_at: float | None = None
        self._proposed = 0
        self._gone: Span | None = None
        self._gone_until = 0
        """What was gone before the reading began, as long as no bar needed it; and the time of the first record after
        it (ms).
        """
        self._looked_at: set[tuple[str, str]] = set()
        self._scored: set[str] = set()
        """Symbols of the scores that were read."""
        self.wake = asyncio.Event()
        self._needs_scores = asyncio.Event()

    def hold(self, chunk: Chunk) -> None:
        """Keeps what the first track was just fed."""
        now = self._clock()
        self._recent.extend((record, now) for record in chunk.records if record.offset >= self._end)
        self._end = chunk.next
        while len(self._recent) > HELD:
            self._recent_from = self._recent.popleft()[0].offset + 1
        self.wake.set()

    @property
    def behind(self) -> bool:
        """Are there bars that it was not fed yet?"""
        return self.part.position < self._end

    async def run(self) -> None:
        """Reads scores and feeds bars, until it is cancelled."""
        reading = [self._read_scores(self._source)] if self._source else []
        reading += [self.references.run(self.wake)] if self.references else []
        await asyncio.gather(*reading, self._feed_bars())

    async def _read_scores(self, source: Follow) -> None:
        async with contextlib.aclosing(source(0)) as batches:
            async for read in batches:
                self._look_at_gaps(read)
                for record in read.records:
                    self._take(record)
                failpoint("in_news_read")
                if read.at_end:
                    self._scores_end_at = self._clock()
                self.wake.set()
                while self.join.size > AHEAD and not self._needs_scores.is_set():
                    await self._needs_scores.wait()

    def _look_at_gaps(self, read: RecordsRead) -> None:
        """What goes while it reads was not read. What was gone when it began may have been, by a former owner: bars
        tell, whose news may lie there.
        """
        fresh = [gap for gap in read.gone if gap.begin]
        self.part.note_scores_unread(fresh)
        if len(fresh) < len(read.gone) and read.records:
            self._gone, self._gone_until = read.gone[0], read.records[0].timestamp

    def _look_for_lost_news(self, decoded: DecodedBars) -> None:
        """Before bars are fed: are scores gone that a bar without a signal yet should know?"""
        for interval, batch in decoded.batches.items():
            group = self.part.pipeline.groups.get(interval)
            if self._gone is None or group is None:
                continue
            ahead = batch.offsets >= max(self.part.position, self.part.plan.marked)
            symbols = {batch.symbols[row] for row in np.flatnonzero(ahead).tolist()}
            lasts = group.last_closes()
            for symbol in symbols - {known for of, known in self._looked_at if of == interval}:
                self._looked_at.add((interval, symbol))
                slot = group.slot(symbol)
                if slot >= 0 and gate.NEVER < lasts[slot] < self._gone_until:
                    self.part.note_scores_unread([self._gone])
                    self._gone = None
                    return

    def _take(self, record: Any) -> None:
        try:
            message = decode_news(record.value)
        except BadRecord as bad:
            self.part.counts["foreign_news"] += 1
            log.warning("the record %d of %s/%d is ignored: %s", record.offset, record.topic, record.partition, bad)
            return
        if isinstance(message, Score):
            self._look_at_place(message.symbol)
            if not self._wanted(message.symbol):
                return
        self.join.take(message, record.offset)
        if isinstance(message, Unknown):
            failpoint("after_unknown")

    def _look_at_place(self, symbol: str) -> None:
        """Scores that lie where the bars of their symbol never come would be missing without a word."""
        if symbol in self._scored:
            return
        self._scored.add(symbol)
        intake = self.part.intake
        if not intake.belongs(symbol):
            self.part.counts["foreign_news"] += 1
            log.error(
                "bars/%d: scores of %s lie here, and its bars do not come here: they count for no bar; start the"
                " scorers with kafka.partitioner: %s, as the workers",
                self.part.number, symbol, intake.partitioner, extra={"partition": self.part.number},
            )  # fmt: skip

    def _wanted(self, symbol: str) -> bool:
        return any(group.slot(symbol) >= 0 for group in self.part.pipeline.groups.values())

    async def _feed_bars(self) -> None:
        async with contextlib.aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                await self._feed(piece)

    async def _pieces(self) -> AsyncGenerator[_Piece, None]:
        """What comes after the position, in order: from memory, or from the log."""
        part = self.part
        while True:
            self.wake.clear()
            if part.position < self._recent_from:
                upto = self._recent_from
                async with contextlib.aclosing(self._from_log(upto)) as pieces:
                    async for piece in pieces:
                        yield piece
                if part.position < upto:  # the log ends in a gap
                    yield _Piece([], upto, self._opened)
            elif self._recent:
                held = [self._recent.popleft() for _ in range(min(PIECE, len(self._recent)))]
                last, arrived = held[-1]
                self._recent_from = last.offset + 1
                yield _Piece([record for record, _ in held], self._recent_from, arrived)
            elif part.position < self._end:
                self._recent_from = self._end
                yield _Piece([], self._end, self._clock())
            else:
                await self.wake.wait()

    async def _from_log(self, upto: int) -> AsyncGenerator[_Piece, None]:
        async with contextlib.aclosing(self._read(self.part.position)) as batches:
            async for batch in batches:
                for first in range(0, len(batch), PIECE):
                    records = [r for r in batch[first : first + PIECE] if self.part.position <= r.offset < upto]
                    if records:
                        yield _Piece(records, records[-1].offset + 1, self._opened)
                if batch[-1].offset + 1 >= upto:
                    return

    async def _feed(self, piece: _Piece) -> None:
        part = self.part
        await part.intake.prepare(piece.records)
        decoded = part.intake.read(piece.records)
        part.put_refused()
        if self._gone is not None:
            self._look_for_lost_news(decoded)
        while part.position < piece.next:
            self.wake.clear()
            upto = self._decided(decoded, piece.next)
            if upto > part.position:
                part.advance(piece.records, decoded, upto)
                part.pipeline.forget_news(part.position)
                if self.references:
                    self.references.join.forget(part.position)
                await asyncio.sleep(0)
                while part.waiting > self._pending:
                    part.drained.clear()
                    await part.drained.wait()
            else:
                await self._wait(decoded, piece)

    def _decided(self, decoded: DecodedBars, following: int) -> int:
        """The offset of the first bar that must wait, else `following`."""
        first = self._first_without_news(decoded, following)
        return self.references.first_waiting(decoded, first) if self.references else first

    def _first_without_news(self, decoded: DecodedBars, following: int) -> int:
        position, first = self.part.position, following
        for interval, batch in decoded.batches.items():
            group = self.part.pipeline.groups.get(interval)
            if group is None:
                continue
            waits = self.join.undecided(batch.offsets, batch.bars["time"]) & (batch.offsets >= position)
            rows = [row for row in np.flatnonzero(waits).tolist() if group.slot(batch.symbols[row]) >= 0]
            first = min([first, *batch.offsets[rows[:1]].tolist()])
        return first

    async def _wait(self, decoded: DecodedBars, piece: _Piece) -> None:
        """For the scorers' marks and the references' bars; after the grace, for the log to say that these bars are
        decided without.
        """
        self._needs_scores.set()
        now, dues = self._clock(), list[float]()
        if self._first_without_news(decoded, piece.next) == self.part.position:
            failpoint("after_news_held")
            dues.append(piece.arrived + self._grace)
            at_end = self._scores_end_at is not None and self._scores_end_at >= piece.arrived
            if now >= dues[0] and at_end and self._proposed <= self.part.position:
                self._propose_unknown(decoded, piece, now)
        if self.references and self.references.first_waiting(decoded, piece.next) == self.part.position:
            failpoint("after_reference_held")
            dues.append(piece.arrived + self.references.grace)
            if now >= dues[-1] and self.references.are_read(piece.arrived):
                self.references.propose_absent(decoded, self._over(piece, now, self.references.grace))
        waiting = min((due - now for due in dues if due > now), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(waiting):
                await self.wake.wait()
        self._needs_scores.clear()

    def _propose_unknown(self, decoded: DecodedBars, piece: _Piece, now: float) -> None:
        until = self._over(piece, now, self._grace)
        first, self._proposed = self.part.position, until
        times = [int(batch.bars["time"].max()) for batch in decoded.batches.values()]
        lasts = [int(group.last_closes().max(initial=0)) for group in self.part.pipeline.groups.values()]
        log.warning(
            "bars/%d: no news is known for the bars from offset %d to %d: no scorer's mark came within %g s",
            self.part.number, first, until - 1, self._grace, extra={"partition": self.part.number, "offset": first},
        )  # fmt: skip
        self.part.propose(Unknown(self.part.number, first, until), max([*times, *lasts, self.join.low, 0]))

    def _over(self, piece: _Piece, now: float, grace: float) -> int:
        """The offset of the first bar, of this piece or later, whose grace is not over."""
        until = piece.next
        for record, arrived in islice(self._recent, HELD):
            if arrived + grace > now:
                break
            until = record.offset + 1
        return until
