"""A partition added to the topic of bars: no symbol is split silently."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import NewPartitions

from schemas.configuration import Config
from schemas.errors import ConfigurationError
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_admin
from streams.kafka.topics import list_topics, require_topics, topic_name
from tests.faults.setting import PARTITIONS, setting
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, wait_for

pytestmark = pytest.mark.slow
MEND = f"set kafka.partitions: {PARTITIONS + 1}, run `alphawire topics create`"


def add_partition(config: Config, topic: str = "bars") -> None:
    async def run() -> None:
        async with open_admin(config.kafka) as admin:
            await admin.create_partitions({topic_name(config.kafka, topic): NewPartitions(PARTITIONS + 1)})

    asyncio.run(run())
    name = topic_name(config.kafka, topic)
    wait_for(lambda: asyncio.run(list_topics(config.kafka))[name] == PARTITIONS + 1)


def test_a_running_worker_ends_and_says_the_mend(tmp_path: Path, kafka: Broker) -> None:
    file, config = setting(tmp_path, tmp_path.name.replace("_", "-"), kafka.bootstrap)
    with WorkerProcess(file) as worker:
        wait_for(worker.ready)
        add_partition(config)
        assert worker.process.wait(deadline(30)) == 2
    said = file.with_suffix(".log").read_text()
    assert MEND in said
    assert "Traceback" not in said
    with WorkerProcess(file) as worker:
        assert worker.process.wait(deadline(30)) == 2, "and it does not start again"


@pytest.mark.parametrize("topic", ["bars", "signals"])
def test_whichever_topic_it_is_the_mend_is_the_same(topic: str, tmp_path: Path, kafka: Broker) -> None:
    _, config = setting(tmp_path, tmp_path.name.replace("_", "-"), kafka.bootstrap)
    asyncio.run(require_topics(config.kafka))
    add_partition(config, topic)
    grown = config.kafka.model_copy(update={"partitions": PARTITIONS + 1})
    for settings in (config.kafka, grown):
        with pytest.raises(ConfigurationError, match=r"choose another kafka\.prefix, set kafka\.partitions"):
            asyncio.run(require_topics(settings))
