"""The one walk over history: partition by partition, what the log knows of it, what was in force, and what the bars
come to under that.

`replay`, `verify` and `explain` are its consumers, with cross-sections and without. A partition is read once.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from backtest.replay.stretches import Stretch, stretches
from backtest.sources.bars import Reading, Step, topic_steps
from plugins.base.bars import BarBatch, between, without
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Observation, RunSettings, Source
from plugins.side_inputs.frames import WholeBars
from plugins.side_inputs.news.join import Joining, NewsJoin
from plugins.side_inputs.references import ReferenceJoin
from plugins.strategy.identity import same_code_of_states
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import FIRST_TIME, Applied
from streams.consuming.side_inputs import joins, references
from streams.kafka.log import Log
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import topic_name
from streams.recovery.state import StoredState, interval_of, load

VERSION = "replay"
Observe = Callable[[Stretch], Callable[[Observation], None]]
"""Gives the observer of what goes on from one stretch to the next, described as one stretch."""


@dataclass(frozen=True)
class Beside:
    """What bars are joined with: news, by each rule, and the bars of references; None: there are none."""

    news: Mapping[Joining, NewsJoin]
    references: ReferenceJoin | None


class Fold(Protocol):
    """Bars in, what they come to out; the bars of a partition in their order."""

    def feed(self, batches: Mapping[str, BarBatch]) -> Outcome: ...


@dataclass(frozen=True)
class History:
    """What strategy `ready` did on a log; `config` says how it and its past are made here."""

    log: Log
    config: Config
    ready: ReadyStrategy

    async def partitions(
        self, numbers: Iterable[int] | None = None, whole: bool = True
    ) -> AsyncIterator["PartitionHistory"]:
        """These partitions of `bars`, or all. `whole`: what the log no longer holds from its origin on cannot be
        recomputed.
        """
        count = await self.log.partition_count()
        for number in range(count) if numbers is None else numbers:
            stored = await load(self.log, number)
            entries = stored.history.get(self.ready.name, [])
            oldest, _ = await self.log.offset_range("bars", number) if whole and entries else (0, 0)
            yield PartitionHistory(self, number, stored, stretches(entries, oldest, self.ready, self.config))


@dataclass(frozen=True)
class PartitionHistory:
    """One partition: `stored` is what the log knows of it, `past` what was in force, in order."""

    history: History
    number: int
    stored: StoredState
    past: list[Stretch]

    async def recomputed(self, reading: Reading | None = None, observe: Observe | None = None) -> Outcome:
        """The signals (or predictions) that the past demands, as far as it can be recomputed."""
        total = Outcome()
        if folds := await self.in_force(observe):
            async for _, outcome in self.steps(folds, self.begin(), reading):
                add(total, outcome)
        return total

    async def in_force(self, observe: Observe | None = None, early: bool = False) -> list[Fold]:
        """Folds of what was in force, as far as it can be recomputed; `early`: of all bars before it, too."""
        beside = await self._beside([stretch.strategy for stretch in self.past if stretch.strategy])
        groups: list[list[Stretch]] = []
        for stretch in self.past:
            if groups and _goes_on(groups[-1][-1].applied, stretch.applied):
                groups[-1].append(stretch)
            else:
                groups.append([stretch])
        return [
            _InForce(self._source(group[0].applied), group, beside, observe, early and group is groups[0])
            for group in groups
            if any(stretch.strategy for stretch in group)
        ]

    async def as_configured(self) -> list[Fold]:
        """The fold of the strategy here, whatever was in force; signals of all bars."""
        ready = self.history.ready
        origin = self.past[-1].applied.origin.offset if self.past else 0
        beside = replace(await self._beside([ready]), references=await whole_references(self.history.log, ready))
        return [_AsConfigured(self._source(), ready, beside, origin)]

    def begin(self, *intervals: str) -> int:
        """The first bar that what was in force may remember, or other strategies of these `intervals`."""
        recomputed = {interval_of(stretch.applied) for stretch in self.past if stretch.strategy}
        return self.stored.memory_begin({*intervals, *recomputed}) or 0

    async def steps(
        self, folds: Sequence[Fold], begin: int, reading: Reading | None = None
    ) -> AsyncIterator[tuple[Step, Outcome]]:
        """The bars from offset `begin` to the end that the log has now, and what the folds make of them."""
        async for step in topic_steps(self.history.log, self.number, begin, reading):
            total = Outcome()
            for fold in folds:
                add(total, fold.feed(step.batches))
            yield step, total

    def _source(self, applied: Applied | None = None) -> Source:
        """Of what was `applied`, or of today, without the bars that are left out then."""
        left_out = self.stored.left_out
        if applied is not None:
            left_out = {offset: left_out[offset] for offset in applied.left_out if offset in left_out}
        return Source(topic_name(self.history.log, "bars"), self.number, VERSION, left_out)

    async def _beside(self, strategies: Iterable[ReadyStrategy]) -> Beside:
        """What the log of the partition says."""
        log, known = self.history.log, list(strategies)
        news = await joins(log, self.number, {one.joining for one in known if one.uses_news})
        return Beside(news, await references(log, self.number) if any(one.references for one in known) else None)


def add(total: Outcome, outcome: Outcome) -> None:
    """What a replay keeps of an outcome."""
    total.signals += outcome.signals
    total.predictions += outcome.predictions
    total.refusals += outcome.refusals


class _AsConfigured:
    """One strategy in one pipeline, from `origin` on."""

    def __init__(self, source: Source, strategy: ReadyStrategy, beside: Beside, origin: int) -> None:
        self._pipeline = _pipeline(source, strategy, RunSettings(origin, start_time=FIRST_TIME), beside)

    def feed(self, batches: Mapping[str, BarBatch]) -> Outcome:
        return self._pipeline.feed(batches)


class _InForce:
    """Stretches whose states go on from one to the next, in one pipeline. `early`: signals of all bars before them,
    too.
    """

    def __init__(
        self, source: Source, group: Sequence[Stretch], beside: Beside, observe: Observe | None, early: bool
    ) -> None:
        self._stretches = group
        first = next(stretch.strategy for stretch in group if stretch.strategy)
        settings = RunSettings(
            group[0].applied.origin.offset,
            publish_from=0 if early else group[0].begin,
            in_force_from=group[0].begin,
            start_time=FIRST_TIME if early else None,
            observer=observe(replace(group[-1], begin=group[0].begin, strategy=first)) if observe else None,
        )
        self._pipeline = _pipeline(source, first, settings, beside)
        self._run = self._pipeline.runs[first.name]

    def feed(self, batches: Mapping[str, BarBatch]) -> Outcome:
        begin, total = 0, Outcome()
        for stretch in self._stretches:
            if part := between(batches, begin, stretch.end):
                self._run.put_in_force(stretch.begin)
                if stretch.strategy:
                    self._run.exchange(stretch.strategy)
                if stretch.applied.paused or stretch.strategy is None:
                    self._run.pause()
                else:
                    self._run.resume()
                add(total, self._pipeline.feed(part))
            begin = stretch.end
        return total


def _pipeline(source: Source, strategy: ReadyStrategy, settings: RunSettings, beside: Beside) -> Pipeline:
    join = beside.news[strategy.joining] if strategy.uses_news else None
    pipeline = Pipeline([strategy], source, {strategy.name: settings}, join)
    pipeline.refer_to(beside.references)
    return pipeline


async def whole_references(log: Log, ready: ReadyStrategy) -> ReferenceJoin | None:
    """The bars that stand beside those of the strategy, wherever they lie; None where none do."""
    if not ready.references:
        return None
    beside = WholeBars(ready.interval, ready.references)
    count, kind = await log.partition_count(), log.partitioner
    names = frozenset[str]().union(*(reference.names for reference in ready.references))
    places = {partition_of(symbol.encode(), count, kind) for symbol in names} if kind != "as_is" else range(count)
    for partition in sorted(places):
        async for step in topic_steps(log, partition, 0):
            if batch := step.batches.get(ready.interval):
                beside.take(without(batch, step.left_out)[0] if step.left_out else batch)
    return beside.join


def _goes_on(old: Applied, new: Applied) -> bool:
    """Is it the old state, under another model, threshold or pause?"""
    return (
        (old.origin, old.layout, interval_of(old), old.left_out)
        == (new.origin, new.layout, interval_of(new), new.left_out)
        and all(old.config[name] == new.config[name] for name in ("universe", "start"))
        and same_code_of_states(old.config, new.config)
    )
