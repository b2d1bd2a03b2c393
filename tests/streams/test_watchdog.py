"""The watchdog lets a worker alone that has nothing to do, whatever the log's last offset is."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.config import Config
from streams.brokers import ApacheKafkaBroker, TansuBroker
from streams.clients import offset_range, open_producer
from streams.exits import Exit
from streams.partitioner import partition_of
from streams.topics import create_topics, topic_name
from streams.watchdog import watch
from tests.support.live import SignalCount, WorkerProcess, strategy, wait_for, write_config
from tests.support.memory import bar

BARS = 5
STALL = 1.0


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


class Stub:
    """A worker as the watchdog sees it: where its partitions stand, and that all are behind."""

    class Names:
        bars = "bars"

    class Part:
        def __init__(self) -> None:
            self.position = self.published = 0

    names = Names()

    def __init__(self, count: int) -> None:
        self.partitions = {number: self.Part() for number in range(count)}

    def published(self, number: int) -> int:
        return self.partitions[number].published

    def parts(self, number: int) -> list[Part]:
        return [self.partitions[number]]


class Log:
    """A consumer that says that there is more."""

    @staticmethod
    def log_end(_tp: Any) -> int:
        return 1_000_000


class App:
    consumer = Log()


def stalls(moves: dict[int, list[int]], stall: float = 0.2) -> list[str]:
    """What the watchdog says while partitions move (number: bars published at each of its looks)."""
    worker, said, now = Stub(len(moves)), [], [0.0]

    def die(_code: Any, reason: str, **_where: int) -> None:
        said.append(reason)

    async def run() -> None:
        watching = asyncio.create_task(watch(App(), worker, stall, die, lambda: now[0]))  # type: ignore[arg-type]
        for look in range(len(moves[0])):
            for number, published in moves.items():
                worker.partitions[number].published = worker.partitions[number].position = published[look]
            now[0] += stall / 10
            await asyncio.sleep(stall / 10)
        watching.cancel()

    asyncio.run(run())
    return said


def test_a_partition_that_waits_its_turn_is_no_stall() -> None:
    """A slow plugin works on another one; both are far behind."""
    assert not stalls({0: [0] * 30, 1: list(range(30))})


def test_nothing_moves_anywhere() -> None:
    assert "bars/0 stands at 7" in stalls({0: [7] * 30, 1: [9] * 30})[0]


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
    config = write_config(file, tansu.bootstrap, kafka_config(tansu).prefix, demo, stall_timeout=2.0)

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
        assert worker.process.wait(timeout=60) == Exit.STALLED
    assert "the event loop stands still" in file.with_suffix(".log").read_text()
