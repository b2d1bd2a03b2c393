"""Signals of strategies that differ in all but their features: these are computed once.

All of them begin at the same bar and see the same ones, so one steps and the others take over its whole rows without
looking; `plugins.pipeline.shared_features` is for strategies of a worker, whose origins and failures may differ, and
has to compare.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.replay.file_cross_sections import FileSections
from backtest.replay.replay import ReplayResult
from backtest.replay.walk import VERSION
from backtest.sources.bars import Step
from plugins.news.join import NewsJoin
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.interval_group import IntervalGroup
from plugins.pipeline.outcome import Outcome, RunOutcome
from plugins.pipeline.strategy_run import RunSettings, Source, StrategyRun
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Signal


class _Run(StrategyRun):
    """A run that keeps its signals; one with a `lead` takes the features' values from it."""

    def __init__(self, strategy: ReadyStrategy, source: Source, lead: "_Run | None") -> None:
        super().__init__(strategy, source, RunSettings(start_time=0))
        self.lead = lead
        self.signals: list[Signal] = []
        self.sections = FileSections(strategy)
        self.last: FeatureRows | None = None
        self.steps = 0

    def step(self, accepted: AcceptedBars) -> FeatureRows:
        if self.lead is not None and self.lead.last is not None:
            self.book = self.lead.book
            return self.lead.last
        self.steps += 1
        self.last = super().step(accepted)
        return self.last

    def feed(self, accepted: AcceptedBars) -> RunOutcome:
        outcome = super().feed(accepted)
        self.signals += outcome.signals
        self.signals += self.sections.take(outcome.predictions)
        return RunOutcome()


def alike(strategy: ReadyStrategy) -> bytes:
    """Equal for strategies whose features have the same values for the same bars."""
    return strategy.feature_identity


def signals_of(
    strategies: Sequence[ReadyStrategy], steps: Sequence[Step], news: NewsJoin | None = None
) -> list[pd.DataFrame]:
    """The signals of each strategy, all of them `alike`, as a replay of these bars makes them. `news`: by the rows of
    the bars; None: unknown.
    """
    source = Source("bars", 0, VERSION)
    lead = _Run(strategies[0], source, None)
    runs = [lead, *(_Run(strategy, source, lead) for strategy in strategies[1:])]
    group = IntervalGroup(strategies[0].interval, list(runs), news if lead.strategy.uses_news else None)
    for step in steps:
        group.feed(step.batches[group.interval], Outcome())
    return [ReplayResult(raw=run.signals + run.sections.end()).signals for run in runs]


def groups(strategies: Sequence[ReadyStrategy]) -> list[NDArray[Any]]:
    """Numbers of strategies that are alike, in the order of the first of each."""
    numbers_by_features: dict[bytes, list[int]] = {}
    for number, strategy in enumerate(strategies):
        numbers_by_features.setdefault(alike(strategy), []).append(number)
    return [np.array(numbers) for numbers in numbers_by_features.values()]
