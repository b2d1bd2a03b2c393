"""The watchdog lets a worker alone that has nothing to do, whatever the log's last offset is."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.config import Config
from streams.brokers import ApacheKafkaBroker
from streams.clients import offset_range, open_producer
from streams.topics import create_topics, topic_name
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
