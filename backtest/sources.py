"""Where bars come from: the `bars` topic, or files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from plugins.bars import COLUMNS, BarBatch
from plugins.frames import batch_from_frame
from schemas.config import Config, Kafka
from schemas.errors import ConfigurationError
from schemas.messages import interval_ms
from streams.clients import read_batches_to_end
from streams.files import read_bars
from streams.intake import Intake
from streams.topics import partition_count, topic_name

Progress = Callable[[int], None]
"""Told how many records were read since the last call."""

FILE_CHUNK = 20_000


@dataclass(frozen=True)
class Step:
    """Some bars in log order, and the partition that they come from."""

    partition: int
    batches: dict[str, BarBatch]


async def topic_steps(
    kafka: Kafka, partition: int, partitions: int, start: int, progress: Progress | None = None
) -> AsyncIterator[Step]:
    """The partition's bars from offset `start` to the end that it has now, as the worker's own intake takes them."""
    intake = Intake(partition, partitions, kafka.partitioner)
    async for records in read_batches_to_end(kafka, topic_name(kafka, "bars"), partition, start, "read_committed"):
        yield Step(partition, intake.read(records).batches)
        if progress:
            progress(len(records))


def file_steps(frame: pd.DataFrame, interval: str, progress: Progress | None = None) -> list[Step]:
    """The bars of a file as one partition; row numbers serve as offsets."""
    whole = batch_from_frame(frame)
    steps = []
    for first in range(0, len(whole), FILE_CHUNK):
        part = slice(first, first + FILE_CHUNK)
        steps.append(Step(0, {interval: BarBatch(whole.symbols[part], whole.bars[part], whole.offsets[part])}))
        if progress:
            progress(len(steps[-1].batches[interval]))
    return steps


def file_bars(source: str, interval: str) -> pd.DataFrame:
    """Bars of a CSV or Parquet file: symbol, open_time, close_time and the five columns, by close time and symbol."""
    path = Path(source)
    if not path.exists():
        raise ConfigurationError(f"there is no file {source}; give `kafka`, or a CSV or Parquet file of bars")
    return read_bars([path], interval)


def topic_bars(config: Config, interval: str, progress: Progress | None = None) -> pd.DataFrame:
    """All bars of `interval` on the `bars` topic, by close time and symbol, with `partition` and `offset`."""
    return asyncio.run(_topic_bars(config.kafka, interval, progress))


async def _topic_bars(kafka: Kafka, interval: str, progress: Progress | None) -> pd.DataFrame:
    frames = []
    count = await partition_count(kafka)
    for partition in range(count):
        async for step in topic_steps(kafka, partition, count, 0, progress):
            if interval in step.batches:
                frames.append(frame_of(step.batches[interval], interval).assign(partition=partition))
    if not frames:
        raise ConfigurationError(
            f"{topic_name(kafka, 'bars')} holds no bars of {interval}; put some there with `alphawire produce bars`"
        )
    return in_order(pd.concat(frames, ignore_index=True))


def frame_of(batch: BarBatch, interval: str) -> pd.DataFrame:
    times = batch.bars["time"]
    data: dict[str, Any] = {"symbol": batch.symbols, "open_time": times - interval_ms(interval), "close_time": times}
    return pd.DataFrame(data | {name: batch.bars[name] for name in COLUMNS} | {"offset": batch.offsets})


def in_order(bars: pd.DataFrame) -> pd.DataFrame:
    """By close time, then symbol; where one bar came twice, the first stays, as live."""
    ordered = bars.sort_values(["close_time", "symbol", "offset"], kind="stable")
    return ordered.drop_duplicates(["symbol", "close_time"]).reset_index(drop=True)
