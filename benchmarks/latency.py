"""From a bar's sending to its signal being readable (`read_committed`) at a steady rate, against raw echoes of the same
bars: without transactions, and with one transaction a fetch and partition. And where the time goes, stage by stage.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from aiokafka import TopicPartition

from benchmarks.common import copy_topic, fetch_settings, generated_bars, long_lived, worker, write_config
from schemas.configuration import Config
from schemas.wire import Bar, encode
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from streams.process.trace import STAGES

RATE, SECONDS, SYMBOLS = 1_000, 15, 500
WARM_SECONDS, ROUNDS = 3, 3
ECHOES = {"echo": "echo_records", "transactional echo": "echo_transactions"}
AGAINST = {"at_least_once": ("echo", 1.5, 1.2), "exactly_once": ("transactional echo", 1.3, 1.3)}
"""By delivery: what it is compared with, and how many times that p50 and p99 may be."""
_signal = msgspec.json.Decoder(dict[str, Any])


class Journey(NamedTuple):
    """Of a bar: when it was sent and its signal read (s), and where it lies (of an echo's bars: nobody asks)."""

    sent: float
    read: float
    partition: int
    offset: int


@contextlib.contextmanager
def echo(module: str, path: Path, broker: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", f"benchmarks.{module}", str(path), broker])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def bar_of(value: dict[str, Any]) -> tuple[str, int]:
    content = value.get("content", value)
    return content["symbol"], content.get("time") or content["close_time"]


async def delays(
    config: Config, out: str, broker: str, rate: int = RATE, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> list[float]:
    """Milliseconds from send to read, of every bar after the warm-up."""
    return [1000 * (each.read - each.sent) for each in await journeys(config, out, broker, rate, meanwhile)]


async def journeys(
    config: Config, out: str, broker: str, rate: int = RATE, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> list[Journey]:
    """Of every bar after the warm-up; the run, in which something may happen `meanwhile`, starts when the first bars
    come through.
    """
    warm, count = WARM_SECONDS * rate, rate * SECONDS
    kafka, loop = config.kafka, asyncio.get_running_loop()
    bars = list(generated_bars(SYMBOLS, count // SYMBOLS + 2).itertuples(index=False))
    sent: dict[tuple[str, int], float] = {}
    arrived: dict[tuple[str, int], tuple[float, int, int]] = {}

    async def read(consumer: Any) -> None:
        async for record in consumer:
            value = _signal.decode(record.value)
            offset = value.get("provenance", {}).get("offset", record.offset)
            arrived[bar_of(value)] = loop.time(), record.partition, offset

    async def send(producer: Any, row: Any) -> None:
        bar, key = Bar(*row), row.symbol.encode()
        sent[(bar.symbol, bar.close_time)] = loop.time()
        home = partition_of(key, kafka.partitions, kafka.partitioner)
        await producer.send(topic_name(kafka, "bars"), encode(bar), key, home, bar.close_time)

    tps = [TopicPartition(out, number) for number in range(kafka.partitions)]
    async with (
        open_producer(kafka) as producer,
        open_consumer(kafka, isolation_level="read_committed", **fetch_settings(broker)) as consumer,
    ):
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        reading = asyncio.create_task(read(consumer))
        for row in bars[:SYMBOLS]:
            await send(producer, row)
        async with asyncio.timeout(120):
            while len(arrived) < SYMBOLS:
                await asyncio.sleep(0.05)
        happening = asyncio.ensure_future(meanwhile()) if meanwhile else None
        began = loop.time()
        for number, row in enumerate(bars[SYMBOLS : SYMBOLS + count]):
            if (wait := began + number / rate - loop.time()) > 0:
                await asyncio.sleep(wait)
            await send(producer, row)
        await asyncio.sleep(1)
        if happening:
            await happening
        reading.cancel()
    keys = [(row.symbol, row.close_time) for row in bars[SYMBOLS + warm : SYMBOLS + count]]
    assert all(key in arrived for key in keys), "not every bar came through"
    return [Journey(sent[key], *arrived[key]) for key in keys]


def quantiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def spent(travelled: list[Journey], trace: Path, topic: str) -> dict[str, list[float]]:
    """By stage, the milliseconds of each bar since the stage before: those of the worker, from its trace, between the
    sending and the reading.
    """
    runs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in trace.read_text().splitlines():
        run = json.loads(line)
        name, _, partition = run["place"].rpartition("/")
        if name == topic:
            runs[int(partition)].append(run)
    ends = {partition: [run["end"] for run in own] for partition, own in runs.items()}
    found: dict[str, list[float]] = defaultdict(list)
    for each in travelled:
        run = runs[each.partition][int(np.searchsorted(ends[each.partition], each.offset, side="right"))]
        before = each.sent
        for stage, at in [*run["times"].items(), ("read", each.read)]:
            found[stage].append(1000 * max(at - before, 0.0))
            before = max(at, before)
    return {stage: found[stage] for stage in (*STAGES, "read") if stage in found}


def measure(broker: Broker, folder: Path) -> tuple[dict[str, list[tuple[float, float]]], dict[str, dict[str, Any]]]:
    """By what is measured: p50 and p99 of each round, in which each has its turn, as they need the same cores; and of
    the last round, by delivery and stage, the milliseconds that bars spent there.
    """
    kind, results = broker.kind, defaultdict(list)
    names = ["echo", "at_least_once"] if kind == "tansu" else [*ECHOES, *AGAINST]
    stages: dict[str, dict[str, Any]] = {}
    for number in range(ROUNDS):
        for name in names:
            prefix = f"{name.replace('_', '-').replace(' ', '-')}{number}."
            path, config = write_config(folder, broker.bootstrap, prefix, "auto" if name in ECHOES else name)
            asyncio.run(create_topics(config.kafka))
            asyncio.run(copy_topic(config))
            out, trace = f"{config.kafka.prefix}{'copy' if name in ECHOES else 'signals'}", path.with_suffix(".trace")
            with echo(ECHOES[name], path, kind) if name in ECHOES else worker(path, "--trace", str(trace)):
                travelled = asyncio.run(journeys(config, out, kind))
            results[name].append(quantiles([1000 * (each.read - each.sent) for each in travelled]))
            if name not in ECHOES:
                stages[name] = spent(travelled, trace, topic_name(config.kafka, "bars"))
    return results, stages


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, long_lived(engine) as broker:
        results, stages = measure(broker, Path(folder))
    for name, rounds in results.items():
        p50, p99 = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"latency     {name:<20} p50 {p50:9.1f} ms   p99 {p99:9.1f} ms")
        if name in AGAINST:
            beside, *targets = AGAINST[name]
            for at, (label, target) in enumerate(zip(("p50", "p99"), targets, strict=True)):
                ratios = [own[at] / other[at] for own, other in zip(rounds, results[beside], strict=True)]
                said = f"{name} {label} / {beside}"
                print(f"latency     {said:<42} {statistics.median(ratios):6.2f}   target {target:.1f}")
    for name, times in stages.items():
        for stage, values in times.items():
            p50, p99 = quantiles(values)
            print(f"latency     {name:<15} until {stage:<14} p50 {p50:8.1f} ms   p99 {p99:8.1f} ms")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
