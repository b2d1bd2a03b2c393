"""Bars a second through one worker, against a record-by-record copy of the same topic."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import copy_topic, fill, generated_bars, growth, worker, write_config
from schemas.config import Config
from streams.brokers import Broker, TansuBroker

SYMBOLS, EACH, ROUNDS = 500, 400, 3


def copy_rate(path: Path, bars: int) -> float:
    command = [sys.executable, "-m", "benchmarks.copy_records", str(path), str(bars)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, records = printed.stdout.split()
    return int(records) / float(seconds)


def worker_rate(path: Path, config: Config, bars: int) -> float:
    """From the first tenth of the signals to the last one."""
    with worker(path):
        seen = asyncio.run(growth(config, "signals", bars))
    first = next(i for i, (_, count) in enumerate(seen) if count >= bars / 10)
    return (seen[-1][1] - seen[first][1]) / (seen[-1][0] - seen[first][0])


def measure(broker: Broker, folder: Path) -> dict[str, float]:
    bars = generated_bars(SYMBOLS, EACH)
    copies, workers = [], []
    for number in range(ROUNDS):
        path, config = write_config(folder, broker.bootstrap, f"r{number}.")
        fill(config, bars)
        asyncio.run(copy_topic(config))
        copies.append(copy_rate(path, len(bars)))
        workers.append(worker_rate(path, config, len(bars)))
    copy, live = statistics.median(copies), statistics.median(workers)
    return {"copy, records/s": copy, "worker, bars/s": live, "ratio": live / copy}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, TansuBroker() as broker:
        for name, value in measure(broker, Path(folder)).items():
            print(f"throughput  {name:<20} {value:12,.2f}")


if __name__ == "__main__":
    main()
