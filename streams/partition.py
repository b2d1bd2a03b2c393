"""One partition of the bars in its owner's hands: the pipeline, where it stands, and what still has to be written."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from plugins.pipeline import Capture, Pipeline
from schemas.canonical import sha256_hex
from schemas.messages import Marker, Roster, encode
from streams.failpoints import failpoint
from streams.intake import DeadLetter, Intake
from streams.outlet import Record, applied_record, dead_record, signal_record
from streams.state import Plan, marker_key, restore, roster_key, snapshot_key
from streams.transport import Chunk


@dataclass(frozen=True)
class Names:
    """Topic names with the configured prefix."""

    bars: str
    signals: str
    state: str
    control: str
    dead_letters: str


class Partition:
    """State and books of one partition; `feed` never awaits, so a rebalance only ever sees whole chunks.

    Offsets, in the order in which a bar passes them: `position` (fed to the pipeline), `published` (its signals are
    acknowledged), `marked` (the log says so).
    """

    def __init__(self, number: int, names: Names, intake: Intake, pipeline: Pipeline, plan: Plan) -> None:
        restore(pipeline, plan)
        self.number = number
        self.names = names
        self.intake = intake
        self.pipeline = pipeline
        self.plan = plan
        self.position = plan.position
        self.published = plan.position
        self.marked = plan.marked
        self.snapshot_position = plan.position
        self.floor = plan.floor
        self.roster = plan.roster
        self.counts: Counter[str] = Counter()
        self.waiting = 0
        self._output: deque[tuple[list[Record], int]] = deque()
        self.wake = asyncio.Event()
        self.drained = asyncio.Event()
        if plan.new:
            self._put([applied_record(names.control, entry) for entry in plan.new])

    def feed(self, chunk: Chunk) -> None:
        """Steps over a chunk; what it comes to waits until the publisher takes it."""
        if chunk.next <= self.position:
            return
        if chunk.start > self.position:
            raise AssertionError(f"{self.names.bars}/{self.number}: a gap from {self.position} to {chunk.start}")
        records = [record for record in chunk.records if record.offset >= self.position]
        if chunk.start < self.plan.marked:
            failpoint("in_silent_fold")
        taken = self.intake.read(records)
        outcome = self.pipeline.feed(taken.batches)
        failpoint("mid_chunk")
        dead = taken.dead
        if outcome.refusals:
            by_offset = {record.offset: record for record in records}
            dead = dead + [DeadLetter(by_offset[r.offset], r.kind, r.reason) for r in outcome.refusals]
        dead = [letter for letter in dead if letter.record.offset >= self.plan.marked]
        self.counts += taken.counts + outcome.counts
        self.counts["signals"] += len(outcome.signals)
        self.counts["dead_letters"] += len(dead)
        self.position = chunk.next
        output = [signal_record(self.names.signals, signal) for signal in outcome.signals]
        self._put(output + [dead_record(self.names.dead_letters, letter) for letter in dead])
        failpoint("after_chunk")

    def _put(self, records: list[Record]) -> None:
        self._output.append((records, self.position))
        self.waiting += len(records)
        self.wake.set()

    def take(self, limit: int) -> tuple[list[Record], int]:
        """What waits, whole chunks up to about `limit` records, and the offset that is published once it is written."""
        records: list[Record] = []
        position = self.published
        while self._output and (not records or len(records) + len(self._output[0][0]) <= limit):
            part, position = self._output.popleft()
            records += part
        self.waiting -= len(records)
        self.drained.set()
        if self._output:
            self.wake.set()
        return records, position

    def marker_record(self, offset: int) -> Record:
        """Everything before `offset` is on the log. It never goes back while earlier bars are folded silently."""
        published = self.plan.published
        published = published | {name: max(published[name], offset) for name in self.plan.applied}
        offset = max(self.plan.marked, offset)
        value = Marker(self.names.bars, self.number, offset, published, self.floor, self.roster)
        return Record(self.names.state, marker_key(self.names.bars, self.number), encode(value))

    def capture(self) -> Capture:
        """The states that changed since the last capture, as they are now."""
        self.snapshot_position = self.position
        return Capture(self.pipeline, self.position)

    def snapshot_records(self, capture: Capture) -> Iterator[Record]:
        """A round of snapshots; its roster comes after them."""
        for snapshot in capture.snapshots():
            yield Record(self.names.state, snapshot_key(snapshot), encode(snapshot))

    def roster_record(self, capture: Capture) -> Record:
        counts = dict(sorted(capture.counts.items()))
        roster = Roster(self.names.bars, self.number, capture.offset, counts, sorted(self.plan.applied))
        return Record(self.names.state, roster_key(self.names.bars, self.number), encode(roster))

    def complete(self, capture: Capture, roster: Record) -> None:
        """The round is on the log: the next marker names it."""
        self.floor = capture.offset
        self.roster = sha256_hex(roster.value or b"")
