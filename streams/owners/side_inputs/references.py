"""Bars of references, which lie on other partitions, perhaps of other workers: copied to the log of side inputs, and
**used only when they come back from it**.

The owner of a partition reads the references' partitions as anybody may, and writes a copy of each of their bars to its
own partition of ``side.inputs``. A bar waits until there is a copy that closes then or later, or until an `Absent`
there covers it: that is written when the grace is over and the references' partitions were read to their ends after the
bar came, so that an owner that is behind never says that a bar is absent. What counts is the order of that log, whoever
wrote to it; a copy that comes twice is nothing.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from plugins.base.bars import BarBatch
from plugins.pipeline.pipeline import Pipeline
from plugins.side_inputs.references import ReferenceJoin, Wanted
from schemas.errors import BadRecord
from schemas.wire import encode
from schemas.wire.side_inputs import Absent, ReferenceBar, decode_side_input
from streams.consuming.intake import DecodedBars, Intake
from streams.consuming.side_inputs import Follow
from streams.owners.fed_partition import FedPartition
from streams.process.failpoints import failpoint
from streams.publishing.writer import Record

log = logging.getLogger("alphawire.references")

COPIES = 500
"""Copies that are written at once."""
Put = Callable[[list[Record]], None]
Place = Callable[[str], int]
"""The partition of a symbol's bars."""
Open = Callable[[int], Awaitable[Intake]]
"""How a partition of `bars` is read."""


class References:
    """What stands beside the bars of one partition, for the strategies of `pipeline`.

    Parameters
    ----------
    join
        Which the pipeline is given.
    topic
        Full name of ``side.inputs``.
    source, bars
        Follow this partition of ``side.inputs``, and any of `bars`.
    place, opened
        Where a symbol's bars lie, and how they are read.
    grace
        Seconds that a bar waits for its reference.
    """

    def __init__(
        self,
        part: FedPartition,
        pipeline: Pipeline,
        join: ReferenceJoin,
        topic: str,
        put: Put,
        source: Follow,
        bars: Callable[[int], Follow],
        place: Place,
        opened: Open,
        grace: float,
        pending: int,
        clock: Callable[[], float],
    ) -> None:
        self.part, self.pipeline, self.join, self.grace = part, pipeline, join, grace
        self._topic, self._put, self._source, self._bars, self._opened = topic, put, source, bars, opened
        self._pending, self._clock = pending, clock
        self._wanted: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By partition of `bars` and interval, the references that lie there."""
        for interval, group in pipeline.groups.items():
            for symbol in frozenset[str]().union(*(reference.names for reference in group.wanted)):
                self._wanted[place(symbol)][interval].add(symbol)
        self._bars_read_at: dict[int, float] = {}
        self._proposed: dict[tuple[str, str], int] = {}
        self._copied: dict[tuple[str, str], int] = {}
        self._known = asyncio.Event()
        """Is the log read that was there at the start?"""

    async def run(self, wake: asyncio.Event) -> None:
        """Copies and reads, until it is cancelled; `wake` is set when there is more."""
        copying = [self._copy(number, wanted, wake) for number, wanted in self._wanted.items()]
        await asyncio.gather(self._read(wake), *copying)

    async def _read(self, wake: asyncio.Event) -> None:
        async with contextlib.aclosing(self._source(0)) as batches:
            async for read in batches:
                for record in read.records:
                    self._take(record)
                failpoint("in_references_read")
                if read.at_end:
                    self._known.set()
                wake.set()

    def _take(self, record: Any) -> None:
        try:
            self.join.take(decode_side_input(record.value))
        except BadRecord as bad:
            log.warning("the record %d of %s/%d is ignored: %s", record.offset, record.topic, record.partition, bad)

    async def _copy(self, number: int, wanted: Mapping[str, Collection[str]], wake: asyncio.Event) -> None:
        """The references that lie on one partition of `bars`, each from where the log has it."""
        await self._known.wait()
        intake, pairs = await self._opened(number), [(i, symbol) for i, own in wanted.items() for symbol in own]
        keys = {symbol.encode() for _, symbol in pairs}
        self._copied |= {pair: self.join.copied(*pair) for pair in pairs}
        start = min(self._copied[pair] for pair in pairs) + 1
        async with contextlib.aclosing(self._bars(number)(start)) as batches:
            async for read in batches:
                records = [r for r in read.records if intake.any_key or r.key in keys]
                for first in range(0, len(records), COPIES):
                    await self._copy_some(records[first : first + COPIES], intake, wanted)
                if read.at_end:
                    self._bars_read_at[number] = self._clock()
                wake.set()

    async def _copy_some(self, records: Sequence[Any], intake: Intake, wanted: Mapping[str, Collection[str]]) -> None:
        await intake.prepare(records)
        copies: list[Record] = []
        for interval, batch in intake.read(records).batches.items():
            copies += self._copies(interval, batch, intake.partition, wanted.get(interval, ()))
        if copies:
            failpoint("before_references")
            self._put(copies)
        while self.part.waiting > self._pending:
            self.part.drained.clear()
            await self.part.drained.wait()

    def _copies(self, interval: str, batch: BarBatch, number: int, wanted: Collection[str]) -> list[Record]:
        found: list[Record] = []
        for symbol, row, offset in zip(batch.symbols, batch.bars, batch.offsets.tolist(), strict=True):
            if symbol in wanted and offset > self._copied[interval, symbol]:
                self._copied[interval, symbol] = offset
                time, opened, high, low, close, volume = row.tolist()
                copy = ReferenceBar(symbol, interval, time, opened, high, low, close, volume, number, offset)
                found.append(Record(self._topic, symbol.encode(), encode(copy), time))
        return found

    def first_waiting(self, decoded: DecodedBars, following: int) -> int:
        """The offset of the first bar that must wait for its reference, else `following`."""
        waiting = (int(rows[0]) for _, rows in self._waiting(decoded))
        return min([following, *waiting])

    def _waiting(self, decoded: DecodedBars) -> list[tuple[tuple[str, str], Any]]:
        """By interval and reference, the offsets of the bars from the position on that wait for it."""
        found = []
        for interval, batch in decoded.batches.items():
            group = self.pipeline.groups.get(interval)
            if group is None or not group.wanted:
                continue
            slots = np.array([group.slot(symbol) for symbol in batch.symbols], np.int64)
            rows = np.flatnonzero((slots >= 0) & (batch.offsets >= self.part.position))
            times = np.ascontiguousarray(batch.bars["time"][rows])
            bars = Wanted(group.symbols, slots[rows], times, batch.offsets[rows])
            for symbol, late in self.join.waiting_for(interval, group.wanted, bars).items():
                found.append(((interval, symbol), bars.offsets[late]))
        return found

    def are_read(self, since: float) -> bool:
        """Were the references' partitions read to their ends at this time or later, and is all of that here?"""
        ends = [self._bars_read_at.get(number) for number in self._wanted]
        return all(end is not None and end >= since for end in ends) and all(
            self.join.copied(*pair) >= offset for pair, offset in self._copied.items()
        )

    def propose_absent(self, decoded: DecodedBars, until: int) -> None:
        """For the bars from the position up to offset `until`, onto the log."""
        first = self.part.position
        for (interval, symbol), offsets in self._waiting(decoded):
            if int(offsets[0]) < until and self._proposed.get((interval, symbol), 0) <= first:
                self._proposed[interval, symbol] = until
                log.warning(
                    "bars/%d: no bar of %s is known for the bars from offset %d to %d: none came within %g s",
                    self.part.number, symbol, first, until - 1, self.grace,
                    extra={"partition": self.part.number, "offset": first},
                )  # fmt: skip
                failpoint("before_absent")
                record = Absent(symbol, interval, self.part.number, first, until)
                time = max([*(int(batch.bars["time"].max()) for batch in decoded.batches.values()), 0])
                self._put([Record(self._topic, b":absent", encode(record), time)])
