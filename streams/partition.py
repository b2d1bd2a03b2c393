"""One partition of the bars in its owner's hands: the pipeline, where it stands, and what still has to be written."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from plugins.bars import BarBatch, between
from plugins.pipeline import Capture, Outcome, Pipeline
from schemas.canonical import sha256_hex
from schemas.messages import Marker, Roster, encode
from streams.failpoints import failpoint
from streams.intake import DeadLetter, Intake
from streams.outlet import Record, applied_record, dead_record, shadow_record, signal_record
from streams.plan import Plan, begin_where_planned, restore
from streams.state import marker_key, roster_key, snapshot_key
from streams.switches import Switch, Switches
from streams.transport import Chunk

log = logging.getLogger("alphawire.partition")


@dataclass(frozen=True)
class Names:
    """Topic names with the configured prefix."""

    bars: str
    signals: str
    state: str
    control: str
    dead_letters: str
    shadow: str = "predictions.shadow"


@dataclass(frozen=True)
class Reached:
    """How far a partition is: everything before `position` is dealt with; for the strategies that are folded by
    themselves (None: there are none), before `behind`.
    """

    position: int
    behind: int | None = None


class Output(NamedTuple):
    """Records to write, and what is reached then; `apart`: not before all earlier ones are on the log, and no later one
    before these.
    """

    records: list[Record]
    reached: Reached
    apart: bool


RECENT = 20_000


class Behind:
    """Strategies of a partition that are folded by themselves, with a memory of repeats of their own.

    `recent`: what the others have read lately, from offset `recent_from` on, so that the last stretch needs no log.
    Before offset `loud_from` all is folded silently.
    """

    def __init__(self, pipeline: Pipeline, intake: Intake, plan: Plan) -> None:
        begin_where_planned(pipeline, plan)
        self.pipeline = pipeline
        self.intake = intake
        self.position = plan.behind_from
        self.recent: deque[Any] = deque()
        self.recent_from = plan.position
        self.loud_from = min(plan.published[name] for name in plan.behind)

    def remember(self, records: list[Any]) -> None:
        self.recent.extend(records)
        while len(self.recent) > RECENT:
            self.recent_from = self.recent.popleft().offset + 1


class Partition:
    """State and books of one partition; `feed` never awaits, so a rebalance only ever sees whole chunks.

    Offsets, in the order in which a bar passes them: `position` (fed to the pipeline), `published` (its signals are
    acknowledged), `marked` (the log says so).
    """

    def __init__(
        self,
        number: int,
        names: Names,
        intake: Intake,
        pipeline: Pipeline,
        plan: Plan,
        behind: Behind | None = None,
    ) -> None:
        restore(pipeline, plan)
        self.number = number
        self.names = names
        self.intake = intake
        self.pipeline = pipeline
        self.plan = plan
        self.behind = behind
        self.position = plan.position
        self.reached = self._now()
        self.noted = Reached(plan.marked, self.reached.behind)
        self.snapshot_position = plan.position
        self.round_wanted = False
        self.floor = plan.floor
        self.roster = plan.roster
        self.counts: Counter[str] = Counter()
        self.switches = Switches(plan.switch_from)
        self.switched = False
        """Is an `applied` among what was taken last?"""
        self.waiting = 0
        self._output: deque[Output] = deque()
        self.wake = asyncio.Event()
        self.drained = asyncio.Event()
        self.moved = asyncio.Event()
        if plan.new:
            self._put([applied_record(names.control, entry) for entry in plan.new])

    @property
    def published(self) -> int:
        return self.reached.position

    @property
    def marked(self) -> int:
        return self.noted.position

    @property
    def unmarked(self) -> bool:
        """Is more published than the log says?"""
        return self.news(self.reached)

    def acknowledged(self, offset: int) -> bool:
        """Is all on the log that states at this offset include, of those that have just joined the others too?"""
        return self.published >= offset and (self.behind is not None or self.reached.behind is None)

    def note(self, reached: Reached) -> None:
        """A marker of what is `reached` is on the log."""
        self.noted = Reached(max(self.noted.position, reached.position), reached.behind)

    def news(self, reached: Reached) -> bool:
        """Would a marker of what is `reached` say more than the last one?"""
        return reached.position > self.noted.position or reached.behind != self.noted.behind

    def feed(self, chunk: Chunk) -> None:
        """Steps over a chunk; what it comes to waits until the publisher takes it."""
        if chunk.next <= self.position:
            return
        if chunk.start > self.position:
            raise AssertionError(f"{self.names.bars}/{self.number}: a gap from {self.position} to {chunk.start}")
        records = [record for record in chunk.records if record.offset >= self.position]
        if chunk.start < self.plan.marked:
            failpoint("in_silent_fold")
        if self.behind is not None:
            self.behind.remember(records)
        taken = self.intake.read(records)
        self.counts += taken.counts
        batches = taken.batches
        for offset, switch in self.switches.due(self.position, chunk.next, batches, self.pipeline.runs):
            self._step(records, taken.dead, between(batches, self.position, offset), offset)
            batches = between(batches, offset, chunk.next)
            self._switch(switch)
        self._step(records, taken.dead, batches, chunk.next)
        failpoint("after_chunk")

    def _step(
        self, records: list[Any], dead: list[DeadLetter], batches: Mapping[str, BarBatch], following: int
    ) -> None:
        """Up to, not including, offset `following`; of the dead letters those on the way."""
        if following == self.position:
            return
        begin, self.position = max(self.position, self.plan.marked), following
        outcome = self.pipeline.feed(batches)
        failpoint("mid_chunk")
        self.counts += outcome.counts
        self.moved.set()
        letters = dead + _refused(records, outcome)
        self._say(outcome, [letter for letter in letters if begin <= letter.record.offset < following])

    def want(self, switch: Switch) -> None:
        """A wish for one of the strategies."""
        self.switches.want(switch, self.plan.applied[switch.strategy])
        self._switch_here()

    def _switch_here(self) -> None:
        """What is to be done at once does not wait for a bar."""
        for _, switch in self.switches.due(self.position, self.position + 1, {}, self.pipeline.runs):
            self._switch(switch)

    def _switch(self, switch: Switch) -> None:
        """From here on it is in force; the log says so before the first signal that it affects, and after the last one
        that it does not.
        """
        name = switch.strategy
        entry = self.plan.applied[name] = switch.applied(self.plan.applied[name], self.position)
        switch.carry_out(self.pipeline.runs[name])
        failpoint("before_swap_applied")
        self._put([applied_record(self.names.control, entry)], apart=True)
        model = f"model {entry.artifact or 'as configured'} {entry.model.sha256[:12]}" if entry.model else "no model"
        log.info(
            "bars/%d: %s: %s%s is in force from offset %d on",
            self.number, name, model, ", paused," if entry.paused else "", entry.offset,
        )  # fmt: skip

    def feed_behind(self, records: list[Any], following: int) -> None:
        """The same for the strategies that are folded by themselves: records up to, not including, offset `following`,
        which the others have passed. Where both stand at one offset, and no state of the others is ahead of it, they
        go on together.
        """
        behind = self.behind
        if behind is None or not behind.position <= following <= self.position:
            raise AssertionError(f"{self.names.bars}/{self.number}: nobody is behind offset {following}")
        taken = behind.intake.read(records)
        outcome = behind.pipeline.feed(taken.batches)
        failpoint("in_catch_up")
        # what cannot be decoded, and symbols that the others know, are dealt with by the others
        symbols = {int(offset): (interval, symbol) for interval, batch in taken.batches.items()
                   for offset, symbol in zip(batch.offsets, batch.symbols, strict=True)}  # fmt: skip
        dead = [
            letter
            for letter in _refused(records, outcome)
            if letter.record.offset >= behind.loud_from and not self.pipeline.knows(*symbols[letter.record.offset])
        ]
        behind.position = following
        if following == self.position >= self.plan.settled:
            self.pipeline.take_in(behind.pipeline, following)
            self.behind, self.round_wanted = None, True
        self._say(outcome, dead)
        if self.behind is None:
            self._switch_here()

    def _say(self, outcome: Outcome, dead: list[DeadLetter]) -> None:
        self.counts["signals"] += len(outcome.signals)
        self.counts["dead_letters"] += len(dead)
        output = [signal_record(self.names.signals, signal) for signal in outcome.signals]
        output += [shadow_record(self.names.shadow, said) for said in outcome.shadows]
        self._put(output + [dead_record(self.names.dead_letters, letter) for letter in dead])

    def _now(self) -> Reached:
        behind = self.behind
        return Reached(self.position, max(behind.position, behind.loud_from) if behind else None)

    def _put(self, records: list[Record], apart: bool = False) -> None:
        self._output.append(Output(records, self._now(), apart))
        self.waiting += len(records)
        self.wake.set()

    def take(self, limit: int, together: bool = False) -> tuple[list[Record], Reached]:
        """What waits, whole chunks up to about `limit` records, and what is reached once it is written; `together`: all
        of it arrives, or nothing.
        """
        records: list[Record] = []
        reached, self.switched = self.reached, False
        while self._output and (not records or len(records) + len(self._output[0].records) <= limit):
            alone = self._output[0].apart and not together
            if alone and records:
                break
            part = self._output.popleft()
            records += part.records
            reached, self.switched = part.reached, self.switched or part.apart
            if alone:
                break
        self.waiting -= len(records)
        self.drained.set()
        if self._output:
            self.wake.set()
        return records, reached

    def marker_record(self, reached: Reached) -> Record:
        """What is reached is on the log. The marker never goes back while earlier bars are folded silently."""
        published = dict(self.plan.published)
        for name in self.plan.applied:
            alone = reached.behind if name in self.plan.behind else None
            published[name] = max(published[name], reached.position if alone is None else alone)
        offset = max(self.plan.marked, reached.position)
        value = Marker(self.names.bars, self.number, offset, published, self.floor, self.roster)
        return Record(self.names.state, marker_key(self.names.bars, self.number), encode(value))

    def capture(self) -> Capture:
        """The states that changed since the last capture, as they are now."""
        self.snapshot_position, self.round_wanted = self.position, False
        return Capture(self.pipeline, self.position)

    def snapshot_records(self, capture: Capture) -> Iterator[Record]:
        """A round of snapshots; its roster comes after them."""
        for snapshot in capture.snapshots():
            yield Record(self.names.state, snapshot_key(snapshot), encode(snapshot))

    def roster_record(self, capture: Capture) -> Record:
        counts = dict(sorted(capture.counts.items()))
        roster = Roster(self.names.bars, self.number, capture.offset, counts, capture.strategies)
        return Record(self.names.state, roster_key(self.names.bars, self.number), encode(roster))

    def complete(self, capture: Capture, roster: Record) -> None:
        """The round is on the log: the next marker names it."""
        self.floor = capture.offset
        self.roster = sha256_hex(roster.value or b"")


def _refused(records: list[Any], outcome: Outcome) -> list[DeadLetter]:
    if not outcome.refusals:
        return []
    by_offset = {record.offset: record for record in records}
    return [DeadLetter(by_offset[r.offset], r.kind, r.reason) for r in outcome.refusals]
