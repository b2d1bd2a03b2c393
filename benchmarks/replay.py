"""Bars a second through a replay, from Parquet and from the topic, against the bare pipeline in the same run.

The bare pipeline gets arrays and gives signals, which nobody keeps. `log` is a batch read of the topic alone: nothing
is decoded. All are medians of rounds in each of which all are measured, on the wall.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from backtest.replay.replay import replay_file, replay_topic
from backtest.replay.walk import History
from backtest.sources.bars import FILE_CHUNK
from benchmarks.common import fill, generated_bars, write_config
from benchmarks.throughput import worker_rate
from plugins.base.bars import BarBatch
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline, prepare
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Config
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.kafka.brokers import ENGINES
from streams.kafka.clients import read_batches_to_end
from streams.kafka.log import KafkaLog
from streams.kafka.topics import topic_name

SYMBOLS, EACH, ROUNDS = 500, 400, 3
NEEDED = {"parquet/bare": 0.8, "topic/live worker": 1.0}


def bare(ready: ReadyStrategy, batch: BarBatch) -> int:
    pipeline = Pipeline([ready], Source("bars", 0, ""), {ready.name: RunSettings(start_time=0)})
    signals = 0
    for first in range(0, len(batch), FILE_CHUNK):
        part = slice(first, first + FILE_CHUNK)
        chunk = BarBatch(batch.symbols[part], batch.bars[part], batch.offsets[part])
        signals += len(pipeline.feed({ready.interval: chunk}).signals)
    return signals


async def read_log(config: Config) -> int:
    """A batch read, partition by partition, as the replay does it."""
    topic, count = topic_name(config.kafka, "bars"), 0
    for partition in range(config.kafka.partitions):
        async for records in read_batches_to_end(config.kafka, topic, partition, 0, "read_committed"):
            count += len(records)
    return count


def rate(run: Callable[[], int], bars: int) -> float:
    began = time.perf_counter()
    count = run()
    if count != bars:
        raise SystemExit(f"{count} of {bars} bars")
    return bars / (time.perf_counter() - began)


def measure(engine: str, folder: Path) -> dict[str, float]:
    bars = generated_bars(SYMBOLS, EACH)
    count, batch, file = len(bars), batch_from_frame(bars), folder / "bars.parquet"
    bars.drop(columns=["interval", "close_time"]).to_parquet(file, index=False)
    rates: dict[str, list[float]] = defaultdict(list)
    with ENGINES[engine]() as broker:
        path, config = write_config(folder, broker.bootstrap)
        fill(config, bars)
        asyncio.run(archive(KafkaLog(config.kafka), folder / "archive", ["bars", "control", "state"]))
        ready = ready_strategy("demo", config.strategy("demo"))
        log, filed = KafkaLog(config.kafka), ParquetLog(folder / "archive")
        prepare([ready])
        runs: dict[str, Callable[[], int]] = {
            "bare": lambda: bare(ready, batch),
            "parquet": lambda: len(replay_file(ready, str(file)).raw),
            "archive": lambda: len(asyncio.run(replay_topic(History(filed, config, ready))).raw),
            "log": lambda: asyncio.run(read_log(config)),
            "topic": lambda: len(asyncio.run(replay_topic(History(log, config, ready))).raw),
        }
        for name in ["bare", *list(runs) * ROUNDS]:
            rates[name].append(rate(runs[name], count))
        rates["live worker"].append(worker_rate(path, config, count))
    return {name: statistics.median(values) for name, values in rates.items()}


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(engine, Path(folder))
    for name, value in figures.items():
        print(f"replay  {name:<30} {value:12,.0f} bars/s")
    both = 1 / (1 / figures["bare"] + 1 / figures["log"])
    for one, other, value in [
        ("parquet", "bare", figures["bare"]), ("archive", "bare", figures["bare"]), ("topic", "bare", figures["bare"]),
        ("topic", "log and bare, one after the other", both), ("topic", "live worker", figures["live worker"]),
    ]:  # fmt: skip
        name = f"{one}/{other}"
        needed = f"  (at least {NEEDED[name]})" if name in NEEDED else ""
        print(f"replay  {name:<42} {figures[one] / value:8.2f}{needed}")
