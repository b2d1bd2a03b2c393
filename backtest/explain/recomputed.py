"""Signals recomputed from the bars behind them, with the evidence of how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from backtest.explain.cross_sections import Sections
from backtest.explain.evidence import Evidence, EvidenceObserver
from backtest.replay.file_cross_sections import FileSections
from backtest.replay.logged_cross_sections import logged
from backtest.replay.replay import FRAME, ReplayResult, check_news, replay_file, replay_frame
from backtest.replay.stretches import Stretch
from backtest.replay.walk import History, Observe
from backtest.sources.bars import Progress, Reading
from backtest.sources.files import Files, files_of
from backtest.sources.news import file_news
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Signal
from schemas.wire.cross_sections import Prediction


@dataclass
class Recomputed:
    """What one strategy says on one partition; `sections` where it decides about all symbols at once."""

    ready: ReadyStrategy
    past: list[Stretch] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    evidence: dict[int, Evidence] = field(default_factory=dict)
    sections: Sections | None = None

    def stretch(self, offset: int) -> Stretch | None:
        return next((stretch for stretch in self.past if stretch.begin <= offset < stretch.end), None)

    def signal_of(self, identity: str, published: Signal) -> Signal | None:
        """The signal of the same id, else that of the bar which `published` names."""
        if identity in self.signals:
            return self.signals[identity]
        place = published.provenance.offset
        return next((signal for signal in self.signals.values() if signal.provenance.offset == place), None)

    def take(self, signals: Sequence[Signal]) -> None:
        """Keeps those that there is evidence of."""
        self.signals = {s.content.id: s for s in signals if s.provenance.offset in self.evidence}

    def observer(
        self, published: Sequence[Signal], strategy: ReadyStrategy, stretch: Stretch | None = None
    ) -> EvidenceObserver:
        """Gathers the evidence of the published signals."""
        counts = (lambda offset: True) if stretch is None else (lambda at: stretch.begin <= at < stretch.end)
        offsets, times = {s.provenance.offset for s in published}, {s.content.time for s in published}
        return EvidenceObserver(offsets, times, strategy.warmup + 1, counts, self.evidence)


ByPartition = Mapping[int, Sequence[Signal]]
"""Signals by the partition of their bars."""


def of_file(
    config: Config,
    ready: ReadyStrategy,
    published: ByPartition,
    bars: str | Files,
    news: str | None,
    progress: Progress | None,
    beside: Sequence[Signal] = (),
) -> dict[int, Recomputed]:
    """From a file of `bars`, which has one partition; `beside`: all signals of the same output."""
    check_news(ready, news, of_topics=False)
    files = files_of(config, bars, strategy=ready.name)

    def replayed(observer: EvidenceObserver, sections: FileSections) -> ReplayResult:
        join = file_news(news, config.news, ready.joining) if news else None
        return replay_file(ready, files, progress, observer, join, sections)

    return {number: _of_bars(ready, signals, beside, replayed) for number, signals in published.items()}


def of_frame(ready: ReadyStrategy, bars: pd.DataFrame, signals: Sequence[Signal], wanted: Signal) -> Recomputed:
    """One of the `signals` that these bars lead to."""
    return _of_bars(
        ready, [wanted], signals,
        lambda observer, sections: replay_frame(ready, bars, FRAME, observer=observer, sections=sections),
    )  # fmt: skip


def _of_bars(
    ready: ReadyStrategy,
    signals: Sequence[Signal],
    beside: Sequence[Signal],
    replayed: Callable[[EvidenceObserver, FileSections], ReplayResult],
) -> Recomputed:
    sections = FileSections(ready, {signal.content.time for signal in signals})
    one = Recomputed(ready)
    one.take(replayed(one.observer(signals, ready), sections).raw)
    if ready.at_once:
        one.sections = Sections.decided_in_file(ready, sections.kept, beside)
    return one


async def of_topics(history: History, published: ByPartition, progress: Progress | None) -> dict[int, Recomputed]:
    """From the topics, with what was in force for each bar. A strategy that decides about all symbols at once needs the
    predictions of all partitions.
    """
    ready, by_partition, predictions = history.ready, dict[int, Recomputed](), list[Prediction]()
    at_once = ready.at_once
    async for partition in history.partitions(None if at_once else published):
        by_partition[partition.number] = one = Recomputed(ready, partition.past)
        observe = _observe(one, published.get(partition.number, ()))
        outcome = await partition.recomputed(Reading(progress), observe)
        one.take(outcome.signals)
        predictions += outcome.predictions
    if not at_once:
        return by_partition
    past = {number: one.past for number, one in by_partition.items()}
    sections = Sections.of(ready, past, await logged(history.log, ready.name), predictions)
    for number, one in by_partition.items():
        one.sections = sections
        one.take([s for _, s in sections.of_log.signals if s.provenance.partition == number])
    return by_partition


def _observe(one: Recomputed, published: Sequence[Signal]) -> Observe:
    def observe(stretch: Stretch) -> EvidenceObserver:
        assert stretch.strategy is not None
        return one.observer(published, stretch.strategy, stretch)

    return observe
