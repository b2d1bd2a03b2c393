"""A live worker as tests see it: a real process, killed for real, and what it wrote."""

import asyncio
import contextlib
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.configuration import Config, load_config
from schemas.errors import BrokerError
from streams.ingest.bar_files import read_bars
from streams.ingest.produce import produce_bars
from streams.kafka import clients
from streams.kafka.clients import open_consumer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import Deadline, deadline, limit
from tests.support.forked import ROOT, Forked, started

MINUTES = ROOT / "examples" / "data" / "equities_minute.parquet"

FEATURES: list[Any] = [
    "technical.rsi",
    "technical.atr",
    {"statistical.momentum": {"window": 20}},
    "statistical.z_score",
]


def patient_clients() -> None:
    """What our own clients give a broker to answer is stretched on a busy machine, in this process."""
    for name in ("CONNECT_TIMEOUT", "READ_TIMEOUT"):
        setattr(clients, name, deadline(getattr(clients, name), spare=1.0))


def strategy(**changes: Any) -> dict[str, Any]:
    """A strategy that needs no model: RSI as the prediction."""
    return {
        "interval": "1m",
        "features": FEATURES,
        "prediction": "rsi",
        "signal": {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0},
        "start": "earliest",
    } | changes


def write_config(
    path: Path, bootstrap: str, prefix: str, strategies: dict[str, Any] | None = None, **worker: Any
) -> Config:
    """A configuration file for one test's topics; `path` is its name."""
    settings = {"http": False, "commit_interval": 0.05, "snapshot_interval": 0.3, "chunk": 200} | worker
    kafka = {
        "bootstrap": bootstrap,
        "prefix": prefix,
        "group": f"g-{prefix.strip('.')}",
        "session_timeout": limit(2.0),
        "partitions": 2,
    }
    path.write_text(
        yaml.safe_dump({"kafka": kafka, "worker": settings, "strategies": strategies or {"demo": strategy()}})
    )
    return load_config(path)


def minute_bars(count: int | None = None) -> pd.DataFrame:
    return read_bars([MINUTES], "1m").iloc[:count]


def topics_and_bars(config: Config, bars: pd.DataFrame) -> None:
    async def run() -> None:
        await create_topics(config.kafka)
        await produce_bars(config.kafka, bars)

    asyncio.run(run())


def records(config: Config, topic: str, isolation: str = "read_committed") -> list[Any]:
    """All records of a topic, partition by partition."""

    async def run() -> list[Any]:
        name = topic_name(config.kafka, topic)
        count = 1 if topic.startswith("plugins") else config.kafka.partitions
        return [
            record
            for partition in range(count)
            async for record in read_partition_to_end(config.kafka, name, partition, isolation=isolation)
        ]

    return asyncio.run(run())


def digest(config: Config) -> list[bytes]:
    """The distinct signals on the topic, sorted, without the topic's prefix: what must be the same in every run."""
    prefix = config.kafka.prefix.encode()
    return sorted({record.value.replace(b'"topic":"' + prefix, b'"topic":"') for record in records(config, "signals")})


class WorkerProcess:
    """``alphawire worker`` as a process of its own; `fresh`: by an interpreter that has imported nothing yet; `python`:
    by one of another environment.
    """

    def __init__(
        self, config: Path, *options: str, log: Path | None = None, fresh: bool = False, python: str = ""
    ) -> None:
        self._log = log or config.with_suffix(".log")
        self._log_begin = self._log.stat().st_size if self._log.exists() else 0
        words = ("worker", "-c", str(config), *options)
        own = fresh or python
        self.process = started(*words, log=self._log, python=python) if own else Forked(*words, log=self._log)

    def ready(self) -> bool:
        """It owns partitions, or has ended: before that, SIGTERM ends it as it would end any process."""
        said = self._log.read_bytes()[self._log_begin :]
        return b" restored in " in said or self.process.poll() is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=deadline(60))

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def wait_for(what: Any, seconds: float = 180.0, every: float = 0.1) -> Any:
    """The first true value of `what()`; AssertionError when none comes in time (of a quiet machine)."""
    limit = Deadline(seconds)
    while not limit.passed:
        if value := what():
            return value
        time.sleep(every)
    raise AssertionError(f"{what} did not come true within {limit.allowed:g} s")


class SignalCount:
    """How many distinct signals are on the topic, read on from where the last look ended.

    Tests ask ten times a second. A client for each look costs more than all workers; so one stays, and asks whether
    anything has come since.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._topic = topic_name(config.kafka, "signals")
        self._next = dict.fromkeys(range(config.kafka.partitions), 0)
        self._ids: set[bytes] = set()
        self._ends: dict[int, int] = {}
        self._loop = asyncio.Runner()
        self._clients = contextlib.AsyncExitStack()
        self._client: Any = None

    def __call__(self) -> int:
        self._loop.run(self._read())
        return len(self._ids)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # of a broker that has gone meanwhile, or within another loop
            self._loop.run(self._clients.aclose())
            self._loop.close()

    async def _read(self) -> None:
        ends = await self._listed()
        for partition, start in self._next.items():
            if partition in ends and ends[partition] == self._ends.get(partition):
                continue
            records = read_partition_to_end(self._config.kafka, self._topic, partition, start, "read_committed")
            async for record in records:
                self._next[partition] = record.offset + 1
                self._ids.add(record.value[:60])
        self._ends = ends

    async def _listed(self) -> dict[int, int]:
        """Where the partitions end by the broker's list, which grows with each batch though Tansu's is too small;
        nothing where it does not answer: then the reader says why.
        """
        places = [TopicPartition(self._topic, partition) for partition in self._next]
        try:
            if self._client is None:
                client = open_consumer(self._config.kafka, isolation_level="read_committed")
                self._client = await self._clients.enter_async_context(client)
            return {at.partition: end for at, end in (await self._client.end_offsets(places)).items()}
        except (BrokerError, KafkaError, TimeoutError):
            self._client = None
            return {}


def run_to_end(
    config_file: Path, config: Config, count: int, *options: str, seconds: float = 90.0, python: str = ""
) -> None:
    """One undisturbed worker until `count` signals are there."""
    signals = SignalCount(config)
    with WorkerProcess(config_file, *options, python=python) as worker:
        wait_for(worker.ready, seconds)
        wait_for(lambda: signals() >= count or worker.process.poll() is not None, seconds)
        assert worker.stop() == 0


def random_kills(config_file: Path, kills: int, seed: int, longest: float) -> None:
    """Workers one after the other, each SIGKILLed a random time after it has its partitions, or while it gets them."""
    rng = random.Random(seed)
    log = config_file.with_suffix(".log")
    for number in range(kills):
        before = len(log.read_text()) if log.exists() else 0
        with WorkerProcess(config_file):
            if number % 4:
                wait_for(lambda before=before: "restored in" in log.read_text()[before:])
            time.sleep(rng.uniform(0.0, longest))


class Producer(threading.Thread):
    """Bars at a steady rate, while the test does other things."""

    def __init__(self, config: Config, bars: pd.DataFrame, rate: float) -> None:
        super().__init__(daemon=True)
        self._work = (config, bars, rate)

    def run(self) -> None:
        config, bars, rate = self._work
        asyncio.run(produce_bars(config.kafka, bars, rate=rate))
