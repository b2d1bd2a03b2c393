"""One partition of `predictions` in its owner's hands: the cross-sections of its strategies, and what they come to.

All that is published follows from the log alone: from predictions and closings, in their order. What the owner adds of
its own, by its clock, are closings. They hold when they are read back, and their signals are made then; or at once,
where nobody else can have written one before (a fenced owner that has read all that there was when it came), and both
are written in one transaction.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from plugins.pipeline.cross_sections.closing import Decider
from plugins.pipeline.cross_sections.cross_section import CrossSections, SectionOutcome
from plugins.pipeline.outcome import Failure
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import BadRecord
from schemas.wire import Gathered, Marker, encode
from schemas.wire.cross_sections import Closing, Late, Prediction, decode_prediction_record
from streams.consuming.intake import DeadLetter
from streams.consuming.transport import Chunk
from streams.owners.fed_partition import FedPartition
from streams.process.failpoints import failpoint
from streams.publishing.pending_output import Reached
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Record, dead_record, gathered_signal_record, home, prediction_record
from streams.recovery.cross_section_state import CrossSectionState, gathered_key
from streams.recovery.failures import log_failure, stopped_at
from streams.recovery.state import marker_key

LOOK_AGAIN = 0.1
"""Seconds."""
log = logging.getLogger("alphawire.gathering")


class _Strategy:
    """One strategy's fold, and where it goes on: records before `known` are in its state already."""

    def __init__(self, strategy: ReadyStrategy, stored: CrossSectionState, clock: Callable[[], float]) -> None:
        state = stored.strategies.get(strategy.name)
        self.sections = CrossSections(state.closed, state.last, state.times) if state else CrossSections()
        self.decider = Decider(strategy, self.sections, clock)
        self.known = state.offset if state else 0
        self.floor = state.floor if state else 0
        self.loud_from = stored.published(strategy.name)
        self.offsets: dict[int, int] = {}
        """By pending time, the offset of its first prediction."""
        self._graced: tuple[int, int] | None = None
        self.failed: Failure | None = None

    def floor_at(self, position: int) -> int:
        """The oldest record that is pending when everything before `position` is read."""
        pending = self.sections.pending
        self.offsets = {time: offset for time, offset in self.offsets.items() if time in pending}
        return min(self.offsets.values(), default=position)

    def has_read(self, time: int, position: int, log_end: int | None) -> bool:
        """Is what was on the log when the grace of `time` was over read?"""
        if self._graced is None or self._graced[0] != time:
            self._graced = time, log_end or 0
        return position >= self._graced[1]


class CrossSectionPartition(FedPartition):
    """State and pending output of one partition. `fenced`: each write is a transaction of its only owner."""

    def __init__(
        self,
        number: int,
        names: TopicNames,
        strategies: Iterable[ReadyStrategy],
        partitions: int,
        stored: CrossSectionState,
        clock: Callable[[], float],
        fenced: bool = False,
    ) -> None:
        self.names = names
        self.partitions = partitions
        self.clock = clock
        mine = [strategy for strategy in strategies if home(strategy.name, partitions) == number]
        self.strategies = {strategy.name: _Strategy(strategy, stored, clock) for strategy in mine}
        self.counts: Counter[str] = Counter()
        self.wrote = False
        self._owes_marker = False
        self._published = dict(stored.marker.published) if stored.marker else {}
        self._marker = stored.marker.offset if stored.marker else 0
        self._live_from = stored.end
        self._alone_from = stored.written if fenced else None
        self._strangers: set[str] = set()
        every = self.strategies.values()
        position = max(min((s.floor for s in every), default=stored.end), stored.begin)
        marked = min((s.loud_from for s in every), default=stored.end)
        super().__init__(f"predictions/{number}", number, position, marked)

    @property
    def restored(self) -> bool:
        """Is all read again that the log says was dealt with?"""
        return all(self.position >= mine.loud_from for mine in self.strategies.values())

    def _step_over(self, chunk: Chunk) -> None:
        made: list[tuple[str, SectionOutcome]] = []
        dead: list[DeadLetter] = []
        for record in chunk.records:
            if record.offset >= self.position:
                try:
                    made += self._read(record)
                except BadRecord as bad:
                    if record.offset >= self._marker:
                        dead.append(DeadLetter(record, bad.kind, bad.reason))
        self.position = chunk.next
        self._say(made, dead)

    def _read(self, record: Any) -> Iterator[tuple[str, SectionOutcome]]:
        value = decode_prediction_record(record.value)
        if record.key != value.strategy.encode():
            raise BadRecord("wrong_key", f"the key is not the strategy {value.strategy!r}")
        if home(value.strategy, self.partitions) != self.number:
            raise BadRecord("wrong_partition", f"{value.strategy} is gathered on another partition")
        mine = self.strategies.get(value.strategy)
        if mine is None:
            self._stranger(value.strategy)
        elif mine.failed is not None:
            return
        elif isinstance(value, Prediction):
            yield from self._take(mine, record.offset, value)
        elif isinstance(value, Closing) and record.offset >= mine.known:
            yield from self._close(mine, record.offset, value)

    def _close(self, mine: _Strategy, offset: int, closing: Closing) -> Iterator[tuple[str, SectionOutcome]]:
        try:
            made = mine.sections.close(closing, published=closing.with_signals)
        except Exception as error:  # foreign code, whatever it raises
            self._stop(mine, Failure(closing.strategy, offset, f"the cross-section of time {closing.time}", error))
            return
        failpoint("mid_gather")
        if offset >= mine.loud_from:
            self.counts["cross_sections"] += 1
            yield closing.strategy, made

    def _stop(self, mine: _Strategy, failure: Failure) -> None:
        """Its state is not written any more, and the marker keeps where it stopped: so the next owner goes on there."""
        mine.failed = failure
        self.counts["failed"] += 1
        log_failure(log, self.place, self.number, failure)

    @property
    def failures(self) -> dict[str, Failure]:
        """Strategies that stopped."""
        return {name: mine.failed for name, mine in self.strategies.items() if mine.failed}

    def _take(self, mine: _Strategy, offset: int, prediction: Prediction) -> Iterator[tuple[str, SectionOutcome]]:
        if offset < mine.known:
            mine.sections.collect_again(prediction)
            made = SectionOutcome()
        else:
            made = mine.sections.take(prediction)
        mine.decider.saw(prediction)
        mine.offsets.setdefault(prediction.time, offset)
        if made.signals and offset >= mine.loud_from:
            yield prediction.strategy, made

    def _stranger(self, name: str) -> None:
        self.counts["unknown_strategy"] += 1
        if name not in self._strangers:
            self._strangers.add(name)
            log.warning("%s: predictions of %s are left alone: no such cross-section here", self.place, name[:80])

    def _say(self, made: list[tuple[str, SectionOutcome]], dead: list[DeadLetter]) -> None:
        output = [gathered_signal_record(self.names.signals, signal) for _, part in made for signal in part.signals]
        late: dict[tuple[str, int], list[str]] = defaultdict(list)
        for name, part in made:
            for prediction in part.late:
                late[name, prediction.time].append(prediction.symbol)
        self.counts["gathered_signals"] += len(output)
        self.counts["late_predictions"] += sum(map(len, late.values()))
        self.counts["dead_letters"] += len(dead)
        for (name, time), symbols in late.items():
            output.append(self._record(Late(name, time, sorted(symbols))))
        output += [dead_record(self.names.dead_letters, letter) for letter in dead]
        self._put(output)

    def _record(self, value: Late | Closing) -> Record:
        return prediction_record(self.names.predictions, self.partitions, value)

    def decide(self, log_end: int | None) -> float | None:
        """Proposes what is to be closed now; seconds until something may be due, None: not before something comes.

        `log_end` is where the log ends as far as is known: what is there already is not missed by a grace that is over,
        and closings that are there already are not proposed again.
        """
        if self.position < self._live_from and (log_end is None or self.position < log_end):
            return LOOK_AGAIN
        waits = [self._decide(mine, log_end) for mine in self.strategies.values() if mine.failed is None]
        return min((wait for wait in waits if wait is not None), default=None)

    def _decide(self, mine: _Strategy, log_end: int | None) -> float | None:
        while (found := mine.decider.next()) is not None:
            time, due = found
            if due is not None and (wait := due - self.clock()) > 0:
                return wait
            if due is not None and not mine.has_read(time, self.position, log_end):
                return LOOK_AGAIN
            failpoint("before_closing")
            self.counts["closed_by_grace" if due is not None else "closed_complete"] += 1
            self._put(self._proposal(mine, mine.decider.close(time)))
        return None

    def _proposal(self, mine: _Strategy, closing: Closing) -> list[Record]:
        """The closing, and its signals where it holds for certain. What cannot be decided stops the strategy when the
        closing is read back.
        """
        if self._alone_from is None or self.position < self._alone_from:
            return [self._record(closing)]
        try:
            signals = mine.sections.decided(closing)
        except Exception:  # foreign code, whatever it raises
            return [self._record(closing)]
        self.counts["gathered_signals"] += len(signals)
        told = msgspec.structs.replace(closing, with_signals=True)
        return [self._record(told), *(gathered_signal_record(self.names.signals, signal) for signal in signals)]

    def take(self, limit: int, together: bool = False) -> tuple[list[Record], Reached]:
        records, reached = super().take(limit, together)
        self.wrote = bool(records)
        self._owes_marker |= self.wrote
        return records, reached

    @property
    def unmarked(self) -> bool:
        """What only waits for its closing would be read again whatever a marker said."""
        waits = any(mine.sections.pending for mine in self.strategies.values() if mine.failed is None)
        return super().unmarked and (self._owes_marker or not waits)

    def note(self, reached: Reached) -> None:
        super().note(reached)
        self._owes_marker = False

    def marker_record(self, reached: Reached) -> Record:
        """What is reached is on the log. Strategies that are not here stay where they were."""
        published = {
            name: max(mine.loud_from, stopped_at(mine.failed, reached.position))
            for name, mine in self.strategies.items()
        }
        topic = self.names.predictions
        value = Marker(topic, self.number, max(self._marker, reached.position), self._published | published)
        return Record(self.names.state, marker_key(topic, self.number), encode(value))

    def state_records(self) -> list[Record]:
        """The states as they are now."""
        self.snapshot_position = self.position
        return [self._state_record(name, mine) for name, mine in self.strategies.items() if mine.failed is None]

    def _state_record(self, name: str, mine: _Strategy) -> Record:
        sections, position = mine.sections, self.position
        state = Gathered(
            name, self.names.predictions, self.number, position, mine.floor_at(position), sections.closed,
            sections.last, list(sections.times),
        )  # fmt: skip
        return Record(self.names.state, gathered_key(state), encode(state))

    def round_ready(self) -> bool:
        """Not while some of the records are read again that a state includes."""
        return all(self.position >= mine.known for mine in self.strategies.values())
