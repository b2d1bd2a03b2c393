"""What must hold after a run, each check a list of what does not."""

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.wire import interval_ms
from streams.consuming.intake import Intake
from streams.kafka.topics import topic_name
from tests.faults import audit
from tests.faults.controller import Run
from tests.faults.setting import undisturbed
from tests.faults.supervised import AWAY_AT_START, SIGNALS_REFUSED
from tests.support.forked import Forked
from tests.support.live import digest, records

SHOWN = 5
RESIDENT_MB, THREADS, DESCRIPTORS = 500, 60, 200
EXPECTED_ENDS = {0, -9, 10, 11, 14, AWAY_AT_START, SIGNALS_REFUSED}
"""Asked to stop; killed; broker away or outcome unknown; no progress; fenced; told what to mend. Any other end is a
fault of ours."""


@dataclass
class Found:
    """Each check's faults, the first few of them in words, and how many there are."""

    faults: dict[str, list[str]]
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def take(self, check: str, faults: Iterable[str]) -> None:
        self.faults[check] = list(faults)
        now = time.monotonic()
        self.seconds[check], self._since = now - self._since, now

    @property
    def red(self) -> dict[str, str]:
        return {check: f"{len(faults)}: {'; '.join(faults[:SHOWN])}" for check, faults in self.faults.items() if faults}


def examine(run: Run, file: Path, quick: bool = False) -> Found:
    """All checks of a run that has ended; the broker still runs. Quick: those that need no other worker."""
    config, found = run.config, Found({})
    logs = {name: by_partition(config, name) for name in ("bars", "signals", "state", "control")}
    found.take("twice", twice(logs["signals"]))
    found.take("order", order_faults(logs["signals"]))
    found.take("independent", independent_faults(config))
    for check, faults in audits(run, logs).items():
        found.take(check, faults)
    found.take("lag", lag_faults(run))
    found.take("size", size_faults(run))
    found.take("ends", (f"{n} x exit code {code}" for code, n in run.ends.items() if code not in EXPECTED_ENDS))
    if not quick:
        calm = undisturbed(file, config, logs["bars"])
        seen, wanted = set(digest(config)), set(digest(calm))
        found.take("missing", map(_name, wanted - seen))
        found.take("invented or altered", map(_name, seen - wanted))
        found.take("marker ahead", audit.observation_faults(run.watch.observations, sources(calm)))
        found.take("verify", verify_faults(file, config))
    return found


def audits(run: Run, logs: dict[str, dict[int, list[Any]]]) -> dict[str, list[str]]:
    """What no reader of signals sees."""
    config, kafka = run.config, run.config.kafka
    ready = [ready_strategy(name, strategy) for name, strategy in config.strategies.items()]
    found: dict[str, list[str]] = {"snapshots": [], "rosters": [], "one owner": []}
    for number in range(kafka.partitions):
        intake = Intake(number, kafka.partitions, kafka.partitioner)
        bars, state, control = (logs[name][number] for name in ("bars", "state", "control"))
        found["snapshots"] += audit.snapshot_faults(ready, intake, bars, state, control)
        found["rosters"] += audit.roster_faults(number, state)
        if kafka.delivery != "at_least_once":
            found["one owner"] += audit.owner_faults(run.cluster.logs, topic_name(kafka, "signals"), number)
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
    def start(name: str) -> tuple[Forked, Path]:
        log = file.with_name(f"{file.stem}-verify-{name}.log")
        log.unlink(missing_ok=True)
        return Forked("verify", name, "-c", str(file), log=log), log

    for name, (process, log) in {name: start(name) for name in config.strategies}.items():
        if process.wait():
            yield f"alphawire verify {name}: {log.read_text()[-500:]}"


def _owed(name: str, strategy: Strategy) -> str:
    """One that publishes changes owes what its twin `demo` says anew."""
    if strategy.publish == "changes":
        return f"{name}~demo:{interval_ms(strategy.heartbeat or '')}"
    return name if isinstance(strategy.universe, str) else f"{name}={','.join(strategy.universe)}"


def independent_faults(config: Config) -> Iterator[str]:
    strategies = [_owed(name, strategy) for name, strategy in config.strategies.items()]
    script = Path(__file__).with_name("independent_check.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), config.kafka.bootstrap, config.kafka.prefix, *strategies],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        yield done.stdout[-500:] + done.stderr[-500:]
