"""One of three workers is killed: how long until the first new signal of a symbol that it had, with 5,000 symbols.

The session timeout is 6 s, and the broker gives the dead worker up only then: that is the bar to compare with.
"""

import asyncio
import re
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.common import generated_bars, worker, write_config
from schemas.configuration import Config, load_config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, Broker
from streams.kafka.clients import open_consumer
from streams.kafka.topics import create_topics, topic_name

SYMBOLS, RATE, TRIES, WORKERS, PARTITIONS = 5_000, 1_000.0, 5, 3, 6
PATIENCE, SETTLE, LISTEN = 90.0, 8.0, 20.0
"""Seconds: until all have partitions, from then to a kill, and for how long signals are listened to after it."""


class Arrivals(threading.Thread):
    """When signals arrived at a reader of what is committed, by partition."""

    def __init__(self, config: Config) -> None:
        super().__init__(daemon=True)
        self._config = config
        self.times: dict[int, list[float]] = defaultdict(list)

    def run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        options: dict[str, Any] = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
        async with open_consumer(self._config.kafka, topic_name(self._config.kafka, "signals"), **options) as consumer:
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                    if records:
                        self.times[tp.partition].append(time.monotonic())

    def silence_after(self, moment: float, partition: int) -> float:
        """Seconds from `moment` to the end of the longest silence of a partition since then."""
        times = [moment, *(at for at in list(self.times[partition]) if at > moment)]
        gaps = [(after - before, after - moment) for before, after in pairwise(times)]
        return max(gaps)[1] if gaps else float("inf")


def owned(log: Path) -> list[int]:
    """Partitions that a worker owns, by its log."""
    text = log.read_text() if log.exists() else ""
    matches = re.findall(r"partitions ([\d, ]+|none) restored in", text)
    return [int(number) for number in matches[-1].split(",")] if matches and matches[-1] != "none" else []


class Trio:
    """The workers; a killed one is started again when the others have taken over."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._running = [ExitStack() for _ in paths]
        self._processes = [self._start(number) for number in range(len(paths))]

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        return self._running[number].enter_context(worker(self._paths[number]))

    def kill(self, number: int) -> tuple[float, list[int]]:
        """The moment, and the partitions that it had."""
        had = owned(self._paths[number].with_suffix(".log"))
        self._processes[number].kill()
        return time.monotonic(), had

    def settle(self) -> None:
        """Until each owns partitions again, by its log, and a while more."""
        deadline = time.monotonic() + PATIENCE
        while not all(owned(path.with_suffix(".log")) for path in self._paths):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"not every worker has partitions after {PATIENCE:.0f} s; see {self._paths[0].parent}"
                )
            time.sleep(0.1)
        time.sleep(SETTLE)

    def start(self, number: int) -> None:
        self._paths[number].with_suffix(".log").unlink()
        self._running[number].close()
        self._processes[number] = self._start(number)

    def close(self) -> None:
        for stack in self._running:
            stack.close()


def measure(broker: Broker, folder: Path, tries: int = TRIES) -> list[float]:
    """Seconds from each kill to the first new signal on the slowest of the partitions that moved."""
    path, _ = write_config(folder, broker.bootstrap, "recovery.", snapshot_interval=5.0)
    settings = yaml.safe_load(path.read_text())
    settings["kafka"]["partitions"] = PARTITIONS
    path.write_text(yaml.safe_dump(settings))
    config = load_config(path)
    paths = [path.with_name(f"worker-{number}.yaml") for number in range(WORKERS)]
    for copy in paths:
        copy.write_text(path.read_text())
    asyncio.run(create_topics(config.kafka))
    bars = generated_bars(SYMBOLS, int((60 + tries * (SETTLE + LISTEN + 20)) * RATE / SYMBOLS))
    sending = produce_bars(config.kafka, bars, rate=RATE)
    threading.Thread(target=asyncio.run, args=(sending,), name="bars", daemon=True).start()
    arrivals, trio = Arrivals(config), Trio(paths)
    arrivals.start()
    figures = []
    try:
        for number in (index % WORKERS for index in range(tries)):
            trio.settle()
            moment, had = trio.kill(number)
            time.sleep(LISTEN)
            figures.append(max(arrivals.silence_after(moment, partition) for partition in had))
            trio.start(number)
    finally:
        trio.close()
    return figures


def main(_engine: str = "kafka") -> None:
    with tempfile.TemporaryDirectory() as folder, ApacheKafkaBroker() as broker:
        figures = measure(broker, Path(folder))
    print(
        f"recovery from SIGKILL, {SYMBOLS} symbols, one of {WORKERS} workers, session timeout 6 s, "
        f"{len(figures)} tries:"
    )
    print(f"first new signal of a moved symbol: median {median(figures):6.2f} s   worst {max(figures):6.2f} s")


if __name__ == "__main__":
    main()
