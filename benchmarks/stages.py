"""Processor time of one bar in memory, stage by stage: records decoded, features and trees, signals written as JSON,
records put into a batch. No broker.

`columns` is what a worker does; `structs` the same with an object a record, as readers have them: msgspec's decoder and
encoder, aiokafka's batch builder. Both take turns, medians of rounds.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka.producer.message_accumulator import MessageAccumulator

from benchmarks.common import generated_bars, write_config
from plugins.pipeline.pipeline import Pipeline, prepare
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.wire import Bar, decode_bar, encode
from streams.consuming.intake import Intake
from streams.kafka.row_batches import RecordRows
from streams.kafka.topics.specs import LARGEST_BATCH
from streams.publishing.writer import Record, Writer

SYMBOLS, EACH, ROUNDS, CHUNK = 125, 400, 5, 2_000
TARGET = 3.0
"""µs a bar, all stages together."""


class Fetched(NamedTuple):
    offset: int
    key: bytes
    value: bytes


def fetched() -> list[Fetched]:
    """Bars as records of one partition."""
    bars = (Bar(*row) for row in generated_bars(SYMBOLS, EACH).itertuples(index=False))
    return [Fetched(offset, bar.symbol.encode(), encode(bar)) for offset, bar in enumerate(bars)]


def one_round(ready: ReadyStrategy, records: list[Fetched], writer: Writer, spent: dict[str, float]) -> None:
    """Adds the seconds that each stage took."""
    intake = Intake(0, 1, "murmur2")
    pipeline = Pipeline([ready], Source("bars", 0, "bench"), {ready.name: RunSettings(start_time=0)}, isolated=True)
    clock = time.process_time
    for first in range(0, len(records), CHUNK):
        chunk, times = records[first : first + CHUNK], [clock()]
        for record in chunk:
            decode_bar(record.value)
        times.append(clock())
        batches = intake.read(chunk).batches
        times.append(clock())
        signals = pipeline.feed(batches).signals
        times.append(clock())
        structs = [Record("s", s.content.symbol.encode(), encode(s), s.content.time) for s in signals]
        times.append(clock())
        rows = [RecordRows("s", columns.rendered()) for columns in signals.columns]
        times.append(clock())
        list(writer._batches(0, structs))
        times.append(clock())
        list(writer._batches(0, rows))
        times.append(clock())
        names = (
            "decode, structs", "decode, columns", "pipeline", "signals, structs", "signals, columns", "batch, structs",
            "batch, columns",
        )  # fmt: skip
        for name, before, after in zip(names, times, times[1:], strict=False):
            spent[name] += after - before


async def measure(folder: Path) -> dict[str, float]:
    """µs a bar of each stage, and together."""
    _, config = write_config(folder, "localhost:9")
    ready = ready_strategy("demo", config.strategy("demo"))
    prepare([ready])
    accumulator = MessageAccumulator(None, LARGEST_BATCH, 0, 30.0)
    producer: Any = SimpleNamespace(_message_accumulator=accumulator, create_batch=accumulator.create_builder)
    records, rounds = fetched(), []
    for _ in range(ROUNDS + 1):
        spent: dict[str, float] = defaultdict(float)
        one_round(ready, records, Writer(producer), spent)
        rounds.append({name: 1e6 * seconds / len(records) for name, seconds in spent.items()})
    figures = {name: statistics.median(spent[name] for spent in rounds[1:]) for name in rounds[0]}
    for way in ("structs", "columns"):
        figures[f"all, {way}"] = figures["pipeline"] + sum(v for k, v in figures.items() if k.endswith(way))
    return figures


def main(_engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder)))
    for name, value in figures.items():
        target = f"  (at most {TARGET})" if name == "all, columns" else ""
        print(f"stages  {name:<20} {value:8.2f} us a bar{target}")
