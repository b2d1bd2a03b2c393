"""What the pipeline makes again of the bars behind some signals, with the evidence of how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backtest.explain.cross_sections import Sections
from backtest.explain.evidence import Evidence, Witness
from backtest.replay.file_cross_sections import FileSections
from backtest.replay.logged_cross_sections import logged
from backtest.replay.replay import check_news, replay_file
from backtest.replay.stretches import Stretch
from backtest.replay.walk import History, Observe
from backtest.sources.bars import Progress, Reading
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

    def signal_of(self, identity: str, told: Signal) -> Signal | None:
        """That of the same id, else that of the bar which `told` says it comes from."""
        if identity in self.signals:
            return self.signals[identity]
        place = told.provenance.offset
        return next((signal for signal in self.signals.values() if signal.provenance.offset == place), None)

    def take(self, signals: Sequence[Signal]) -> None:
        """Keeps those that there is evidence of."""
        self.signals = {s.content.id: s for s in signals if s.provenance.offset in self.evidence}

    def witness(self, told: Sequence[Signal], strategy: ReadyStrategy, stretch: Stretch | None = None) -> Witness:
        """Gathers the evidence of what is `told`."""
        counts = (lambda offset: True) if stretch is None else (lambda at: stretch.begin <= at < stretch.end)
        offsets, times = {s.provenance.offset for s in told}, {s.content.time for s in told}
        return Witness(offsets, times, strategy.warmup + 1, counts, self.evidence)


Told = Mapping[int, Sequence[Signal]]
"""Signals by the partition of their bars."""


def of_file(
    config: Config, ready: ReadyStrategy, told: Told, bars: str, news: str | None, progress: Progress | None,
    beside: Sequence[Signal] = (),
) -> dict[int, Recomputed]:  # fmt: skip
    """From a file of `bars`, which has one partition; `beside`: the signals that were written with those `told`."""
    check_news(ready, news, of_topics=False)
    found = {}
    for partition, signals in told.items():
        join = file_news(news, config.news, ready.joining) if news else None
        sections = FileSections(ready, {signal.content.time for signal in signals})
        found[partition] = one = Recomputed(ready)
        one.take(replay_file(ready, bars, progress, one.witness(signals, ready), join, sections).raw)
        if ready.generator.cross_section:
            one.sections = Sections.decided_in_file(ready, sections.kept, beside)
    return found


async def of_topics(history: History, told: Told, progress: Progress | None) -> dict[int, Recomputed]:
    """From the topics, with what was in force for each bar. A strategy that decides about all symbols at once needs the
    predictions of all partitions.
    """
    ready, found, predictions = history.ready, dict[int, Recomputed](), list[Prediction]()
    at_once = ready.generator.cross_section
    async for partition in history.partitions(None if at_once else told):
        found[partition.number] = one = Recomputed(ready, partition.past)
        observe = _observe(one, told.get(partition.number, ()))
        outcome = await partition.recomputed(Reading(progress), observe)
        one.take(outcome.signals)
        predictions += outcome.predictions
    if not at_once:
        return found
    past = {number: one.past for number, one in found.items()}
    sections = Sections.of(ready, past, await logged(history.log, ready.name), predictions)
    for number, one in found.items():
        one.sections = sections
        one.take([s for _, s in sections.found.signals if s.provenance.partition == number])
    return found


def _observe(one: Recomputed, told: Sequence[Signal]) -> Observe:
    def observe(stretch: Stretch) -> Witness:
        assert stretch.strategy is not None
        return one.witness(told, stretch.strategy, stretch)

    return observe
