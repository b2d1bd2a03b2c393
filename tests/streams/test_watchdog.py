"""The watchdog lets a worker alone that has nothing to do, whatever the log's last offset is."""

import asyncio
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from schemas.configuration import Config
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.clients import offset_range, open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from streams.owners.bars_owner import BarsOwner
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.process.exits import Exit
from streams.service.watchdog import watch
from tests.streams.test_cross_sections_live import in_time, ranking
from tests.support.deadlines import deadline, limit
from tests.support.forked import Forked
from tests.support.live import SignalCount, WorkerProcess, strategy, topics_and_bars, wait_for, write_config
from tests.support.memory import WriterFactory, bar

BARS = 5
STALL = limit(1.0)


async def send(config: Config) -> tuple[int, int]:
    """Bars in a transaction: its marker is the last record of the partition, and is never given out."""
    await create_topics(config.kafka)
    topic = topic_name(config.kafka, "bars")
    async with open_producer(config.kafka, transactional_id=config.kafka.group) as producer, producer.transaction():
        for minute in range(BARS):
            await producer.send_and_wait(topic, json.dumps(bar("A", minute, 100.0)).encode(), b"A", 0)
    return await offset_range(config.kafka, topic, 0)


@pytest.mark.kafka
def test_bars_that_end_with_a_transaction_are_no_stall(
    kafka: ApacheKafkaBroker, kafka_config: Any, tmp_path: Path
) -> None:
    file = tmp_path / "alphawire.yaml"
    demo = {"demo": strategy(features=["technical.rsi"], prediction="rsi")}
    config = write_config(file, kafka.bootstrap, kafka_config(kafka).prefix, demo, stall_timeout=STALL)
    assert asyncio.run(send(config)) == (0, BARS + 1)
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or signals() >= BARS)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.process.wait(4 * STALL)
        assert worker.stop() == 0


class Part:
    """Of an owner, as the watchdog sees it: how far it is."""

    restored = True

    def __init__(self, place: str) -> None:
        self.place, self.number = place, int(place[-1])
        self.position = self.published = 0


class Log:
    """A consumer that says where each partition ends."""

    def __init__(self, ends: dict[str, int]) -> None:
        self._ends = ends

    def log_end(self, tp: TP) -> int:
        return self._ends[f"{tp.topic}/{tp.partition}"]


def stalls(moves: dict[str, list[int]], stall: float = 0.2, end: int = 1_000_000) -> list[str]:
    """What the watchdog says while partitions move (place: records published at each of its looks), each log ending at
    `end`.
    """
    said, now = list[str](), [0.0]
    parts = {place: Part(place) for place in moves}

    def die(_code: Any, reason: str, **_where: int) -> None:
        said.append(reason)

    bars: Any = BarsOwner(Config(), [], 2, "v", WriterFactory(), die)
    cross_sections: Any = CrossSectionOwner(Config(), [], 2, bars.names, WriterFactory(), die)
    for place, part in parts.items():
        owner = bars if place.startswith("bars") else cross_sections
        owner.partitions[part.number] = part
    app = SimpleNamespace(consumer=Log(dict.fromkeys(moves, end)), cross_sections=cross_sections)

    async def run() -> None:
        watching = asyncio.create_task(watch(app, bars, stall, die, lambda: now[0]))
        for look in range(len(next(iter(moves.values())))):
            for place, published in moves.items():
                parts[place].published = parts[place].position = published[look]
            now[0] += stall / 10
            await asyncio.sleep(stall / 10)
        watching.cancel()

    asyncio.run(run())
    return said


@pytest.mark.parametrize("other", ["bars/1", "predictions/0"])
def test_a_partition_that_waits_its_turn_is_no_stall(other: str) -> None:
    """A slow plugin works on another one; both are far behind."""
    assert not stalls({"bars/0": [0] * 30, other: list(range(30))})


def test_nothing_moves_anywhere() -> None:
    assert "bars/0 stands at 7" in stalls({"bars/0": [7] * 30, "bars/1": [9] * 30})[0]


def test_predictions_that_nobody_gathers_are_a_stall() -> None:
    """While all bars are dealt with, as many as come."""
    said = stalls({"bars/0": [30] * 30, "predictions/1": [7] * 30}, end=30)
    assert said[0].startswith("predictions/1 stands at 7")
    assert not stalls({"bars/0": [30] * 30, "predictions/1": [30] * 30}, end=30)


NEVER = '''
import pandas as pd
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("mydesk.never")
class Never(BaseFeature):
    """Does not return for the third bar."""
    lookback = 3
    outputs = ("rsi",)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        while len(data) == 3 and data["close"].iloc[-1] == 77.0:
            pass
        return pd.DataFrame({"rsi": data["close"]})
'''


def test_a_plugin_that_never_returns_ends_the_worker(tansu: TansuBroker, kafka_config: Any, tmp_path: Path) -> None:
    """The loop stands still, and Faust's other thread would go on heartbeating."""
    plugin, file = tmp_path / "never.py", tmp_path / "alphawire.yaml"
    plugin.write_text(NEVER)
    demo = {"demo": strategy(features=["mydesk.never"])}
    config = write_config(file, tansu.bootstrap, kafka_config(tansu).prefix, demo, stall_timeout=limit(2.0))

    async def bars() -> None:
        await create_topics(config.kafka)
        topic = topic_name(config.kafka, "bars")
        home = partition_of(b"A", config.kafka.partitions, config.kafka.partitioner)
        async with open_producer(config.kafka) as producer:
            for minute in range(6):
                value = bar("A", minute, 77.0 if minute == 4 else 100.0)
                await producer.send_and_wait(topic, json.dumps(value).encode(), b"A", home)

    asyncio.run(bars())
    with WorkerProcess(file, "--plugins", str(plugin)) as worker:
        assert worker.process.wait(timeout=deadline(60)) == Exit.STALLED
    assert "the event loop stands still" in file.with_suffix(".log").read_text()


def test_a_gatherer_that_hangs_ends_the_worker(tansu: TansuBroker, tmp_path: Path) -> None:
    """The bars are dealt with, and their predictions lie there."""
    file, bars = tmp_path / "alphawire.yaml", in_time(100)
    ranked = {"ranked": ranking(sorted(bars["symbol"].unique()))}
    config = write_config(file, tansu.bootstrap, f"{tmp_path.name}.", ranked, stall_timeout=limit(3.0))
    topics_and_bars(config, bars)
    worker = Forked("worker", "-c", str(file), log=tmp_path / "worker.log", mutation="gathering_hangs")
    try:
        assert worker.wait(deadline(60)) == Exit.STALLED
    finally:
        worker.kill()
    assert "predictions/" in (tmp_path / "worker.log").read_text().rstrip().rpartition("\n")[2]
