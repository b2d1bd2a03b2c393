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

from benchmarks.common import fetch_settings, generated_bars, long_lived, worker
from schemas.configuration import Config, Kafka, load_config
from schemas.wire import Bar, Signal, encode
from schemas.wire.cross_sections import Closing, decode_prediction_record
from streams.kafka.clients import open_consumer, open_producer, read_partition_to_end
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import home

SYMBOLS, PARTITIONS, WORKERS, TIMES, WARM = 2_000, 24, 3, 180, 60
EVERY = 1.0
"""Seconds from one bar time to the next."""
LINGER = 5
"""Milliseconds, of the producer of the bars: what Apache Kafka's own has by default since 4.0."""
GRACE, LATE_BY, LATE = 0.4, 0.7, 0.05
"""Seconds, seconds after a time's other bars, and the fraction of bars."""
_signal = msgspec.json.Decoder(Signal)


def main(broker: str) -> None:
    with long_lived(broker) as running, tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder) / "ranked.yaml", running.bootstrap)
        asyncio.run(create_topics(config.kafka))
        with contextlib.ExitStack() as workers:
            pids = [workers.enter_context(worker(Path(folder) / "ranked.yaml")).pid for _ in range(WORKERS)]
            stamps, counts, busy = asyncio.run(_measured(config, broker, {"broker": [running.pid], "workers": pids}))
    for begin, when in {"first bar": stamps.sent, "first prediction": stamps.first}.items():
        delays = stamps.delays(when)
        p50, p99 = np.percentile(delays, [50, 99])
        print(
            f"cross-sections, grace from the {begin} on: "
            f"{len(delays)} bar times: p50 {p50:.0f} ms, p99 {p99:.0f} ms, largest {max(delays):.0f} ms"
        )
    print(
        f"cross-sections: {SYMBOLS:,} symbols, {PARTITIONS} partitions, {WORKERS} workers, {LATE:.0%} late; "
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
) -> tuple["Times", Counter[int], dict[str, float]]:
    """When each bar time came and went, how many times have how many closings, and the processor seconds that each
    kind of process took for a bar time.
    """
    kafka, stamps = config.kafka, Times()
    rows = generated_bars(SYMBOLS, TIMES + 1)
    bars = {time: [Bar(*row) for row in part.itertuples(index=False)] for time, part in rows.groupby("close_time")}
    ranked = TopicPartition(topic_name(kafka, "predictions"), home("ranked", PARTITIONS))
    tps = [TopicPartition(topic_name(kafka, "signals"), number) for number in range(PARTITIONS)]
    settings = {"isolation_level": "read_committed"} | fetch_settings(broker)
    async with (
        open_producer(kafka, linger_ms=LINGER) as producer,
        open_consumer(kafka, **settings) as signals,
        open_consumer(kafka, **settings) as predictions,
    ):
        signals.assign(tps)
        predictions.assign([ranked])
        reading = [
            asyncio.create_task(stamps.read_signals(signals)),
            asyncio.create_task(stamps.read_first(predictions)),
        ]
        warm, *times = sorted(bars)
        await _send(kafka, producer, bars[warm])  # the workers are there when these have come through
        await stamps.all_signals([warm])
        spent = _spent(processes)
        await _feed(kafka, producer, {time: bars[time] for time in times}, stamps)
        await stamps.all_signals(times)
        busy = {name: (seconds - spent[name]) / TIMES for name, seconds in _spent(processes).items()}
        for task in reading:
            task.cancel()
    counts = Counter[int]()
    async for record in read_partition_to_end(kafka, *ranked, isolation="read_committed"):
        value = decode_prediction_record(record.value)
        counts[value.time] += isinstance(value, Closing)
    return stamps, Counter(counts.values()), busy


class Times:
    """By bar time, by this process's clock: when it was first `sent`, when its timely bars were `through`, its `first`
    prediction was readable, and it was `done`, the last of its signals being readable.
    """

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.through: dict[int, float] = {}
        self.first: dict[int, float] = {}
        self.done: dict[int, float] = {}
        self._signals = Counter[int]()

    def delays(self, begin: dict[int, float]) -> list[float]:
        """Milliseconds of each bar time after the warm-up, from the later of its last timely bar and the end of the
        grace, which begins at `begin`, to its last signal.
        """
        warmed = sorted(self.through)[WARM:]
        return [1000 * (self.done[time] - max(self.through[time], begin[time] + GRACE)) for time in warmed]

    async def read_signals(self, consumer: Any) -> None:
        while True:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                for record in batch:
                    content = _signal.decode(record.value).content
                    self._signals[content.time] += 1
                    if not content.reason.startswith("late"):
                        self.done[content.time] = asyncio.get_running_loop().time()

    async def read_first(self, consumer: Any) -> None:
        while True:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                for record in batch:
                    self.first.setdefault(record.timestamp, asyncio.get_running_loop().time())

    async def all_signals(self, times: list[int]) -> None:
        async with asyncio.timeout(240):
            while any(self._signals[time] < SYMBOLS for time in times):
                await asyncio.sleep(0.2)


async def _feed(kafka: Kafka, producer: Any, bars: dict[int, list[Bar]], stamps: Times) -> None:
    """A bar time a second, some of its bars late."""
    loop, rng = asyncio.get_running_loop(), np.random.default_rng(7)
    begin, behind = loop.time() + 1.0, list[asyncio.Task[None]]()
    for number, (time, due) in enumerate(bars.items()):
        await asyncio.sleep(max(0.0, begin + number * EVERY - loop.time()))
        await asyncio.gather(*behind)  # else, on a busy machine, they could come after the symbol's next bar
        late = rng.random(SYMBOLS) < LATE
        stamps.sent[time] = loop.time()
        await _send(kafka, producer, [bar for bar, is_late in zip(due, late, strict=True) if not is_late])
        stamps.through[time] = loop.time()
        left = [bar for bar, is_late in zip(due, late, strict=True) if is_late]
        behind.append(asyncio.create_task(_after(stamps.sent[time] + LATE_BY - loop.time(), kafka, producer, left)))
    await asyncio.gather(*behind)


async def _send(kafka: Kafka, producer: Any, bars: list[Bar]) -> None:
    for bar in bars:
        key = bar.symbol.encode()
        await producer.send(
            topic_name(kafka, "bars"), encode(bar), key, partition_of(key, PARTITIONS, "murmur2"), bar.close_time
        )
    await producer.flush()


async def _after(seconds: float, kafka: Kafka, producer: Any, bars: list[Bar]) -> None:
    await asyncio.sleep(max(0.0, seconds))
    await _send(kafka, producer, bars)


def _spent(processes: dict[str, list[Any]]) -> dict[str, float]:
    """Processor seconds so far: of each kind, and of this process, which sends and reads."""
    return {name: sum(map(_processor_seconds, pids)) for name, pids in processes.items()} | {
        "sending and reading": sum(os.times()[:2])
    }


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
