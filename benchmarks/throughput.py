"""Bars a second through one worker, with and without compression, against copies of the same topic: record by record,
and by batches. And what a signal takes on the log.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import copy_topic, fill, generated_bars, growth, long_lived, worker, write_config
from benchmarks.log_bytes import stored
from schemas.configuration import Config
from streams.kafka.brokers import Broker

SYMBOLS, EACH, ROUNDS = 500, 400, 3
COPIES = {"copy": "records", "batch copy": "batches"}
PLAIN, BYTES = "without compression", "bytes a signal"


def copy_rate(path: Path, bars: int, way: str) -> float:
    command = [sys.executable, "-m", "benchmarks.copy_records", str(path), str(bars), way]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, records = printed.stdout.split()
    return int(records) / float(seconds)


def worker_rate(path: Path, config: Config, bars: int) -> float:
    """From the first tenth of the signals to the last one."""
    with worker(path):
        seen = asyncio.run(growth(config, "signals", bars))
    first = next(i for i, (_, count) in enumerate(seen) if count >= bars / 10)
    return (seen[-1][1] - seen[first][1]) / (seen[-1][0] - seen[first][0])


def deliveries_of(broker: Broker) -> list[str]:
    """The best one first."""
    return ["at_least_once"] if broker.kind == "tansu" else ["exactly_once", "at_least_once"]


def measure(broker: Broker, folder: Path, deliveries: Sequence[str]) -> dict[str, float]:
    """Medians of rounds, in each of which all are measured: records a second by what is measured, and `BYTES`."""
    bars = generated_bars(SYMBOLS, EACH)
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for name in (*deliveries, PLAIN):
            delivery, codec = (deliveries[0], "none") if name == PLAIN else (name, "zstd")
            prefix = f"{name.replace('_', '-').replace(' ', '-')}{number}."
            path, config = write_config(folder, broker.bootstrap, prefix, delivery, codec)
            fill(config, bars)
            if name == deliveries[0]:
                asyncio.run(copy_topic(config))
                for copy, way in COPIES.items():
                    found[copy].append(copy_rate(path, len(bars), way))
            found[name].append(worker_rate(path, config, len(bars)))
            found[f"{BYTES}, {codec}"].append(asyncio.run(stored(config.kafka, "signals")).bytes_each)
    return {name: statistics.median(values) for name, values in found.items()}


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, long_lived(engine) as broker:
        figures = measure(broker, Path(folder), deliveries_of(broker))
    for name, value in figures.items():
        print(f"throughput  {name:<34} {value:12,.0f}{'' if name.startswith(BYTES) else ' records/s'}")
    for name in ("exactly_once", "at_least_once", PLAIN):
        for copy in COPIES:
            if name in figures:
                print(f"throughput  {name + ' / ' + copy:<34} {figures[name] / figures[copy]:12.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
