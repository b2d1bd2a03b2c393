"""Bars from trades: in memory, by processor time; and one builder against a copy of its topic, record by record."""

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from benchmarks.common import copy_topic, growth, long_lived, worker
from benchmarks.throughput import deliveries_of
from plugins.fold.trades.builder import BarBuilder
from plugins.fold.trades.kinds import BarKind
from schemas.configuration import Config, load_config
from schemas.wire import encode
from schemas.wire.trades import Trade, decode_trade
from streams.ingest.sender import Lines, Pace, open_sender, send_all
from streams.kafka.brokers import Broker
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics

KINDS = ("1m", "tick:100", "volume:500", "dollar:50000", "imbalance:100")
TRADES, SYMBOLS, PARTITIONS, ROUNDS = 200_000, 100, 4, 3
START = 1_700_000_000_000


def generated(count: int = TRADES) -> list[Trade]:
    chance, time_ms, made = random.Random(7), START, []
    for number in range(count):
        time_ms += chance.choice((0, 1, 5, 60))
        price, size = round(100 + chance.random(), 2), chance.randrange(1, 900) / 100
        made.append(Trade(f"S{chance.randrange(SYMBOLS)}", time_ms, price, size, str(number)))
    return made


def in_memory(trades: Sequence[Trade]) -> dict[str, float]:
    """Trades a second of processor time, decoding included, by kind."""
    values = [encode(trade) for trade in trades]
    found = {}
    for kind in KINDS:
        builder, began = BarBuilder(BarKind.of(kind)), time.process_time()
        for offset, value in enumerate(values):
            builder.feed(decode_trade(value), offset)
        found[kind] = len(values) / (time.process_time() - began)
    return found


def configured(folder: Path, broker: Broker, prefix: str, delivery: str) -> tuple[Path, Config]:
    kafka = {"bootstrap": broker.bootstrap, "prefix": prefix, "partitions": PARTITIONS, "delivery": delivery}
    path = folder / f"{prefix}yaml"
    settings = {"kafka": kafka, "worker": {"http": False}, "trades": {"bars": ["1m"], "grace": 600}}
    path.write_text(yaml.safe_dump(settings))
    return path, load_config(path)


async def fill(config: Config, trades: Sequence[Trade]) -> None:
    await create_topics(config.kafka)
    partitions = np.array([partition_of(trade.symbol.encode(), PARTITIONS, "murmur2") for trade in trades])
    async with open_sender(config.kafka, "trades", None) as sender:
        lines = [(trade.symbol.encode(), encode(trade), trade.time) for trade in trades]
        part = Lines(lambda first, upto: lines[first:upto], partitions, np.array([trade.time for trade in trades]))
        await send_all(sender, [part], Pace(None, None), 4_000)


def copy_rate(path: Path, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.copy_records", str(path), str(count), "records", "trades"]
    seconds, records = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(records) / float(seconds)


def builder_rate(path: Path, config: Config, trades: Sequence[Trade]) -> float:
    """From the first tenth of the bars that trades close to the last one."""
    builder = BarBuilder(BarKind.of("1m"))
    bars = sum(len(builder.feed(trade, offset)) for offset, trade in enumerate(trades))
    with worker(path, command="bars"):
        seen = asyncio.run(growth(config, "bars", bars))
    first = next(place for place, (_, count) in enumerate(seen) if count >= bars / 10)
    share = (seen[-1][1] - seen[first][1]) / bars
    return share * len(trades) / (seen[-1][0] - seen[first][0])


def measure(broker: Broker, folder: Path, trades: Sequence[Trade]) -> dict[str, float]:
    """Medians of rounds, in each of which all are measured: trades a second."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for delivery in deliveries_of(broker):
            path, config = configured(folder, broker, f"{delivery.replace('_', '-')}{number}.", delivery)
            asyncio.run(fill(config, trades))
            asyncio.run(copy_topic(config))
            found[f"copy, {delivery}"].append(copy_rate(path, len(trades)))
            found[delivery].append(builder_rate(path, config, trades))
    return {name: statistics.median(values) for name, values in found.items()}


def main(engine: str) -> None:
    trades = generated()
    for kind, rate in in_memory(trades).items():
        print(f"trades      {'in memory, ' + kind:<34} {rate:12,.0f} trades/s")
    with tempfile.TemporaryDirectory() as folder, long_lived(engine) as broker:
        figures = measure(broker, Path(folder), trades)
    for name, rate in figures.items():
        print(f"trades      {name:<34} {rate:12,.0f} trades/s")
    for name in deliveries_of(broker):
        print(f"trades      {name + ' / copy':<34} {figures[name] / figures[f'copy, {name}']:12.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
