"""A ranking of 2,000 symbols on 24 partitions by three workers, at one bar time a second, 5 % of the bars late: from
the last timely bar, or the end of the grace, to the last signal of that time being readable (`read_committed`).
"""

import asyncio
import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml
from aiokafka import TopicPartition

from benchmarks.common import fetch_settings, generated_bars, worker
from schemas.config import Config, load_config
from schemas.cross_sections import Closing, decode_prediction_record
from schemas.messages import Bar, Signal, encode
from streams.brokers import ENGINES
from streams.clients import open_consumer, open_producer, read_partition_to_end
from streams.outlet import home
from streams.partitioner import partition_of
from streams.topics import create_topics, topic_name

SYMBOLS, PARTITIONS, WORKERS, TIMES, WARM = 2_000, 24, 3, 40, 5
EVERY = 1.0
"""Seconds from one bar time to the next."""
GRACE, LATE_BY, LATE = 0.4, 0.7, 0.05
"""Seconds, seconds after a time's other bars, and the fraction of bars."""
_signal = msgspec.json.Decoder(Signal)


def main(broker: str) -> None:
    with ENGINES[broker]() as running, tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder) / "ranked.yaml", running.bootstrap)
        asyncio.run(create_topics(config.kafka))
        with contextlib.ExitStack() as workers:
            pids = [workers.enter_context(worker(Path(folder) / "ranked.yaml")).pid for _ in range(WORKERS)]
            delays, counts, busy = asyncio.run(_measured(config, broker, {"broker": [running.pid], "workers": pids}))
    p50, p99 = np.percentile(delays, [50, 99])
    print(
        f"cross-sections: {SYMBOLS:,} symbols, {PARTITIONS} partitions, {WORKERS} workers, {LATE:.0%} late, "
        f"{len(delays)} bar times: p50 {p50:.0f} ms, p99 {p99:.0f} ms, largest {max(delays):.0f} ms; "
        f"closings of a time: {dict(counts)}; processor seconds a bar time: "
        f"{', '.join(f'{name} {share:.2f}' for name, share in busy.items())}; load {os.getloadavg()[0]:.1f}"
    )


def _config(path: Path, bootstrap: str) -> Config:
    strategy = {
        "interval": "1m",
        "universe": [f"S{i:04}" for i in range(SYMBOLS)],
        "features": ["technical.rsi", {"statistical.momentum": {"window": 2}}],
        "prediction": "momentum",
        "signal": {"key": "signal.ranking", "top_n": 50, "bottom_n": 50},
        "cross_section": {"grace": GRACE},
        "start": "earliest",
    }
    kafka = {"bootstrap": bootstrap, "group": "ranked", "session_timeout": 30.0, "partitions": PARTITIONS}
    path.write_text(yaml.safe_dump({"kafka": kafka, "worker": {"http": False}, "strategies": {"ranked": strategy}}))
    return load_config(path)


async def _measured(
    config: Config, broker: str, processes: dict[str, list[Any]]
) -> tuple[list[float], Counter[int], dict[str, float]]:
    """Milliseconds of each bar time after the warm-up, how many times have how many closings, and the processor
    seconds that each kind of process took for a bar time.
    """
    kafka, loop = config.kafka, asyncio.get_running_loop()
    rows = generated_bars(SYMBOLS, TIMES + 1)
    times = sorted(rows["close_time"].unique().tolist())
    bars = {time: [Bar(*row) for row in part.itertuples(index=False)] for time, part in rows.groupby("close_time")}
    due: dict[int, float] = {}
    done: dict[int, float] = {}
    signals = Counter[int]()
    tps = [TopicPartition(topic_name(kafka, "signals"), number) for number in range(PARTITIONS)]
    rng = np.random.default_rng(7)

    async def read(consumer: Any) -> None:
        while True:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                for record in batch:
                    content = _signal.decode(record.value).content
                    signals[content.time] += 1
                    if not content.reason.startswith("late"):
                        done[content.time] = loop.time()

    async def send(producer: Any, some: list[Bar]) -> None:
        for bar in some:
            key = bar.symbol.encode()
            await producer.send(
                topic_name(kafka, "bars"), encode(bar), key, partition_of(key, PARTITIONS, "murmur2"), bar.close_time
            )
        await producer.flush()

    async with (
        open_producer(kafka) as producer,
        open_consumer(kafka, isolation_level="read_committed", **fetch_settings(broker)) as consumer,
    ):
        consumer.assign(tps)
        reading = asyncio.create_task(read(consumer))
        await send(producer, bars[times[0]])  # the workers are there when these have come through
        async with asyncio.timeout(240):
            while signals[times[0]] < SYMBOLS:
                await asyncio.sleep(0.2)
        begin, behind = loop.time() + 1.0, list[asyncio.Task[None]]()
        spent = _spent(processes)
        for number, time in enumerate(times[1:]):
            await asyncio.sleep(max(0.0, begin + number * EVERY - loop.time()))
            await asyncio.gather(*behind)  # else, on a busy machine, they could come after the symbol's next bar
            late = rng.random(SYMBOLS) < LATE
            first = loop.time()
            await send(producer, [bar for bar, is_late in zip(bars[time], late, strict=True) if not is_late])
            due[time] = max(loop.time(), first + GRACE)
            some = [bar for bar, is_late in zip(bars[time], late, strict=True) if is_late]
            behind.append(asyncio.create_task(_after(first + LATE_BY - loop.time(), send, producer, some)))
        await asyncio.gather(*behind)
        async with asyncio.timeout(120):
            while any(signals[time] < SYMBOLS for time in times):
                await asyncio.sleep(0.2)
        reading.cancel()
        busy = {name: (seconds - spent[name]) / TIMES for name, seconds in _spent(processes).items()}
    counts = Counter[int]()
    async for record in read_partition_to_end(
        kafka, topic_name(kafka, "predictions"), home("ranked", PARTITIONS), isolation="read_committed"
    ):
        value = decode_prediction_record(record.value)
        counts[value.time] += isinstance(value, Closing)
    return [1000 * (done[time] - due[time]) for time in times[1 + WARM :]], Counter(counts.values()), busy


def _spent(processes: dict[str, list[Any]]) -> dict[str, float]:
    """Processor seconds so far: of each kind, and of this process, which sends and reads."""
    return {name: sum(map(_processor_seconds, pids)) for name, pids in processes.items()} | {
        "sending and reading": sum(os.times()[:2])
    }


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def _after(seconds: float, send: Any, producer: Any, bars: list[Bar]) -> None:
    await asyncio.sleep(max(0.0, seconds))
    await send(producer, bars)
