"""What the pipeline makes again of the bars behind some signals, with the evidence of how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backtest.explain.cross_sections import Sections
from backtest.explain.evidence import Evidence, Witness
from backtest.replay.file_cross_sections import FileSections
from backtest.replay.history import Stretch, recompute_all, stretches
from backtest.replay.logged_cross_sections import logged
from backtest.replay.replay import check_news, replay_file
from backtest.sources.bars import Progress
from backtest.sources.news import file_news
from plugins.pipeline.interval_group import Outcome
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Signal
from streams.kafka.log import Log
from streams.recovery.state import load


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


async def of_topics(
    config: Config, log: Log, ready: ReadyStrategy, told: Told, progress: Progress | None
) -> dict[int, Recomputed]:
    """From the topics, with what was in force for each bar. A strategy that decides about all symbols at once needs the
    predictions of all partitions.
    """
    count, found, made = await log.partition_count(), dict[int, Recomputed](), dict[int, Outcome]()
    for partition in range(count) if ready.generator.cross_section else told:
        stored = await load(log, partition)
        found[partition] = one = Recomputed(ready, await stretches(log, stored, partition, ready, config))
        watch = _watch(one, told.get(partition, ()))
        made[partition] = await recompute_all(log, stored, partition, count, one.past, progress, watch)
    if not ready.generator.cross_section:
        for partition, one in found.items():
            one.take(made[partition].signals)
        return found
    past = {partition: one.past for partition, one in found.items()}
    predictions = [prediction for outcome in made.values() for prediction in outcome.predictions]
    sections = Sections.of(ready, past, await logged(log, ready.name), predictions)
    for partition, one in found.items():
        one.sections = sections
        one.take([s for _, s in sections.found.signals if s.provenance.partition == partition])
    return found


def _watch(one: Recomputed, told: Sequence[Signal]) -> Callable[[Stretch], Witness]:
    def watch(stretch: Stretch) -> Witness:
        assert stretch.strategy is not None
        return one.witness(told, stretch.strategy, stretch)

    return watch
