"""Signals recomputed from history, by the pipeline that runs live."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from backtest.replay.file_cross_sections import FileSections
from backtest.replay.logged_cross_sections import decided, logged
from backtest.replay.stretches import Stretch, strategies_of
from backtest.replay.walk import VERSION, History
from backtest.sources.bars import Frames, Progress, Reading, distinct, file_steps, file_stream, place, shown
from backtest.sources.files import Files, files_of
from backtest.sources.log import find_log
from backtest.sources.news import file_news
from backtest.sources.offsets import Offsets, bars_within, check_offsets, check_whole, signals_within
from plugins.base.bars import BarBatch, between
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.records.signals import Signals, together
from plugins.pipeline.strategy_run import Observation, RunSettings, Source
from plugins.side_inputs.frames import WholeBars
from plugins.side_inputs.news.join import NewsJoin
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import FIRST_TIME, Signal
from schemas.wire.cross_sections import Prediction
from streams.ingest.bar_files import Refused, during, refused, select_bars
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name
from streams.recovery.state import interval_of

FRAME = "frame"
"""What the provenance of signals says whose bars came in a frame."""


@dataclass
class ReplayResult:
    """The signals, as structs, made when they are asked for, and as a frame, and the bars that they were made of.

    `config` is the resolved configuration of the strategy here. `gaps`: in words, which offsets the log lacks, although
    the state should have seen them. `lacking`: why some bars have no signals here, although what was in force for them
    said something. `other`: the hash of the configuration in force, where that is not the one here. `scattered`: what
    is wrong, where symbols lie on several partitions. `left_out`: what of the source is no bar, or none that can be
    used; `news_left_out` the same of a file of news.
    """

    # asyncio.run writes out what its task returned, for the message of an error that nobody sees
    raw: Sequence[Signal] = field(default_factory=Signals, repr=False)
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    bars: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    gaps: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    other: str | None = None
    scattered: str | None = None
    left_out: Refused = field(default_factory=Refused)
    news_left_out: Refused = field(default_factory=Refused)

    @property
    def signals(self) -> pd.DataFrame:
        """One row a signal: symbol, time (ms), signal, weight, prediction, reason, id, valid_until (ms)."""
        rows = [
            (c.symbol, c.time, c.signal, c.weight, c.prediction, c.reason, c.id, c.valid_until)
            for c in (signal.content for signal in self.raw)
        ]
        names = ["symbol", "time", "signal", "weight", "prediction", "reason", "id", "valid_until"]
        frame = pd.DataFrame(rows, columns=names)
        return frame.astype({"weight": "float64", "prediction": "float64", "time": "int64", "valid_until": "int64"})


def replay(
    config: Config,
    name: str,
    source: str | Files,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
    as_configured: bool = False,
    news: str | None = None,
) -> ReplayResult:
    """Signals of strategy `name` for bars that close in [start, end) (ms), at these `offsets` (None: any); the state
    always begins at its origin.

    `source` is ``kafka``, the folder of an archive, a source of the configuration, or a file of bars. Topics are
    replayed with what was in force for each bar, where a worker ever ran the strategy; `as_configured`: all with the
    configuration and the model of today. `news`: a file of scores or articles, for a file of bars.
    """
    if start is not None and end is not None and start >= end:
        raise ConfigurationError("the range is empty: --from is not before --to")
    ready = ready_strategy(name, config.strategy(name))
    source = files_of(config, source, strategy=name)
    log = find_log(config, source)
    check_news(ready, news, log is not None)
    if log is not None:
        if offsets is not None:
            check_whole(ready)
            asyncio.run(check_offsets(log, offsets))
        history = History(log, config, ready)
        result = asyncio.run(
            replay_sections(history, progress)
            if ready.at_once
            else replay_topic(history, progress, as_configured, start, end)
        )
    elif offsets is not None:
        raise ConfigurationError(
            f"{source} is a file, which has no partitions; use --from and --to instead of --offsets"
        )
    else:
        unused = Refused()
        join = file_news(news, config.news, ready.joining, unused) if news else None
        result = replay_file(ready, source, progress, news=join)
        result.news_left_out = unused
    result.config = ready.config
    result.raw = signals_within(signals_during(result.raw, start, end), offsets)
    result.bars = bars_within(select_bars(result.bars, start=start, end=end), offsets)
    return result


def check_news(ready: ReadyStrategy, news: str | None, of_topics: bool) -> None:
    """`ConfigurationError` for scores that nothing would look at."""
    if news and of_topics:
        raise ConfigurationError("--news goes with a file of bars; for bars of the topic, news.scores is read")
    if news and not ready.uses_news:
        raise ConfigurationError(f"strategy {ready.name} uses no news; leave out --news, or add news.finbert_sentiment")


def signals_during(signals: Sequence[Signal], start: int | None, end: int | None) -> Sequence[Signal]:
    """The signals for bars that close in [start, end)."""
    if start is None and end is None:
        return signals
    if isinstance(signals, Signals):
        return signals.where(lambda bars: during(bars.accepted.times, start, end))
    inside = during([signal.content.time for signal in signals], start, end)
    return [signal for signal, keep in zip(signals, inside.tolist(), strict=True) if keep]


def replay_file(
    ready: ReadyStrategy,
    source: str | Files,
    progress: Progress | None = None,
    observer: Callable[[Observation], None] | None = None,
    news: NewsJoin | None = None,
    sections: FileSections | None = None,
) -> ReplayResult:
    result, parts, signals = ReplayResult(), list[pd.DataFrame](), list[Sequence[Signal]]()
    with file_stream(source, ready.interval, progress) as bars:
        result.left_out.take(bars.left_out)
        for frame, more in file_signals(ready, bars.frames(), bars.name, result.left_out, observer, news, sections):
            parts.append(distinct(frame))
            signals.append(more)
    result.raw, result.bars = together(signals), pd.concat(parts, ignore_index=True)
    return result


def replay_frame(
    ready: ReadyStrategy,
    bars: pd.DataFrame,
    name: str = FRAME,
    progress: Progress | None = None,
    observer: Callable[[Observation], None] | None = None,
    news: NewsJoin | None = None,
    sections: FileSections | None = None,
) -> ReplayResult:
    """Signals for bars in the normal form, by close time and symbol; `name` is what their provenance says."""
    result = ReplayResult(bars=distinct(bars), left_out=refused(bars))
    frames = shown([bars], len(bars), progress)
    signals = [more for _, more in file_signals(ready, frames, name, result.left_out, observer, news, sections)]
    result.raw = together(signals)
    return result


def file_signals(
    ready: ReadyStrategy,
    frames: Iterable[pd.DataFrame],
    name: str,
    left_out: Refused,
    observer: Callable[[Observation], None] | None = None,
    news: NewsJoin | None = None,
    sections: FileSections | None = None,
) -> Iterator[tuple[pd.DataFrame, Sequence[Signal]]]:
    """Some bars after others, the last `frames` empty, and the signals that they come to; what of them cannot be used
    goes to `left_out`.
    """
    settings = {ready.name: RunSettings(start_time=FIRST_TIME, observer=observer)}
    pipeline = Pipeline([ready], Source(name, 0, VERSION), settings, news)
    sections, first = sections or FileSections(ready), 0
    beside = WholeBars(ready.interval, ready.references)
    pipeline.refer_to(beside.join)
    for frame in frames:
        signals, of_sections = Signals(), list[Signal]()
        steps = file_steps(frame, ready.interval, first)
        for step in steps:
            beside.take(step.batches[ready.interval])
        for step in steps:
            outcome = pipeline.feed(step.batches)
            for bad in outcome.refusals:
                row = frame.iloc[bad.offset - first]
                left_out.add(bad.kind, f"{row['symbol']} at {row['close_time']}: {bad.reason}")
            signals += outcome.signals
            of_sections += sections.take(outcome.predictions)
        first += len(frame)
        if not len(frame):
            of_sections += sections.end()
        yield frame, of_sections or signals
    beside.check()


async def replay_topic(
    history: History,
    progress: Progress | None = None,
    as_configured: bool = False,
    start: int | None = None,
    end: int | None = None,
) -> ReplayResult:
    """Partition by partition, from the origin that `applied` names (none: from the oldest record) to the end of the
    log; what is lacking is reported of bars that close in [start, end).
    """
    ready, signals = history.ready, Signals()
    result = ReplayResult(signals)
    frames, reading = Frames(ready.interval), Reading(progress, result.gaps, result.left_out)
    async for partition in history.partitions(whole=False):
        past = partition.past
        if past and ready.as_of(past[-1].applied.config_hash) is None:
            result.other = past[-1].applied.config_hash
        lost = [stretch for stretch in past if stretch.fault and not stretch.applied.paused and not as_configured]
        in_force = past and not as_configured
        folds = await (partition.in_force(early=True) if in_force else partition.as_configured())
        async for step, outcome in partition.steps(folds, partition.begin(ready.interval), reading):
            signals += outcome.signals
            for offset, bad in {bad.offset: bad for bad in outcome.refusals}.items():
                where = place(topic_name(history.log, "bars"), partition.number, offset)
                result.left_out.add(bad.kind, f"{where}: {bad.reason}")
            lost = _report_lost(result, lost, step.batches, start, end)
            frames.take(step)
    result.bars = frames.whole()
    result.scattered = scattered(reading.places, topic_name(history.log, "bars"))
    return result


def _report_lost(
    result: ReplayResult, lost: list[Stretch], batches: Mapping[str, BarBatch], start: int | None, end: int | None
) -> list[Stretch]:
    """Those that have no bar in [start, end) so far; of the others the fault is reported."""
    waiting = []
    for stretch in lost:
        batch = between(batches, stretch.begin, stretch.end).get(interval_of(stretch.applied))
        if batch is not None and during(batch.bars["time"].tolist(), start, end).any():
            result.lacking.append(stretch.fault or "")
        else:
            waiting.append(stretch)
    return waiting


async def replay_sections(history: History, progress: Progress | None = None) -> ReplayResult:
    """The same of a strategy that decides about all symbols at once. Times that are closed on the log are decided as
    their closings say; later ones, about all that have a bar.
    """
    ready, result = history.ready, ReplayResult()
    frames, reading = Frames(ready.interval), Reading(progress, result.gaps, result.left_out)
    predictions: list[Prediction] = []
    strategies: list[ReadyStrategy] = []
    async for partition in history.partitions():
        past = partition.past
        strategies += strategies_of(past)
        folds = await (partition.in_force() if past else partition.as_configured())
        begin = partition.begin(ready.interval) if past else 0
        async for step, outcome in partition.steps(folds, begin, reading):
            predictions += outcome.predictions
            frames.take(step)
    result.raw = decided(ready, await logged(history.log, ready.name), predictions, strategies)
    result.bars = frames.whole()
    result.scattered = scattered(reading.places, topic_name(history.log, "bars"))
    return result
