"""A rolling deployment: of two workers one is replaced, bars going on. For how long a partition has no new signals, at
the longest: calm, when the successor joins, and when the old worker stops.
"""

import asyncio
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path
from statistics import median

import yaml

from benchmarks.common import generated_bars, long_lived, worker, write_config
from benchmarks.recovery import PATIENCE, Arrivals, owned
from schemas.configuration import Config, load_config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics

SYMBOLS, RATE, PARTITIONS, ROUNDS = 500, 500.0, 6, 3
SETTLE, LISTEN = 6.0, 6.0
TARGET = 1.0
"""Seconds, when the successor joins and when the old worker stops."""


class Deployment:
    """Workers by their number, each with its own log."""

    def __init__(self, path: Path, config: Config, arrivals: Arrivals) -> None:
        self._path, self._arrivals, self._partitions = path, arrivals, config.kafka.partitions
        self._running: dict[int, ExitStack] = {}

    def _file(self, number: int) -> Path:
        return self._path.with_name(f"rolling-{number}.yaml")

    def start(self, number: int) -> None:
        self._file(number).write_text(self._path.read_text())
        stack = self._running[number] = ExitStack()
        stack.enter_context(worker(self._file(number)))

    def stop(self, number: int) -> None:
        self._running.pop(number).close()

    def settled(self) -> bool:
        """Has each worker partitions, and each partition one worker?"""
        all_owned = [owned(self._file(number).with_suffix(".log")) for number in self._running]
        return all(all_owned) and sorted(chain.from_iterable(all_owned)) == list(range(self._partitions))

    def silence(self, change: Callable[[], None]) -> float:
        """Seconds: the longest that any partition had from `change` until all has settled."""
        began = time.monotonic()
        change()
        while not self.settled():
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"not every worker has partitions after {PATIENCE:.0f} s; see {self._path.parent}")
            time.sleep(0.05)
        time.sleep(LISTEN)
        return max(self._silence(partition, began) for partition in range(self._partitions))

    def _silence(self, partition: int, began: float) -> float:
        times = [began, *(at for at in list(self._arrivals.times[partition]) if at > began)]
        return max(after - before for before, after in pairwise([*times, time.monotonic()]))


def measure(broker: Broker, folder: Path) -> dict[str, list[float]]:
    path, _ = write_config(folder, broker.bootstrap, "rolling.", snapshot_interval=5.0)
    settings = yaml.safe_load(path.read_text())
    settings["kafka"]["partitions"] = PARTITIONS
    path.write_text(yaml.safe_dump(settings))
    config = load_config(path)
    asyncio.run(create_topics(config.kafka))
    bars = generated_bars(SYMBOLS, int((120 + 60 * ROUNDS) * RATE / SYMBOLS))
    sending = produce_bars(config.kafka, bars, rate=RATE)
    threading.Thread(target=asyncio.run, args=(sending,), name="bars", daemon=True).start()
    arrivals = Arrivals(config)
    arrivals.start()
    deployment, silences = Deployment(path, config, arrivals), defaultdict(list)
    deployment.start(0)
    deployment.silence(lambda: deployment.start(1))
    for number in range(ROUNDS):
        time.sleep(SETTLE)
        silences["calm"].append(deployment.silence(lambda: None))
        silences["the successor joins"].append(deployment.silence(lambda n=number: deployment.start(n + 2)))
        silences["the old worker stops"].append(deployment.silence(lambda n=number: deployment.stop(n)))
    for number in range(ROUNDS, ROUNDS + 2):
        deployment.stop(number)
    return silences


def main(_engine: str = "kafka") -> None:
    with tempfile.TemporaryDirectory() as folder, long_lived("kafka") as broker:
        for name, seconds in measure(broker, Path(folder)).items():
            target = "" if name == "calm" else f"   target {TARGET:.1f}"
            print(f"rolling     {name:<26} median {median(seconds):6.2f} s   worst {max(seconds):6.2f} s{target}")


if __name__ == "__main__":
    main()
