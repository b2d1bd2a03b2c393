"""The table of docs/performance.md: each figure beside its yardstick of the same run, with their ratio and the target.

    python -m benchmarks [--kafka] [--peers PYTHON]

in less than 12 minutes on a quiet machine with two cores. A row that cannot be measured says why, and the others go on.
`PYTHON`: an interpreter with the libraries of other projects (`benchmarks/peers.py`), which are none of ours.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from benchmarks import engines, latency, peers, recovery, replay, restore, startup, throughput
from benchmarks.common import generated_bars, long_lived
from schemas.wire import Bar, encode
from streams.consuming.intake import Intake
from streams.kafka.brokers import Broker

CHUNK, FURTHER = 500, 50


@dataclass(frozen=True)
class Row:
    """One figure: `ratio` is that of the figure to its yardstick, unless there is none; `target` is of the ratio, or of
    the figure itself. `least`: more is better.
    """

    what: str
    figure: str
    beside: str
    measured: float
    target: float
    least: bool = False

    def __str__(self) -> str:
        met = self.measured >= self.target if self.least else self.measured <= self.target
        sign = "≥" if self.least else "≤"
        return (
            f"| {self.what} | {self.figure} | {self.beside} | {self.measured:.2f} | {sign} {self.target:g} |"
            f" {'yes' if met else '**missed**'} |"
        )


Rows = Iterator[Row]


def rates(broker: Broker, folder: Path, python: str | None) -> Rows:
    """Bars a second, and bytes."""
    best = throughput.deliveries_of(broker)[0]
    found = throughput.measure(broker, folder, [best])
    ours, name = found[best], best.replace("_", " ")
    for copy, target, what in (("copy", 2.5, "copied record by record"), ("batch copy", 0.6, "copied by batches")):
        beside = f"{found[copy]:,.0f}: {what}"
        yield Row(f"bars a second, {name}", f"{ours:,.0f}", beside, ours / found[copy], target, least=True)
    if python:
        other = peers.quix(python, broker.bootstrap, folder)
        beside = f"{other:,.0f}: Quix Streams, talipp, LightGBM"
        yield Row(f"bars a second, {name}", f"{ours:,.0f}", beside, ours / other, 12.0, least=True)
    plain = found[throughput.PLAIN]
    beside = f"{plain:,.0f}: without compression"
    yield Row("bars a second, compressed", f"{ours:,.0f}", beside, ours / plain, 1.0, least=True)
    size, raw = (found[f"{throughput.BYTES}, {codec}"] for codec in ("zstd", "none"))
    yield Row("bytes of a signal on the log", f"{size:.0f}", f"{raw:.0f} without compression", size, 120.0)


def in_memory(_broker: Broker, _folder: Path, _python: str | None) -> Rows:
    """Microseconds of processor time."""
    from benchmarks.in_memory import InMemory, strategy, trained

    model = trained()
    one, many = (InMemory([strategy(number, model) for number in range(count)]) for count in (1, FURTHER))
    rows = generated_bars(CHUNK, 1).itertuples(index=False)
    records = [
        SimpleNamespace(offset=at, key=row.symbol.encode(), value=encode(Bar(*row))) for at, row in enumerate(rows)
    ]
    intake, costs = Intake(0, 1, "murmur2"), list[tuple[float, float, float, float]]()
    for _ in range(5):
        began = time.process_time()
        for _ in range(10):
            intake.read(records)
        decode = 1e6 * (time.process_time() - began) / (10 * CHUNK)
        costs.append((decode, one.cost(2_500), many.cost(500), one.cost(500, 1)))
    decode, whole, all_of_them, alone = (statistics.median(values) for values in zip(*costs, strict=True))
    beside = f"decoding {decode:.1f}, the rest {whole:.1f}"
    yield Row("one bar in memory, bytes to bytes, µs", f"{decode + whole:.1f}", beside, decode + whole, 3.0)
    further = (all_of_them - whole) / (FURTHER - 1)
    yield Row("each further strategy, µs a bar", f"{further:.2f}", f"the first {whole:.1f}", further, 1.2)
    yield Row("one bar alone in a chunk, µs", f"{alone:.0f}", f"among {CHUNK}: {whole:.1f}", alone, 40.0)


def delays(broker: Broker, folder: Path, _python: str | None) -> Rows:
    """Bar sent to signal readable."""
    latency.ROUNDS = 2  # as of a rolling deployment: all of it is to take less than 12 minutes
    results, _ = latency.measure(broker, folder)
    for name, (yardstick, *targets) in latency.AGAINST.items():
        if name not in results:
            continue
        for at, (label, target) in enumerate(zip(("p50", "p99"), targets, strict=True)):
            ours, other = (statistics.median(run[at] for run in results[which]) for which in (name, yardstick))
            ratio = statistics.median(
                own[at] / its[at] for own, its in zip(results[name], results[yardstick], strict=True)
            )
            what = f"bar sent to signal readable, {name.replace('_', ' ')}, {label}, ms"
            yield Row(what, f"{ours:.1f}", f"{other:.1f}: {yardstick}", ratio, target)


def replays(broker: Broker, folder: Path, python: str | None) -> Rows:
    found = replay.measure(broker.kind, folder)
    both = 1 / (1 / found["bare"] + 1 / found["log"])
    for name, other, target, beside in (
        ("topic", both, 0.9, "log and pipeline one after the other"),
        ("archive", found["bare"], 0.8, "the bare pipeline"),
    ):
        figure = f"{found[name]:,.0f}"
        yield Row(f"replay, {name}, bars/s", figure, f"{other:,.0f}: {beside}", found[name] / other, target, True)
    if python:
        other = peers.nautilus(python)
        beside = f"{other:,.0f}: NautilusTrader, four indicators in Python"
        yield Row("replay of Parquet, bars/s", f"{found['parquet']:,.0f}", beside, found["parquet"] / other, 1.0, True)


def memory(broker: Broker, folder: Path, _python: str | None) -> Rows:
    idle, busy = restore.idle(broker, folder), restore.measure(broker, folder)["resident, MB"]
    yield Row("memory of an idle worker, MB", f"{idle:.0f}", "", idle, 220.0)
    yield Row("memory with 5,000 symbols, MB", f"{busy:.0f}", f"{idle:.0f}: idle", busy / idle, 1.3)


def starts(broker: Broker, folder: Path, _python: str | None) -> Rows:
    found = startup.measure(broker, folder)
    warm, join = found["warm, s"], found["bare consumer's join, s"]
    own = found["warm without the join, s"]
    yield Row("warm start without the join, s", f"{own:.1f}", f"{warm:.1f} in all, a bare join {join:.1f}", own, 1.2)


def kills(broker: Broker, folder: Path, _python: str | None) -> Rows:
    if broker.kind == "tansu":
        return
    from benchmarks import rolling

    rolling.ROUNDS = 2
    seconds = statistics.median(recovery.measure(broker, folder, tries=1))
    yield Row("killed, 5,000 symbols: first new signal, s", f"{seconds:.1f}", "6.0: session timeout", seconds / 6, 1.15)
    for name, values in rolling.measure(broker, folder).items():
        if name != "calm":
            longest = statistics.median(values)
            yield Row(f"rolling deployment, {name}: longest silence, s", f"{longest:.1f}", "", longest, rolling.TARGET)


def reports(_broker: Broker, _folder: Path, _python: str | None) -> Rows:
    prices = engines.daily()
    weights = engines.trend(prices, 1 / 88)
    for name, keys, target in (("ledger", ["ledger"], 2.0), ("all engines", list(engines.ALL), 2.0)):
        seconds, _, _ = engines.measured(lambda p, w, k=keys: engines.reported(p, w, k), prices, weights)
        what = f"backtest and report, 88 symbols, 5 years, {name}, s of the processor"
        yield Row(what, f"{seconds:.1f}", "", seconds, target)


PARTS: tuple[Callable[[Broker, Path, str | None], Rows], ...] = (
    rates, in_memory, delays, replays, memory, starts, kills, reports,
)  # fmt: skip


def main(engine: str, python: str | None = None) -> None:
    began = time.monotonic()
    print("| what | now | beside it, same run | measured | target | met |\n|---|---|---|---|---|---|", flush=True)
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                with long_lived(engine) as broker:
                    for row in part(broker, Path(folder), python):
                        print(row, flush=True)
            except Exception as error:
                print(f"| {part.__name__} | not measured: {type(error).__name__}: {error} | | | | |", flush=True)
    print(f"\nin {time.monotonic() - began:.0f} s", flush=True)


__all__ = ["main"]
