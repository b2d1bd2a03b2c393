"""An owned partition of `bars`: its pipeline, how far it is, and what is still to be written."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from plugins.base.bars import BarBatch, between
from plugins.fold import gate
from plugins.pipeline.outcome import Failure, Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.states.capture import Capture
from schemas.canonical import sha256_hex
from schemas.wire import Marker, RefusedBars, Roster, encode
from streams.consuming.intake import DeadLetter, DecodedBars, Intake
from streams.consuming.transport import Chunk
from streams.owners.fed_partition import FedPartition
from streams.process.failpoints import failpoint
from streams.publishing.pending_output import Progress
from streams.publishing.tallies import letter_tally, signal_tally
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import (
    Output,
    Record,
    applied_record,
    dead_record,
    placed_record,
    prediction_record,
    shadow_record,
    signal_rows,
)
from streams.recovery.failures import log_failure, stopped_at
from streams.recovery.plan import ResumePlan
from streams.recovery.state import marker_key, roster_key, snapshot_key
from streams.requests.switches import PendingSwitches, StrategySwitch
from streams.requests.symbol_places import SymbolPlaces

log = logging.getLogger("alphawire.partition")


RECENT = 20_000


class LaggingStrategies:
    """Strategies of a partition that are behind the others, folded apart with a memory of repeats of their own.

    `recent`: what the others have read lately, from offset `recent_from` on, so that the last stretch needs no log.
    Before offset `publish_from` all is folded silently.
    """

    def __init__(self, pipeline: Pipeline, intake: Intake, plan: ResumePlan) -> None:
        self.pipeline = pipeline
        self.intake = intake
        self.position = plan.behind_from
        self.recent: deque[Any] = deque()
        self.recent_from = plan.position
        self.publish_from = min(plan.published[name] for name in plan.behind)

    def remember(self, records: list[Any]) -> None:
        self.recent.extend(records)
        while len(self.recent) > RECENT:
            self.recent_from = self.recent.popleft().offset + 1


class BarsPartition(FedPartition):
    """State and pending output of one partition of the bars. `on_failure` is called when strategies have stopped;
    `places` knows where symbols lie.
    """

    def __init__(
        self,
        number: int,
        names: TopicNames,
        intake: Intake,
        pipeline: Pipeline,
        plan: ResumePlan,
        behind: LaggingStrategies | None = None,
        on_failure: Callable[[], None] = lambda: None,
        places: SymbolPlaces | None = None,
    ) -> None:
        pipeline.restore(plan.snapshots)
        self.names, self.topic = names, names.bars
        self.intake = intake
        self.pipeline = pipeline
        self.plan = plan
        self.behind = behind
        super().__init__(f"bars/{number}", number, plan.position, plan.marked, self._behind_from(plan.position).behind)
        self._marked_published = plan.published
        self.round_wanted = False
        self.floor = plan.floor
        self.roster = plan.roster
        self.counts: Counter[str] = Counter()
        self.switches = PendingSwitches(plan.switch_from)
        self.moved = asyncio.Event()
        self._failures: dict[str, Failure] = {}
        self._refused = 0
        self._on_failure = on_failure
        if plan.new:
            self._put([applied_record(names.control, entry) for entry in plan.new])
        self._places = places
        self.whole_from = max(plan.marked, plan.unread.end if plan.unread else 0)
        self.note_unread([plan.unread] if plan.unread else [])
        if intake.moving:
            self._place(snapshot.symbol for snapshot in plan.snapshots)

    @property
    def failures(self) -> Mapping[str, Failure]:
        """Strategies that stopped. What each owes since then is published when its states are folded again."""
        return self._failures

    @property
    def restored(self) -> bool:
        """Is all folded again that is published already?"""
        return self.position >= self.plan.marked

    def newest_closes(self) -> dict[str, int]:
        """By interval, when its newest bar closed (ms since the epoch, UTC); without those that had none."""
        closes = {interval: group.last_closes() for interval, group in self.pipeline.groups.items()}
        newest = {interval: int(own.max()) for interval, own in closes.items() if len(own)}
        return {interval: close for interval, close in newest.items() if close > gate.NEVER}

    def acknowledged(self, offset: int) -> bool:
        """Is all on the log that states at this offset include, of those that have just joined the others too?"""
        return self.published >= offset and (self.behind is not None or self.reached.behind is None)

    def round_ready(self) -> bool:
        """Not while bars are passed over that some states, of an unfinished round, already include."""
        return self.position >= self.plan.settled

    @property
    def round_due(self) -> bool:
        return self.round_wanted

    def _step_over(self, chunk: Chunk) -> None:
        records = [record for record in chunk.records if record.offset >= self.position]
        if chunk.start < self.plan.marked:
            failpoint("in_silent_fold")
        if self.behind is not None:
            self.behind.remember(records)
        decoded = self.intake.read(records)
        self.counts += decoded.counts
        self.put_refused()
        self._place(decoded.symbols)
        self.advance(records, decoded, chunk.next)
        failpoint("after_chunk")

    def _place(self, symbols: Iterable[str]) -> None:
        """Says on the log where these lie, before what their bars lead to: so each worker knows of all."""
        if self._places and (records := self._places.unknown(self.number, symbols)):
            self._put([placed_record(self.names.control, record) for record in records])

    def advance(self, records: list[Any], decoded: DecodedBars, following: int) -> None:
        """Steps over the `decoded` records up to, not including, offset `following`."""
        batches = between(decoded.batches, self.position, following)
        for offset, switch in self.switches.due(self.position, following, batches, self.pipeline.runs):
            self._step(records, decoded.dead, between(batches, self.position, offset), offset)
            batches = between(batches, offset, following)
            self._switch(switch)
        self._step(records, decoded.dead, batches, following)

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
        self._put_outcome(outcome, [letter for letter in letters if begin <= letter.record.offset < following])
        self._fail(outcome.failures)

    def put_refused(self) -> None:
        """What the clock has just refused is on the log before anything that later bars lead to."""
        refused = self.intake.bound.refused
        if len(refused) == self._refused:
            return
        fresh = list(islice(reversed(refused), len(refused) - self._refused))[::-1]
        if not self._refused:
            log.warning(
                "%s: the bar at offset %d opens after this worker's clock, or its schema is not known, and is refused,"
                " as others may be: the dead letters (error future or unknown_schema) say the mend",
                self.place, fresh[0], extra={"partition": self.number, "offset": fresh[0]},
            )  # fmt: skip
        self._refused = len(refused)
        value = RefusedBars(self.names.bars, self.number, fresh, [refused[offset] for offset in fresh])
        key = marker_key(self.names.bars, self.number)
        self._put([Record(self.names.control, key, encode(value))], apart=True)
        failpoint("after_refused")

    def _fail(self, failures: list[Failure]) -> None:
        """The strategies stop: their states are in no round of snapshots from here on, and the marker keeps where each
        stopped. So the next owner folds them again, apart from the others, and publishes what is owed.
        """
        for failure in failures:
            self._failures[failure.strategy] = failure
            self.counts["failed"] += 1
            log_failure(log, self.place, self.number, failure)
        if failures:
            self._on_failure()

    def request(self, switch: StrategySwitch) -> None:
        """A control request for one of the strategies."""
        self.switches.add(switch, self.plan.applied[switch.strategy])
        self._switch_here()

    def _switch_here(self) -> None:
        """What is to be done at once does not wait for a bar."""
        for _, switch in self.switches.due(self.position, self.position + 1, {}, self.pipeline.runs):
            self._switch(switch)

    def _switch(self, switch: StrategySwitch) -> None:
        """From here on it is in force; the log says so before the first signal that it affects, and after the last one
        that it does not.
        """
        name = switch.strategy
        entry = self.plan.applied[name] = switch.applied(self.plan.applied[name], self.position)
        switch.carry_out(self.pipeline.runs[name], self.position)
        failpoint("before_swap_applied")
        self._put([applied_record(self.names.control, entry)], apart=True)
        model = f"model {entry.artifact or 'as configured'} {entry.model.sha256[:12]}" if entry.model else "no model"
        log.info(
            "bars/%d: %s: %s%s is in force from offset %d on",
            self.number, name, model, ", paused," if entry.paused else "", entry.offset,
        )  # fmt: skip

    def feed_behind(self, records: list[Any], following: int) -> None:
        """The same for the strategies that are behind: records up to, not including, offset `following`, which the
        others have passed. Where both are at one offset, and no state of the others is ahead of it, they go on
        together.
        """
        behind = self.behind
        if behind is None or not behind.position <= following <= self.position:
            raise AssertionError(f"{self.names.bars}/{self.number}: nobody is behind offset {following}")
        decoded = behind.intake.read(records)
        outcome = behind.pipeline.feed(decoded.batches)
        failpoint("in_catch_up")
        # what cannot be decoded, and symbols that the others know, are dealt with by the others
        symbols: dict[int, list[tuple[str, str]]] = {}
        for interval, batch in decoded.batches.items():
            for offset, symbol in zip(batch.offsets.tolist(), batch.symbols, strict=True):
                symbols.setdefault(offset, []).append((interval, symbol))
        dead = [
            letter
            for letter in _refused(records, outcome)
            if letter.record.offset >= behind.publish_from
            and not all(self.pipeline.knows(*each) for each in symbols[letter.record.offset])
        ]
        behind.position = following
        if following == self.position >= self.plan.settled:
            self.pipeline.take_in(behind.pipeline, following)
            self.behind, self.round_wanted = None, True
        self._put_outcome(outcome, dead)
        self._fail(outcome.failures)
        if self.behind is None:
            self._switch_here()

    def _put_outcome(self, outcome: Outcome, dead: list[DeadLetter]) -> None:
        self.counts["signals"] += len(outcome.signals)
        self.counts["predictions"] += len(outcome.predictions)
        self.counts["dead_letters"] += len(dead)
        output: list[Output] = [*signal_rows(self.names, outcome.signals)]
        output += [shadow_record(self.names.shadow, prediction) for prediction in outcome.shadows]
        count = self.intake.partitions
        output += [prediction_record(self.names.predictions, count, prediction) for prediction in outcome.predictions]
        output += [dead_record(self.names.dead_letters, letter) for letter in dead]
        self._put(output, tally=signal_tally(outcome.signals) + letter_tally(dead))

    def _now(self) -> Progress:
        return self._behind_from(self.position)

    def _behind_from(self, position: int) -> Progress:
        behind = self.behind
        return Progress(position, max(behind.position, behind.publish_from) if behind else None)

    def marker_record(self, reached: Progress) -> Record:
        """What is reached is on the log; of a strategy that stopped, what came before that. The marker never goes back
        while earlier bars are folded silently.
        """
        offset, track = max(self.plan.marked, reached.position), self.plan.track
        published = self._published_at(reached)
        value = Marker(self.names.bars, self.number, offset, published, self.floor, self.roster, track)
        return Record(self.names.state, marker_key(self.names.bars, self.number, track), encode(value))

    def _published_at(self, reached: Progress) -> dict[str, int]:
        """By strategy, what a marker of what is `reached` says."""
        published = dict(self.plan.published)
        for name in self.plan.applied:
            apart = reached.behind if name in self.plan.behind else None
            offset = reached.position if apart is None else apart
            published[name] = max(published[name], stopped_at(self.failures.get(name), offset))
        return published

    def advances(self, reached: Progress) -> bool:
        """Also where the partition is still below its last marker: one of its strategies may not have published up to
        there yet, because it was away or behind. What it publishes needs a marker too, else it would come twice.
        """
        return super().advances(reached) or self._published_at(reached) != self._marked_published

    def note_marker(self, reached: Progress) -> None:
        super().note_marker(reached)
        self._marked_published = self._published_at(reached)

    def capture(self) -> Capture:
        """The states that changed since the last capture, as they are now."""
        self.snapshot_position, self.round_wanted = self.position, False
        return self.pipeline.capture(self.position)

    def snapshot_records(self, capture: Capture) -> Iterator[Record]:
        """A round of snapshots; its roster comes after them."""
        for snapshot in capture.snapshots():
            yield Record(self.names.state, snapshot_key(snapshot), encode(snapshot))

    def roster_record(self, capture: Capture) -> Record:
        counts = dict(sorted(capture.counts.items()))
        track, left_out = self.plan.track, sorted(self.plan.left_out)
        roster = Roster(self.names.bars, self.number, capture.offset, counts, capture.strategies, track, left_out)
        return Record(self.names.state, roster_key(self.names.bars, self.number, track), encode(roster))

    def complete(self, capture: Capture, roster: Record) -> None:
        """The round is on the log: the next marker names it."""
        self.floor = capture.offset
        self.roster = sha256_hex(roster.value or b"")


def _refused(records: list[Any], outcome: Outcome) -> list[DeadLetter]:
    if not outcome.refusals:
        return []
    by_offset, letters = {record.offset: record for record in records}, dict[int, DeadLetter]()
    for refusal in outcome.refusals:  # a record of several bars is one letter
        known, record = letters.get(refusal.offset), by_offset[refusal.offset]
        reason = f"{known.reason}; {refusal.reason}" if known else refusal.reason
        letters[refusal.offset] = DeadLetter(record, known.kind if known else refusal.kind, reason)
    return list(letters.values())
