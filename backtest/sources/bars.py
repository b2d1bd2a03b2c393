"""Where bars come from: the `bars` topic, or files."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from backtest.sources.files import Files
from plugins.base.bars import COLUMNS, BarBatch, without
from plugins.pipeline.frames import batch_from_frame
from schemas.configuration import Source
from schemas.errors import ConfigurationError
from schemas.wire import LeaveOut, bar_length, canonical_interval
from streams.consuming.bar_table import joined
from streams.consuming.clock_bound import ClockBound
from streams.consuming.intake import DecodedBars, log_intake
from streams.ingest.bar_files import Refused, read_bars, refused
from streams.ingest.ordered.bar_stream import BarStream, open_bars
from streams.kafka.gaps import Gaps, describe_gaps
from streams.kafka.log import Log
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name
from streams.recovery.state import load_control


class Progress(Protocol):
    """Called with how many records were read since the last call, the time (ms) of the last of them, and how many are
    now known to be there that were not before.
    """

    def __call__(self, more: int, at_ms: int | None = None, there: int = 0, /) -> None: ...


FILE_CHUNK = 20_000


@dataclass(frozen=True)
class Step:
    """Some bars in log order, and the partition that they come from; `left_out`: those that an operator left out, which
    were in states before that.
    """

    partition: int
    batches: dict[str, BarBatch]
    left_out: Mapping[int, LeaveOut] = field(default_factory=dict)


@dataclass
class Reading:
    """What comes up while a log is read: `gaps`, in words, which offsets it lacks; `left_out`, which of its records
    cannot be used; `places`, on which partitions each symbol lies, where the partitioner alone does not tell.
    """

    progress: Progress | None = None
    gaps: list[str] = field(default_factory=list)
    left_out: Refused = field(default_factory=Refused)
    places: dict[str, set[int]] = field(default_factory=dict)

    def take(self, decoded: DecodedBars, topic: str, partition: int) -> None:
        """What of a partition's records cannot be used, and which symbols it has."""
        for letter in decoded.dead:
            self.left_out.add(letter.kind, f"{place(topic, partition, letter.record.offset)}: {letter.reason}")
        for symbol in decoded.symbols:
            self.places.setdefault(symbol, set()).add(partition)


async def topic_steps(log: Log, partition: int, start: int, reading: Reading | None = None) -> AsyncIterator[Step]:
    """The partition's bars from offset `start` to the end that it has now, as the worker's own intake takes them."""
    reading = reading or Reading()
    control = await load_control(log, partition)
    count, bound = await log.partition_count(), ClockBound(control.refused)
    intake = log_intake(log, partition, count, control.partitioners, bound)
    topic, missing = topic_name(log, "bars"), Gaps()
    if reading.progress:
        begin, end = await log.offset_range("bars", partition, "read_committed")
        reading.progress(0, None, max(end - max(begin, start), 0))
    async for records in log.batches("bars", partition, start, "read_committed", missing):
        await intake.prepare(records)
        taken = intake.read(records)
        yield Step(partition, taken.batches, control.left_out)
        reading.take(taken, topic, partition)
        if reading.progress:
            reading.progress(len(records), records[-1].timestamp)
    reading.gaps += describe_gaps(f"{topic}/{partition}", missing.spans)


def place(topic: str, partition: int, offset: int) -> str:
    """Where a record is, in words."""
    return f"{topic}/{partition} offset {offset}"


def file_steps(frame: pd.DataFrame, interval: str, first: int = 0) -> list[Step]:
    """The bars of a file as one partition; row numbers, from `first` on, serve as offsets."""
    whole = batch_from_frame(frame)
    offsets = whole.offsets + first
    parts = (slice(begin, begin + FILE_CHUNK) for begin in range(0, len(whole), FILE_CHUNK))
    return [Step(0, {interval: BarBatch(whole.symbols[part], whole.bars[part], offsets[part])}) for part in parts]


@dataclass(frozen=True)
class FileBars:
    """Bars of files, in their order."""

    name: str
    stream: BarStream
    progress: Progress | None = None

    @property
    def left_out(self) -> Refused:
        return self.stream.survey.left_out

    def frames(self) -> Iterator[pd.DataFrame]:
        """Some after others; the last one is empty."""
        return shown(self.stream.chunks(), len(self.stream), self.progress)


def shown(frames: Iterable[pd.DataFrame], count: int, progress: Progress | None) -> Iterator[pd.DataFrame]:
    """The `frames`, of `count` bars together, and an empty one, with their progress."""
    if progress:
        progress(0, None, count)
    frame = pd.DataFrame()
    for frame in frames:
        yield frame
        if progress and len(frame):
            progress(len(frame), int(frame["close_time"].iloc[-1]))
    yield frame[:0]


@contextlib.contextmanager
def file_stream(source: str | Files, interval: str, progress: Progress | None = None) -> Iterator[FileBars]:
    """The bars of files in time order, however many; `ConfigurationError` where there is none."""
    files = _files(source)

    def reading(_count: int, at_ms: int) -> None:
        if progress:
            progress(0, at_ms)

    with open_bars(files.paths, interval, files.source, reading) as bars:
        if not len(bars):
            raise _no_bars(source, interval, bars.survey.left_out)
        yield FileBars(Path(str(source)).name, bars, progress)


def file_bars(source: str | Files, interval: str) -> pd.DataFrame:
    """Bars of files: symbol, open_time, close_time and the five columns, by close time and symbol;
    `ConfigurationError` for one that holds none.
    """
    files = _files(source)
    bars = read_bars(files.paths, interval, files.source)
    if bars.empty:
        raise _no_bars(source, interval, refused(bars))
    return bars


def _files(source: str | Files) -> Files:
    files = source if isinstance(source, Files) else Files((source,), Source(), Path(source).name)
    if files.source.preset is None and (absent := [path for path in files.paths if _absent(path)]):
        raise ConfigurationError(
            f"there is no file {absent[0]}; give `kafka`, an archive's folder, a file of bars, or a name of `sources`"
        )
    return files


def _no_bars(source: str | Files, interval: str, left: Refused) -> ConfigurationError:
    why = f": {left} ({'; '.join(left.examples)})" if left.rows else ""
    return ConfigurationError(f"{source}: holds no bar of {interval} that can be used{why}")


def file_bars_together(sources: list[str | Files], interval: str) -> pd.DataFrame:
    """The bars of several: one reading for files that are alike, so that they are held against each other."""
    files = [each for each in sources if isinstance(each, Files)]
    alike = all(each.source == files[0].source for each in files)
    if alike:
        return read_bars([path for each in files for path in each.paths], interval, files[0].source)
    parts = [read_bars(each.paths, interval, each.source) for each in files]
    left = Refused()
    for part in parts:
        left.take(refused(part))
    whole = pd.concat(parts, ignore_index=True).sort_values(["close_time", "symbol"], kind="stable", ignore_index=True)
    whole.attrs["refused"] = asdict(left)
    return whole


def _absent(path: str) -> bool:
    return not ("://" in path or any(sign in path for sign in "*?[") or Path(path).exists())


def topic_bars(log: Log, interval: str, progress: Progress | None = None) -> pd.DataFrame:
    """All bars of `interval` on the `bars` topic, by close time and symbol, with `partition` and `offset`. What the log
    lacks: ``log_gaps(frame)``; whether symbols lie on several partitions: ``log_scattered(frame)``; what of it cannot
    be used: ``streams.ingest.bar_files.refused(frame)``.
    """
    return asyncio.run(_topic_bars(log, interval, progress))


async def _topic_bars(log: Log, interval: str, progress: Progress | None) -> pd.DataFrame:
    frames, reading, count = Frames(interval), Reading(progress), await log.partition_count()
    for partition in range(count):
        async for step in topic_steps(log, partition, 0, reading):
            frames.take(step)
    bars = frames.whole()
    if bars.empty:
        raise ConfigurationError(
            f"{topic_name(log, 'bars')} holds no bars of {interval}; put some there with `alphawire produce bars`"
        )
    bars.attrs |= {"gaps": reading.gaps, "refused": asdict(reading.left_out)}
    bars.attrs["scattered"] = scattered(reading.places, topic_name(log, "bars"))
    return bars


class Frames:
    """The bars of one interval, gathered from the steps of a log, without those that are left out."""

    def __init__(self, interval: str) -> None:
        self._interval = canonical_interval(interval)
        self._parts: dict[int, list[dict[str, BarBatch]]] = {}

    def take(self, step: Step) -> None:
        if batch := step.batches.get(self._interval):
            batch = without(batch, step.left_out)[0] if step.left_out else batch
            self._parts.setdefault(step.partition, []).append({self._interval: batch})

    def whole(self) -> pd.DataFrame:
        """By close time and symbol, with `partition` and `offset`."""
        if not self._parts:
            return pd.DataFrame({"symbol": [], "close_time": []})
        frames = [
            frame_of(joined(parts)[self._interval], self._interval).assign(partition=partition)
            for partition, parts in self._parts.items()
        ]
        return in_order(pd.concat(frames, ignore_index=True))


def log_gaps(bars: pd.DataFrame) -> list[str]:
    """In words, which offsets the log lacked that `topic_bars` read."""
    return list(bars.attrs.get("gaps", []))


def log_scattered(bars: pd.DataFrame) -> str | None:
    """What is wrong where symbols lie on several partitions of the log that `topic_bars` read."""
    fault: str | None = bars.attrs.get("scattered")
    return fault


def frame_of(batch: BarBatch, interval: str) -> pd.DataFrame:
    times = batch.bars["time"]
    opens = times - bar_length(interval) if batch.opens is None else batch.opens
    data: dict[str, Any] = {"symbol": batch.symbols, "open_time": opens, "close_time": times}
    return pd.DataFrame(data | {name: batch.bars[name] for name in COLUMNS} | {"offset": batch.offsets})


def in_order(bars: pd.DataFrame) -> pd.DataFrame:
    """By close time, then symbol; where one bar came twice, the first stays, as live."""
    return distinct(bars.sort_values(["close_time", "symbol", "offset"], kind="stable"))


def distinct(bars: pd.DataFrame) -> pd.DataFrame:
    """One bar for each symbol and time, the first, as the pipeline takes them: files overlap, and producers repeat."""
    return bars.drop_duplicates(["symbol", "close_time"]).reset_index(drop=True)
