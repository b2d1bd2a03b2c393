"""A hundred models are exchanged under load on Apache Kafka while workers are killed: every signal is that of the model
which its partition's `applied` demands, and live is what a replay says.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from alphawire.commands.research.verify import describe
from backtest.verify.verify import verify
from benchmarks.common import generated_bars
from schemas.configuration import Config
from schemas.wire import Answer, Signal, Use, decode_control, encode
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import PRODUCER
from streams.recovery.state import decode_applied
from tests.support.live import Producer, SignalCount, WorkerProcess, records, wait_for, write_config
from tests.support.swaps import (
    ARTIFACTS,
    NAME,
    REASONS,
    bad_artifacts,
    demanded_faults,
    modelled,
    save_model,
)

SWAPS, KILLS, RATE, SYMBOLS, BARS = 100, 4, 150, 10, 7_500
PACE = 0.3
"""Seconds between two wishes."""


def wishes(rng: random.Random, models: dict[str, str], bad: dict[str, tuple[str, str]]) -> Iterator[Use]:
    """Good ones, never the same model twice, some from a bar on that comes in a moment; now and then a bad one."""
    faults, before, began = list(bad), "", time.monotonic()
    for number in itertools.count():
        before = rng.choice([name for name in models if name != before])
        minute = 1 + int((time.monotonic() - began + PACE / 4) * RATE / SYMBOLS)
        soon = 1_380_000_000_000 // 60_000 * 60_000 + 60_000 * minute
        yield Use(f"good-{number}", NAME, before, models[before], soon if rng.random() < 0.3 else None)
        if number % 4 == 1 and faults:
            fault = faults.pop()
            yield Use(f"bad-{fault}", NAME, *bad[fault])


async def sent(config: Config, wish: Use) -> None:
    async with open_producer(config.kafka, **PRODUCER) as producer:
        await producer.send_and_wait(topic_name(config.kafka, "control"), encode(wish), partition=0)


@pytest.mark.slow
def test_a_hundred_swaps_and_kills(kafka: Broker, tmp_path: Path) -> None:
    folder, rng = tmp_path / "models", random.Random(8)
    models = {name: save_model(folder / name, seed) for seed, name in enumerate(ARTIFACTS)}
    bad = bad_artifacts(folder)
    bars = generated_bars(SYMBOLS, BARS // SYMBOLS)
    file = tmp_path / "swaps.yaml"
    config = write_config(file, kafka.bootstrap, "hundred.", {NAME: modelled(folder)})
    asyncio.run(create_topics(config.kafka))
    workers = {n: WorkerProcess(file, log=tmp_path / f"worker-{n}.log") for n in range(2)}
    again: dict[int, float] = {}
    kills = 0
    try:
        wait_for(lambda: all(worker.ready() for worker in workers.values()))
        asyncio.run(sent(config, Use("dots", NAME, "..", "0" * 64)))
        producer = Producer(config, bars, RATE)
        producer.start()
        for number, wish in enumerate(wishes(rng, models, bad)):
            asyncio.run(sent(config, wish))
            calm = not again and all(worker.ready() for worker in workers.values())  # one hears each wish
            if number % 12 == 11 and calm and kills < KILLS:
                victim, kills = rng.randrange(2), kills + 1
                workers[victim].kill()
                again[victim] = time.monotonic() + config.kafka.session_timeout + 0.3
            for n in [n for n, when in again.items() if when < time.monotonic()]:
                del again[n]
                workers[n] = WorkerProcess(file, log=tmp_path / f"worker-{n}.log")
            if number % 12 == 0 and kills == KILLS and swaps_applied(config) >= SWAPS:
                break
            time.sleep(PACE * rng.uniform(0.5, 1.0))
        signals = SignalCount(config)
        wait_for(lambda: signals() >= BARS, 120.0, every=0.5)
        assert all(workers[n].stop() == 0 for n in range(2) if n not in again)
    finally:
        for worker in workers.values():
            worker.__exit__(None, None, None)
    examine(config, BARS, models, set(bad))
    assert all("is no control request; ignored" in log.read_text() for log in tmp_path.glob("worker-*.log"))


def swaps_applied(config: Config) -> int:
    """Beyond what the first owner of each partition wrote."""
    applied = [record for record in records(config, "control") if decode_applied(record.value)]
    return len(applied) - config.kafka.partitions


def examine(config: Config, count: int, models: dict[str, str], bad: set[str]) -> None:
    control = records(config, "control")
    applied = [entry for record in control if (entry := decode_applied(record.value))]
    live = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    swaps = len(applied) - config.kafka.partitions
    used = {signal.content.model.sha256 for signal in live if signal.content.model}
    print(f"\n{len(live)} signals, {swaps} swaps applied on {config.kafka.partitions} partitions")
    assert len(live) == count
    assert list(demanded_faults(applied, live)) == []
    assert used == set(models.values())
    assert swaps >= SWAPS
    told: dict[str, list[Answer]] = {}
    for record in control:
        if (record.value or b"").startswith(b'{"kind":"answer"'):
            answer = decode_control(record.value)
            assert isinstance(answer, Answer)
            told.setdefault(answer.wish, []).append(answer)
    for fault in bad:
        assert told[f"bad-{fault}"]
        assert all(not a.accepted and REASONS[fault] in (a.reason or "") for a in told[f"bad-{fault}"]), fault
    verdict = verify(config, NAME)
    assert verdict.ok, describe(verdict)
    assert verdict.equal == count
