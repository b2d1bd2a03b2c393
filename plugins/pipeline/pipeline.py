"""The one pure core: bars in, signals out. No clock, no Kafka, no random numbers.

The live worker, the replay, the training and the tests drive this same object, so they cannot differ. A `Pipeline`
holds one partition: an `IntervalGroup` for each interval (gate and slots), and in it a `StrategyRun` for each strategy
(states of all symbols in arrays). A bar goes one way through::

    BarBatch → gate → AcceptedBars → features → FeatureRows → prediction → decision → RunOutcome → Outcome

>>> import numpy as np
>>> from plugins.base.streaming import trial_bars
>>> from plugins.strategy.ready import ready_strategy
>>> from schemas.configuration import Strategy
>>> strategy = Strategy(
...     interval="1m", features=["technical.rsi"], prediction="rsi",
...     signal={"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0},
... )
>>> pipeline = Pipeline([ready_strategy("demo", strategy)], Source("bars", 0, "docs"))
>>> outcome = pipeline.feed({"1m": BarBatch(["A"] * 16, trial_bars(16), np.arange(16))})
>>> [(signal.content.signal, signal.content.reason) for signal in outcome.signals[-2:]]
[('HOLD', '40.0 <= prediction <= 60.0'), ('HOLD', '40.0 <= prediction <= 60.0')]
>>> [snapshot.owner for snapshot in pipeline.capture(16).snapshots()]
['demo', ':1m']
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from plugins.base.bars import BarBatch
from plugins.base.streaming import trial_bars
from plugins.fold import gate
from plugins.models.artifacts.per_symbol import each_model
from plugins.pipeline.cross_sections.section_columns import section_columns
from plugins.pipeline.interval_group import IntervalGroup
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.states.capture import Capture
from plugins.pipeline.strategy_run import AS_CONFIGURED, RunSettings, Source, StrategyRun
from plugins.side_inputs.news.join import NewsJoin
from plugins.side_inputs.references import ReferenceJoin
from plugins.strategy.ready import ReadyStrategy
from schemas.canonical import sha256_hex
from schemas.wire import Snapshot

__all__ = ["Pipeline", "RunSettings", "Source", "prepare"]


class Pipeline:
    """All strategies on one partition of the bars.

    Parameters
    ----------
    source
        Where the bars come from, for the provenance of the signals.
    settings
        How each strategy runs, by its name; those that are not named run as they are configured.
    news
        Scores up to where all bars that are fed are decided; None: the news is unknown.
    isolated
        True: a strategy that fails on a bar stops there, and the others go on. False: `feed` raises a `PluginError`
        that names the strategy and the bar.
    """

    def __init__(
        self,
        strategies: Iterable[ReadyStrategy],
        source: Source,
        settings: Mapping[str, RunSettings] = MappingProxyType({}),
        news: NewsJoin | None = None,
        isolated: bool = False,
    ) -> None:
        self.source = source
        self.news = news
        self.isolated = isolated
        by_interval: dict[str, list[ReadyStrategy]] = {}
        for strategy in strategies:
            by_interval.setdefault(strategy.interval, []).append(strategy)
        self.groups: dict[str, IntervalGroup] = {}
        for interval, own in by_interval.items():
            runs = [StrategyRun(one, source, settings.get(one.name, AS_CONFIGURED)) for one in own]
            self.groups[interval] = IntervalGroup(interval, runs, news)
        self.runs = {run.strategy.name: run for group in self.groups.values() for run in group.runs}

    def refer_to(self, references: ReferenceJoin | None) -> None:
        """Bars of other symbols stand beside those that are fed from now on; None: they are unknown."""
        for group in self.groups.values():
            group.references = references

    def feed(self, batches: Mapping[str, BarBatch]) -> Outcome:
        """Steps over new bars, one batch an interval, each in log order; deterministic, whatever the cut into
        batches.

        Raises
        ------
        PluginError
            A strategy fails, and the pipeline is not `isolated`.
        """
        outcome = Outcome()
        for interval, batch in batches.items():
            group = self.groups.get(interval)
            if group is None:
                outcome.counts["other_interval"] += len(batch)
            else:
                group.feed(batch, outcome)
        if outcome.failures and not self.isolated:
            raise outcome.failures[0].as_error()
        return outcome

    def capture(self, offset: int) -> Capture:
        """The states that changed since the last capture, as they are now, where the pipeline stands at `offset`."""
        return Capture(self.groups.values(), self.source.partition, offset)

    def restore(self, snapshots: Sequence[Snapshot]) -> None:
        """Takes over states. Bars before a state's offset are then skipped.

        Raises
        ------
        ValueError
            A snapshot is damaged, or of another layout.
        """
        for snapshot in snapshots:
            if sha256_hex(snapshot.payload) != snapshot.sha256:
                raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} is damaged")
            if snapshot.owner.startswith(":"):
                self._restore_gate(snapshot)
            else:
                self._restore_run(snapshot)

    def forget_news(self, offset: int) -> None:
        """Lets go of scores that no bar from `offset` on can need, when there are many."""
        if self.news is None or not self.news.full:
            return
        closes: dict[str, int] = {}
        for group in self.groups.values():
            for symbol, close in zip(group.symbols, group.last_closes().tolist(), strict=False):
                closes[symbol] = min(close, closes.get(symbol, close))
        self.news.forget(closes, offset)

    def knows(self, interval: str, symbol: str) -> bool:
        """Has this memory of repeats seen a bar of the symbol?"""
        group = self.groups.get(interval)
        slot = group.slots.get(symbol, -1) if group else -1
        return group is not None and slot >= 0 and bool(group.gate["count"][slot])

    def take_in(self, other: "Pipeline", offset: int) -> None:
        """The strategies of `other`, which sleep here, go on here; both pipelines stand at `offset`.

        The memory of repeats stays as it is for symbols that it knows: on them the two agree.
        """
        for name, run in other.runs.items():
            self.runs[name].wake(run.failure)
        for group in self.groups.values():
            group.renew_members()
        for snapshot in other.capture(offset).snapshots():
            is_gate = snapshot.owner.startswith(":")
            group = self.groups[_interval(snapshot.owner) if is_gate else self.runs[snapshot.owner].strategy.interval]
            if not (is_gate and self.knows(group.interval, snapshot.symbol)):
                self.restore([snapshot])
            group.dirty[group.slot(snapshot.symbol)] = True

    def _restore_gate(self, snapshot: Snapshot) -> None:
        group = self.groups[_interval(snapshot.owner)]
        if snapshot.layout != gate.LAYOUT or len(snapshot.payload) != gate.STATE.itemsize:
            raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} has another layout")
        group.restore(snapshot.symbol, snapshot.payload, snapshot.offset)

    def _restore_run(self, snapshot: Snapshot) -> None:
        run = self.runs[snapshot.owner]
        slot = self.groups[run.strategy.interval].slot(snapshot.symbol)
        if snapshot.layout != run.strategy.layout:
            raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} has another layout")
        if slot >= 0:
            run.unpack(slot, snapshot.payload, snapshot.offset)
            if run.shadow is not None:
                run.shadow.restore(slot, snapshot.shadow)


def _interval(memory: str) -> str:
    """Of a gate, by the name under which its snapshots go."""
    return memory.removeprefix(":").removesuffix(":news")


def prepare(strategies: Iterable[ReadyStrategy]) -> None:
    """Loads or compiles all that the first bar would otherwise wait for, by stepping over one bar in a pipeline of
    its own.
    """
    ready = list(strategies)
    pipeline = Pipeline(ready, Source("", 0, ""))
    bars = trial_bars(1)
    for strategy in ready:
        symbol = min(strategy.universe.symbols or {"X"})
        outcome = pipeline.feed({strategy.interval: BarBatch([symbol], bars, np.zeros(1, np.int64))})
        for columns in outcome.signals.columns:
            columns.rendered()
        section_columns(strategy.section, np.zeros((1, len(strategy.columns))))
        if strategy.model is not None:
            for _, model in each_model(strategy.model):
                model.predict_windows(np.zeros((1, model.lookback, len(strategy.all_columns))), strategy.all_columns)
