"""Signals of strategies that differ in all but their features: these are computed once.

All of them begin at the same bar and see the same ones, so they share features as strategies of a worker do
(`plugins.pipeline.states.sharing`).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.replay.file_cross_sections import FileSections
from backtest.replay.replay import ReplayResult
from backtest.replay.walk import VERSION
from backtest.sources.bars import Step
from plugins.base.bars import BarBatch
from plugins.pipeline.accepted_bars import FeatureRows
from plugins.pipeline.interval_group import IntervalGroup
from plugins.pipeline.outcome import Outcome, RunOutcome
from plugins.pipeline.strategy_run import RunSettings, Source, StrategyRun
from plugins.side_inputs.frames import WholeBars
from plugins.side_inputs.news.join import NewsJoin
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import FIRST_TIME, Signal


class _Run(StrategyRun):
    """A run that keeps its signals."""

    def __init__(self, strategy: ReadyStrategy, source: Source) -> None:
        super().__init__(strategy, source, RunSettings(start_time=FIRST_TIME))
        self.signals: list[Signal] = []
        self.sections = FileSections(strategy)

    def exchange(self, strategy: ReadyStrategy) -> None:
        self.signals += self.sections.exchange(strategy)
        super().exchange(strategy)

    def feed(self, features: FeatureRows) -> RunOutcome:
        outcome = super().feed(features)
        self.signals += outcome.signals
        self.signals += self.sections.take(outcome.predictions)
        return RunOutcome()


def alike(strategy: ReadyStrategy) -> bytes:
    """Equal for strategies whose features have the same values for the same bars."""
    return strategy.feature_identity


Schedule = Sequence[tuple[int, ReadyStrategy]]
"""From which bar time (close, ms) on which strategy runs; they differ in their models alone."""


def signals_of(
    strategies: Sequence[ReadyStrategy],
    steps: Sequence[Step],
    news: NewsJoin | None = None,
    schedules: Sequence[Schedule] = (),
) -> list[pd.DataFrame]:
    """The signals of each strategy, all of them `alike`, as a replay of these bars makes them.

    Parameters
    ----------
    news
        By the rows of the bars; None: unknown.
    schedules
        By strategy, where its model changes with time; its own is in force before the first change.

    Raises
    ------
    PluginError
        A strategy fails; it names the bar.
    """
    source = Source("bars", 0, VERSION)
    runs = [_Run(strategy, source) for strategy in strategies]
    group = IntervalGroup(strategies[0].interval, runs, news if strategies[0].uses_news else None)
    beside = WholeBars(group.interval, group.wanted)
    for step in steps:
        beside.take(step.batches[group.interval])
    group.references = beside.join
    changes = [list(schedule) for schedule in schedules]
    for batch in _cut([step.batches[group.interval] for step in steps], {at for plan in changes for at, _ in plan}):
        for run, plan in zip(runs, changes, strict=False):
            while plan and plan[0][0] <= int(batch.bars["time"].max()):
                run.exchange(plan.pop(0)[1])
                run.put_in_force(int(batch.offsets.min()))
        outcome = Outcome()
        group.feed(batch, outcome)
        if outcome.failures:
            raise outcome.failures[0].as_error()
    beside.check()
    return [ReplayResult(raw=run.signals + run.sections.end()).signals for run in runs]


def _cut(batches: Sequence[BarBatch], times: Collection[int]) -> Iterator[BarBatch]:
    """The same bars in batches of which none reaches over one of the `times`: it is later as soon as a bar is."""
    edges = np.array(sorted(times), np.int64)
    latest = FIRST_TIME
    for batch in batches:
        reached = np.maximum.accumulate(np.maximum(batch.bars["time"], latest))
        blocks = np.searchsorted(edges, reached, side="right")
        for part in np.split(np.arange(len(batch)), np.flatnonzero(np.diff(blocks)) + 1):
            rows = slice(int(part[0]), int(part[-1]) + 1)
            yield BarBatch(batch.symbols[rows], batch.bars[rows], batch.offsets[rows])
        latest = int(reached[-1])


def groups(strategies: Sequence[ReadyStrategy]) -> list[NDArray[Any]]:
    """Numbers of strategies that are alike, in the order of the first of each."""
    numbers_by_features: dict[bytes, list[int]] = {}
    for number, strategy in enumerate(strategies):
        numbers_by_features.setdefault(alike(strategy), []).append(number)
    return [np.array(numbers) for numbers in numbers_by_features.values()]
