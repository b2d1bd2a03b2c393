"""Bars a second through one worker, against a record-by-record copy of the same topic."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.common import copy_topic, fill, generated_bars, growth, worker, write_config
from schemas.configuration import Config
from streams.kafka.brokers import ENGINES, Broker

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
    """Medians of rounds, in each of which all are measured."""
    bars = generated_bars(SYMBOLS, EACH)
    deliveries = ["at_least_once"] if broker.kind == "tansu" else ["at_least_once", "exactly_once"]
    rates: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for delivery in deliveries:
            path, config = write_config(folder, broker.bootstrap, f"{delivery.replace('_', '-')}{number}.", delivery)
            fill(config, bars)
            if delivery == deliveries[0]:
                asyncio.run(copy_topic(config))
                rates["copy"].append(copy_rate(path, len(bars)))
            rates[delivery].append(worker_rate(path, config, len(bars)))
    figures = {f"{name}, records/s": statistics.median(values) for name, values in rates.items()}
    figures |= {f"{name}/copy": figures[f"{name}, records/s"] / figures["copy, records/s"] for name in deliveries}
    if len(deliveries) > 1:
        figures["exactly once/at least"] = figures["exactly_once, records/s"] / figures["at_least_once, records/s"]
    return figures


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, ENGINES[engine]() as broker:
        for name, value in measure(broker, Path(folder)).items():
            print(f"throughput  {name:<26} {value:12,.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
