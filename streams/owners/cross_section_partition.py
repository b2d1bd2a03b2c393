"""An owned partition of `predictions`: the cross-sections of its strategies, and their signals.

All that is published follows from the log alone: from predictions and closings, in their order. What the owner adds, by
its clock, are closings. A closing holds once it is read back, and its signals are decided then. Where nobody else can
have written one before (a fenced owner that has read all that the log held when it came), they are decided at once, and
both are written in one transaction: unless signals of an earlier time wait for their closing still, which must come
first.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from plugins.pipeline.cross_sections.closing import ClosingProposer
from plugins.pipeline.cross_sections.cross_section import CrossSections, SectionOutcome
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.pipeline.outcome import Failure
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import BadRecord
from schemas.wire import Gathered, Marker, encode
from schemas.wire.cross_sections import Closing, Late, Prediction, decode_prediction_record
from streams.consuming.intake import DeadLetter
from streams.consuming.transport import Chunk
from streams.kafka.gaps import Span
from streams.owners.fed_partition import FedPartition
from streams.process.failpoints import failpoint
from streams.publishing.pending_output import Progress
from streams.publishing.tallies import NOTHING, Tally, each_signal_tally, letter_tally
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Output, Record, cross_section_signal_record, dead_record, home, prediction_record
from streams.recovery.cross_section_state import CrossSectionState, cross_section_state_key
from streams.recovery.failures import log_failure, stopped_at
from streams.recovery.state import marker_key

LOOK_AGAIN = 0.1
"""Seconds."""
Find = Callable[[str, str], ReadyStrategy | None]
log = logging.getLogger("alphawire.gathering")


class _StrategyFold:
    """One strategy's fold, and where it goes on: records before `known` are in its state already."""

    def __init__(
        self, strategy: ReadyStrategy, stored: CrossSectionState, clock: Callable[[], float], find: Find
    ) -> None:
        state = stored.strategies.get(strategy.name)
        deciders = Deciders([strategy], lambda digest: find(strategy.name, digest))
        self.sections = CrossSections(decider_of=deciders)
        if state is not None:
            self.sections = CrossSections(state.closed, state.last, state.times, deciders)
        self.decider = ClosingProposer(strategy, self.sections, clock, deciders)
        self.known = state.offset if state else 0
        self.floor = state.floor if state else 0
        self.publish_from = stored.published(strategy.name)
        self.offsets: dict[int, int] = {}
        """By pending time, the offset of its first prediction."""
        self._graced: tuple[int, int] | None = None
        self.failed: Failure | None = None
        self.signed: dict[int, set[str]] = {}
        """By time, whose signals went with a closing that is not read back yet."""

    def is_next(self, time: int) -> bool:
        """Has every prediction of an earlier time its signal by now? Else that signal, which follows when a closing is
        read back, would come after the one of `time`.
        """
        earlier = ((at, present) for at, present in self.sections.pending.items() if at < time)
        return all(present.keys() <= self.signed.get(at, set()) for at, present in earlier)

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
    """State and pending output of one partition. `fenced`: each write is a transaction of its only owner. `find`: a
    strategy by its name and the hash of a configuration that was or will be in force.
    """

    def __init__(
        self,
        number: int,
        names: TopicNames,
        strategies: Iterable[ReadyStrategy],
        partitions: int,
        stored: CrossSectionState,
        clock: Callable[[], float],
        fenced: bool = False,
        find: Find = lambda name, digest: None,
    ) -> None:
        self.names, self.topic = names, names.predictions
        self.partitions = partitions
        self.clock = clock
        at_home = [strategy for strategy in strategies if home(strategy.name, partitions) == number]
        self.strategies = {one.name: _StrategyFold(one, stored, clock, find) for one in at_home}
        self.counts: Counter[str] = Counter()
        self.wrote = False
        self._owes_marker = False
        self._published = dict(stored.marker.published) if stored.marker else {}
        self._marker = stored.marker.offset if stored.marker else 0
        self._live_from = stored.end
        self._alone_from = stored.written if fenced else None
        self._unknown: set[str] = set()
        folds = self.strategies.values()
        position = max(min((fold.floor for fold in folds), default=stored.end), stored.begin)
        marked = min((fold.publish_from for fold in folds), default=stored.end)
        super().__init__(f"predictions/{number}", number, position, marked)
        reached = min((stored.needed(name) for name in self.strategies if stored.knows(name)), default=stored.begin)
        self.whole_from = max(reached, stored.begin)
        self.note_unread([Span(reached, stored.begin)] if reached < stored.begin else [])

    @property
    def restored(self) -> bool:
        """Is all read again that the log says was dealt with?"""
        return all(self.position >= fold.publish_from for fold in self.strategies.values())

    def _step_over(self, chunk: Chunk) -> None:
        outcomes: list[tuple[str, SectionOutcome]] = []
        dead: list[DeadLetter] = []
        for record in chunk.records:
            if record.offset >= self.position:
                try:
                    outcomes += self._read(record)
                except BadRecord as bad:
                    if record.offset >= self._marker:
                        dead.append(DeadLetter(record, bad.kind, bad.reason))
        self.position = chunk.next
        self._put_outcomes(outcomes, dead)

    def _read(self, record: Any) -> Iterator[tuple[str, SectionOutcome]]:
        value = decode_prediction_record(record.value)
        if record.key != value.strategy.encode():
            raise BadRecord("wrong_key", f"the key is not the strategy {value.strategy!r}")
        if home(value.strategy, self.partitions) != self.number:
            raise BadRecord("wrong_partition", f"{value.strategy} is gathered on another partition")
        fold = self.strategies.get(value.strategy)
        if fold is None:
            self._count_unknown(value.strategy)
        elif fold.failed is not None:
            return
        elif isinstance(value, Prediction):
            yield from self._take(fold, record.offset, value)
        elif isinstance(value, Closing) and record.offset >= fold.known:
            yield from self._close(fold, record.offset, value)

    def _close(self, fold: _StrategyFold, offset: int, closing: Closing) -> Iterator[tuple[str, SectionOutcome]]:
        try:
            outcome = fold.sections.close(closing, published=closing.with_signals)
        except Exception as error:  # foreign code, whatever it raises
            self._fail(fold, Failure(closing.strategy, offset, f"the cross-section of time {closing.time}", error))
            return
        fold.signed.pop(closing.time, None)
        failpoint("mid_gather")
        if offset >= fold.publish_from:
            self.counts["cross_sections"] += 1
            yield closing.strategy, outcome

    def _fail(self, fold: _StrategyFold, failure: Failure) -> None:
        """The strategy stops: its state is no longer written, and the marker keeps where it stopped, so that the next
        owner goes on there.
        """
        fold.failed = failure
        self.counts["failed"] += 1
        log_failure(log, self.place, self.number, failure)

    @property
    def failures(self) -> dict[str, Failure]:
        """Strategies that stopped."""
        return {name: fold.failed for name, fold in self.strategies.items() if fold.failed}

    def _take(self, fold: _StrategyFold, offset: int, prediction: Prediction) -> Iterator[tuple[str, SectionOutcome]]:
        if offset < fold.known:
            fold.sections.collect_again(prediction)
            outcome = SectionOutcome()
        else:
            outcome = fold.sections.take(prediction)
        fold.decider.saw(prediction)
        fold.offsets.setdefault(prediction.time, offset)
        if outcome.signals and offset >= fold.publish_from:
            yield prediction.strategy, outcome

    def _count_unknown(self, name: str) -> None:
        self.counts["unknown_strategy"] += 1
        if name not in self._unknown:
            self._unknown.add(name)
            log.warning("%s: predictions of %s are ignored: it has no cross-section here", self.place, name[:80])

    def _put_outcomes(self, outcomes: list[tuple[str, SectionOutcome]], dead: list[DeadLetter]) -> None:
        output = [
            cross_section_signal_record(self.names, signal) for _, outcome in outcomes for signal in outcome.signals
        ]
        late: dict[tuple[str, int], list[str]] = defaultdict(list)
        for name, outcome in outcomes:
            for prediction in outcome.late:
                late[name, prediction.time].append(prediction.symbol)
        self.counts["gathered_signals"] += len(output)
        self.counts["late_predictions"] += sum(map(len, late.values()))
        self.counts["dead_letters"] += len(dead)
        for (name, time), symbols in late.items():
            output.append(self._record(Late(name, time, sorted(symbols))))
        output += [dead_record(self.names.dead_letters, letter) for letter in dead]
        signals = (signal for _, outcome in outcomes for signal in outcome.signals)
        self._put(output, tally=each_signal_tally(signals) + letter_tally(dead))

    def _record(self, value: Late | Closing) -> Record:
        return prediction_record(self.names.predictions, self.partitions, value)

    def decide(self, log_end: int | None) -> float | None:
        """Proposes what is to be closed now; seconds until something may be due, None: not before something comes.

        `log_end` is the last known end of the log. Records that are on it are read before a grace can expire, and
        times that are closed on it are not proposed again.
        """
        if self.position < self._live_from and (log_end is None or self.position < log_end):
            return LOOK_AGAIN
        waits = [self._decide(fold, log_end) for fold in self.strategies.values() if fold.failed is None]
        return min((wait for wait in waits if wait is not None), default=None)

    def _decide(self, fold: _StrategyFold, log_end: int | None) -> float | None:
        while (candidate := fold.decider.next()) is not None:
            time, due = candidate
            if due is not None and (wait := due - self.clock()) > 0:
                return wait
            if due is not None and not fold.has_read(time, self.position, log_end):
                return LOOK_AGAIN
            failpoint("before_closing")
            self.counts["closed_by_grace" if due is not None else "closed_complete"] += 1
            records, tally = self._proposal(fold, fold.decider.close(time))
            self._put(records, tally=tally)
        return None

    def _proposal(self, fold: _StrategyFold, closing: Closing) -> tuple[list[Record], Tally]:
        """The closing, and its signals where it holds for certain and they are the next of their symbols. What cannot
        be decided stops the strategy when the closing is read back.
        """
        alone = self._alone_from is not None and self.position >= self._alone_from
        if not alone or not fold.is_next(closing.time):
            return [self._record(closing)], NOTHING
        try:
            signals = fold.sections.decided(closing)
        except Exception:  # foreign code, whatever it raises
            return [self._record(closing)], NOTHING
        self.counts["gathered_signals"] += len(signals)
        fold.signed[closing.time] = {signal.content.symbol for signal in signals}
        complete = msgspec.structs.replace(closing, with_signals=True)
        records = [cross_section_signal_record(self.names, signal) for signal in signals]
        return [self._record(complete), *records], each_signal_tally(signals)

    def take(self, limit: int, together: bool = False) -> tuple[list[Output], Progress]:
        output, reached = super().take(limit, together)
        self.wrote = bool(output)
        self._owes_marker |= self.wrote
        return output, reached

    @property
    def unmarked(self) -> bool:
        """What only waits for its closing would be read again whatever a marker said."""
        waits = any(fold.sections.pending for fold in self.strategies.values() if fold.failed is None)
        return super().unmarked and (self._owes_marker or not waits)

    def note_marker(self, reached: Progress) -> None:
        super().note_marker(reached)
        self._owes_marker = False

    def marker_record(self, reached: Progress) -> Record:
        """What is reached is on the log. Strategies that are not here stay where they were."""
        published = {
            name: max(fold.publish_from, stopped_at(fold.failed, reached.position))
            for name, fold in self.strategies.items()
        }
        topic = self.names.predictions
        value = Marker(topic, self.number, max(self._marker, reached.position), self._published | published)
        return Record(self.names.state, marker_key(topic, self.number), encode(value))

    def state_records(self) -> list[Record]:
        """The states as they are now."""
        self.snapshot_position = self.position
        return [self._state_record(name, fold) for name, fold in self.strategies.items() if fold.failed is None]

    def _state_record(self, name: str, fold: _StrategyFold) -> Record:
        sections, position = fold.sections, self.position
        state = Gathered(
            name, self.names.predictions, self.number, position, fold.floor_at(position), sections.closed,
            sections.last, list(sections.times),
        )  # fmt: skip
        return Record(self.names.state, cross_section_state_key(state), encode(state))

    def round_ready(self) -> bool:
        """Not while some of the records are read again that a state includes."""
        return all(self.position >= fold.known for fold in self.strategies.values())
