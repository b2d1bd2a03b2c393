"""From a bar's sending to its signal being readable (`read_committed`) at a steady rate, against a raw echo of the same
bars; on Apache Kafka with and without transactions.
"""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import TopicPartition

from benchmarks.common import copy_topic, fetch_settings, generated_bars, worker, write_config
from schemas.configuration import Config
from schemas.wire import Bar, encode
from streams.kafka.brokers import ENGINES, Broker
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name

RATE, SECONDS, SYMBOLS = 1_000, 15, 500
WARM_SECONDS = 3
_signal = msgspec.json.Decoder(dict[str, Any])


@contextlib.contextmanager
def echo(path: Path, broker: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.echo_records", str(path), broker])
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
    """Milliseconds from send to read, of every bar after the warm-up; the run, in which something may happen
    `meanwhile`, starts when the first bars come through.
    """
    warm, count = WARM_SECONDS * rate, rate * SECONDS
    kafka, loop = config.kafka, asyncio.get_running_loop()
    bars = list(generated_bars(SYMBOLS, count // SYMBOLS + 2).itertuples(index=False))
    sent: dict[tuple[str, int], float] = {}
    latencies: dict[tuple[str, int], float] = {}

    async def read(consumer: Any) -> None:
        async for record in consumer:
            latencies[bar_of(_signal.decode(record.value))] = loop.time()

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
            while len(latencies) < SYMBOLS:
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
    assert all(key in latencies for key in keys), "not every bar came through"
    return [1000 * (latencies[key] - sent[key]) for key in keys]


def quantiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]


def measure(broker: Broker, folder: Path) -> dict[str, float]:
    """The three in turn: they need the same cores."""
    kind, results = broker.kind, {}
    deliveries = ["at_least_once"] if kind == "tansu" else ["at_least_once", "exactly_once"]
    for name in ("echo", *deliveries):
        prefix, delivery = f"{name.replace('_', '-')}.", "auto" if name == "echo" else name
        path, config = write_config(folder, broker.bootstrap, prefix, delivery)
        asyncio.run(create_topics(config.kafka))
        asyncio.run(copy_topic(config))
        out = f"{config.kafka.prefix}{'copy' if name == 'echo' else 'signals'}"
        with echo(path, kind) if name == "echo" else worker(path):
            results[name] = quantiles(asyncio.run(delays(config, out, kind)))
    figures: dict[str, float] = {}
    for name, (p50, p99) in results.items():
        figures |= {f"{name} p50, ms": p50, f"{name} p99, ms": p99}
        if name != "echo":
            figures |= {f"{name}/echo p50": p50 / results["echo"][0], f"{name}/echo p99": p99 / results["echo"][1]}
    return figures


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, ENGINES[engine]() as broker:
        for name, value in measure(broker, Path(folder)).items():
            print(f"latency     {name:<26} {value:12,.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
