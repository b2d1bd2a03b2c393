"""What must hold after a run, each check a list of what does not."""

import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.config import Config
from streams.topics import topic_name
from tests.faults import audit
from tests.faults.controller import Run
from tests.faults.setting import undisturbed
from tests.support.live import ROOT, digest, records

SHOWN = 5
RESIDENT_MB, THREADS, DESCRIPTORS = 500, 60, 200
EXPECTED_ENDS = {0, -9, 10, 11}
"""Asked to stop; killed; broker away or outcome unknown; no progress. Any other end is a fault of ours."""


@dataclass
class Found:
    """Each check's faults, the first few of them in words, and how many there are."""

    faults: dict[str, list[str]]

    def take(self, check: str, faults: Iterable[str]) -> None:
        self.faults[check] = list(faults)

    @property
    def red(self) -> dict[str, str]:
        return {check: f"{len(faults)}: {'; '.join(faults[:SHOWN])}" for check, faults in self.faults.items() if faults}


def examine(run: Run, file: Path) -> Found:
    """All checks of a run that has ended; the broker still runs."""
    config, found = run.config, Found({})
    logs = {name: by_partition(config, name) for name in ("bars", "signals", "state", "control")}
    calm = undisturbed(file, config, logs["bars"])
    seen, wanted = digest(config), digest(calm)
    found.take("missing", (_name(value) for value in set(wanted) - set(seen)))
    found.take("invented or altered", (_name(value) for value in set(seen) - set(wanted)))
    found.take("twice", twice(logs["signals"]))
    found.take("order", order_faults(logs["signals"]))
    found.take("marker ahead", audit.observation_faults(run.watch.observations, sources(calm)))
    partitions = range(config.kafka.partitions)
    found.take(
        "snapshots",
        itertools.chain.from_iterable(
            audit.snapshot_faults(config, n, logs["bars"][n], logs["state"][n], logs["control"][n]) for n in partitions
        ),
    )
    found.take("rosters", itertools.chain.from_iterable(audit.roster_faults(n, logs["state"][n]) for n in partitions))
    topic = topic_name(config.kafka, "signals")
    found.take(
        "one owner",
        itertools.chain.from_iterable(audit.owner_faults(run.cluster.logs, topic, n) for n in partitions),
    )
    found.take("lag", lag_faults(run))
    found.take("size", size_faults(run))
    found.take("ends", (f"{n} x exit code {code}" for code, n in run.ends.items() if code not in EXPECTED_ENDS))
    found.take("verify", verify_faults(file, config))
    found.take("independent", independent_faults(config))
    return found


def by_partition(config: Config, topic: str) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {number: [] for number in range(config.kafka.partitions)}
    for record in records(config, topic):
        found[record.partition].append(record)
    return found


def _name(value: bytes) -> str:
    content = json.loads(value)["content"]
    return f"{content['strategy']}/{content['symbol']} at {content['time']}"


def twice(signals: dict[int, list[Any]]) -> Iterator[str]:
    ids = Counter(json.loads(record.value)["content"]["id"] for some in signals.values() for record in some)
    return (f"{identity} {number} times" for identity, number in ids.items() if number > 1)


def order_faults(signals: dict[int, list[Any]]) -> Iterator[str]:
    """On the log each strategy's signals follow the bars: two owners at once would interleave."""
    last: dict[tuple[int, str], int] = defaultdict(lambda: -1)
    for partition, some in signals.items():
        for record in some:
            signal = json.loads(record.value)
            at, source = (partition, signal["content"]["strategy"]), signal["provenance"]["offset"]
            if source <= last[at]:
                yield f"{at}: the signal of bar {source} after that of {last[at]}"
            last[at] = source


def sources(calm: Config) -> dict[tuple[int, str], list[int]]:
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for record in records(calm, "signals"):
        signal = json.loads(record.value)
        found[record.partition, signal["content"]["strategy"]].append(signal["provenance"]["offset"])
    return found


def lag_faults(run: Run) -> Iterator[str]:
    if run.lag_seconds > run.lag_bound:
        yield f"behind for {run.lag_seconds:.1f} s after the last fault, more than {run.lag_bound:.0f}"


def size_faults(run: Run) -> Iterator[str]:
    for worker in run.workers:
        for size in worker.sizes:
            if size.resident_mb > RESIDENT_MB or size.threads > THREADS or size.descriptors > DESCRIPTORS:
                yield f"worker {worker.number}: {size}"


def verify_faults(file: Path, config: Config) -> Iterator[str]:
    for name in config.strategies:
        done = subprocess.run(
            [sys.executable, "-m", "alphawire", "verify", name, "-c", str(file)],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        if done.returncode:
            yield f"alphawire verify {name}: {done.stdout[-300:]} {done.stderr[-300:]}"


def independent_faults(config: Config) -> Iterator[str]:
    strategies = [
        name if strategy.universe == "*" else f"{name}={','.join(strategy.universe)}"
        for name, strategy in config.strategies.items()
    ]
    script = Path(__file__).with_name("independent_check.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), config.kafka.bootstrap, config.kafka.prefix, *strategies],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        yield done.stdout[-500:] + done.stderr[-500:]
