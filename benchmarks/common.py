"""What the benchmarks share: a broker, bars in plenty, a trained strategy, a worker process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from aiokafka.admin import NewTopic

from schemas.configuration import Config, load_config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ENGINES, ApacheKafkaBroker, Broker
from streams.kafka.brokers.kafka import SERVER_JVM
from streams.kafka.clients import open_admin, open_consumer
from streams.kafka.topics import create_topics

FEATURES: list[Any] = [
    "technical.rsi",
    "technical.atr",
    {"statistical.momentum": {"window": 20}},
    {"statistical.z_score": {"window": 20}},
]


def long_lived(engine: str) -> Broker:
    """Not started: a broker for a run that warms it up; Apache Kafka with Java's options of its own start script."""
    return ApacheKafkaBroker(jvm=SERVER_JVM) if engine == "kafka" else ENGINES[engine]()


def fetch_settings(broker: str) -> dict[str, Any]:
    """Of the yardsticks' consumers too: Tansu answers an empty fetch only when its wait is over."""
    return {"fetch_max_wait_ms": 5} if broker == "tansu" else {}


def generated_bars(symbols: int, each: int, seed: int = 7) -> pd.DataFrame:
    """Minute bars of `symbols` random walks, interleaved by time as they would come."""
    rng = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, (each, symbols)), axis=0))
    opens = np.vstack([np.full(symbols, 100.0), closes[:-1]])
    spread = rng.uniform(0.0, 0.05, (2, each, symbols))
    times = 1_380_000_000_000 // 60_000 * 60_000 + 60_000 * np.arange(each)
    return pd.DataFrame(
        {
            "symbol": np.tile([f"S{i:04}" for i in range(symbols)], each),
            "interval": "1m",
            "open_time": np.repeat(times, symbols),
            "close_time": np.repeat(times + 60_000, symbols),
            "open": opens.round(4).ravel(),
            "high": (np.maximum(opens, closes) + spread[0]).round(4).ravel() + 1e-4,
            "low": (np.minimum(opens, closes) - spread[1]).round(4).ravel() - 1e-4,
            "close": closes.round(4).ravel(),
            "volume": rng.integers(100, 10_000, symbols * each).astype(float),
        }
    )


def write_config(
    folder: Path, bootstrap: str, prefix: str = "", delivery: str = "auto", compression: str = "zstd", **worker: Any
) -> tuple[Path, Config]:
    """One strategy of four features, LightGBM with 200 trees and a threshold; its model is trained once."""
    strategy = {
        "interval": "1m",
        "features": FEATURES,
        "model": {"key": "ml.lightgbm", "artifact": str(folder / "model")},
        "signal": {"key": "signal.threshold", "buy_threshold": 0.0005, "sell_threshold": -0.0005},
        "start": "earliest",
    }
    kafka = {
        "bootstrap": bootstrap,
        "prefix": prefix,
        "group": f"{prefix}bench",
        "session_timeout": 6.0,
        "delivery": delivery,
        "compression": compression,
        "partitions": 4,
    }
    path = folder / f"{prefix or 'bench'}.yaml"
    path.write_text(
        yaml.safe_dump({"kafka": kafka, "worker": {"http": False} | worker, "strategies": {"demo": strategy}})
    )
    config = load_config(path)
    if not (folder / "model").exists():
        from backtest.training import train

        train("demo", config, generated_bars(20, 1_000, seed=1))
    return path, config


def fill(config: Config, bars: pd.DataFrame) -> None:
    async def run() -> None:
        await create_topics(config.kafka)
        await produce_bars(config.kafka, bars)

    asyncio.run(run())


async def copy_topic(config: Config) -> None:
    """The topic that the yardsticks write to."""
    async with open_admin(config.kafka) as admin:
        await admin.create_topics([NewTopic(f"{config.kafka.prefix}copy", config.kafka.partitions, 1)])


async def growth(config: Config, topic: str, until: int, seconds: float = 300.0) -> list[tuple[float, int]]:
    """(time, records so far) at each fetch until the topic, one of ours or the yardsticks', has given `until`
    records.
    """
    from aiokafka import TopicPartition

    loop = asyncio.get_running_loop()
    name = f"{config.kafka.prefix}{topic}"
    tps = [TopicPartition(name, number) for number in range(config.kafka.partitions)]
    seen = [(loop.time(), 0)]
    async with open_consumer(config.kafka, isolation_level="read_committed") as consumer, asyncio.timeout(seconds):
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        while seen[-1][1] < until:
            fetched = await consumer.getmany(timeout_ms=1000)
            seen.append((loop.time(), seen[-1][1] + sum(len(batch) for batch in fetched.values())))
    return seen


@contextlib.contextmanager
def worker(path: Path, *options: str, command: str = "worker") -> Iterator["subprocess.Popen[bytes]"]:
    """``alphawire worker``, or another `command`, until the block ends."""
    with path.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "alphawire", command, "-c", str(path), *options],
            stdout=log,
            stderr=log,
            env=os.environ.copy(),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
