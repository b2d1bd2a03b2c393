"""The health pages of real workers, on both brokers: what they say before, during and after what they tell of."""

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1
from faust.assignor.partition_assignor import PartitionAssignor

from schemas.configuration import Config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics
from streams.owners.bars_owner import BarsOwner
from streams.service.health import unready
from tests.support.deadlines import deadline, limit
from tests.support.live import WorkerProcess, minute_bars, topics_and_bars, wait_for, write_config
from tests.support.memory import WriterFactory, bar, fetched


def page(config: Config, path: str, patience: float = 5.0) -> tuple[int, Any]:
    """Status and JSON; 0 when nobody answers in time."""
    url = f"http://127.0.0.1:{config.worker.http_port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=deadline(patience)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def is_ready(config: Config, worker: WorkerProcess) -> bool:
    assert worker.process.poll() is None
    return page(config, "/health/ready")[0] == 200


def prepared(folder: Path, broker: Broker, name: str, count: int, **worker: Any) -> tuple[Path, Config]:
    file = folder / f"{name}.yaml"
    config = write_config(file, broker.bootstrap, f"{name}.", http=True, http_port=free_port(), **worker)
    topics_and_bars(config, minute_bars(count))
    return file, config


def test_ready_once_all_is_published(tmp_path: Path, broker: Broker) -> None:
    file, config = prepared(tmp_path, broker, f"health-{broker.kind}", 2_000, ready_lag=0)
    seen = []
    with WorkerProcess(file) as worker:

        def done() -> bool:
            seen.append(page(config, "/health/ready"))
            return seen[-1][0] == 200 or worker.process.poll() is not None

        wait_for(done, 120, every=0.01)
        assert page(config, "/health/live") == (200, {"live": True})
        partitions = page(config, "/status")[1]["partitions"]
        assert worker.stop() == 0
    assert seen[-1] == (200, {"ready": True, "failed": {}})
    assert sum(at["published"] for at in partitions.values()) == 2_000, file.with_suffix(".log").read_text()
    assert {at["lag"] for at in partitions.values()} == {0}
    failed = [set(answer["failed"]) for code, answer in seen if code == 503]
    assert failed
    assert failed[0] == {"assigned"}
    assert all(answer["ready"] is False for code, answer in seen if code == 503)


def test_not_ready_while_behind(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """A worker that stands still while bars come, and then has to catch up with them; every look sees what is true."""
    file, config = prepared(tmp_path, kafka, "health-lag", 100, ready_lag=50, chunk=1)
    with WorkerProcess(file) as worker:
        wait_for(lambda: is_ready(config, worker), 120)
        worker.process.send_signal(signal.SIGSTOP)
        asyncio.run(produce_bars(config.kafka, minute_bars(6_100).iloc[100:]))
        worker.process.send_signal(signal.SIGCONT)
        _, answer = wait_for(lambda: (seen := page(config, "/health/ready"))[0] == 503 and seen, 30, every=0.005)
        # of one answer: a second one comes later, when the worker may have caught up
        behind = re.search(r"([\d,]+) bars behind; worker.ready_lag is 50", answer["failed"]["lag"])
        assert behind is not None
        assert int(behind[1].replace(",", "")) > 50
        wait_for(lambda: is_ready(config, worker), 120)
        assert worker.stop() == 0


def test_a_spare_worker_is_ready(tmp_path: Path, tansu: TansuBroker) -> None:
    """Two partitions, three workers."""
    file, config = prepared(tmp_path, tansu, "health-spare", 10)
    others = [(port := free_port(), WorkerProcess(file, "--http-port", str(port))) for _ in range(2)]
    ports = [config.worker.http_port, *(port for port, _ in others)]
    configs = [
        config.model_copy(update={"worker": config.worker.model_copy(update={"http_port": port})}) for port in ports
    ]
    with WorkerProcess(file), others[0][1], others[1][1]:

        def owned() -> bool:
            pages = [page(each, "/status") for each in configs]
            return sorted(len(answer["partitions"]) if code == 200 else 9 for code, answer in pages) == [0, 1, 1]

        wait_for(owned, 120)
        wait_for(lambda: [page(each, "/health/ready")[0] for each in configs] == [200, 200, 200], 30)


async def send_in_transactions(config: Config, count: int) -> None:
    """Bars whose producer uses transactions: the last record of each partition is a mark that nobody is given."""
    kafka = config.kafka
    async with open_producer(kafka, transactional_id=f"{kafka.prefix}feed") as producer, producer.transaction():
        for record in fetched([bar(f"S{i % 5}", i // 5, 100.0) for i in range(count)]):
            home = partition_of(record.key, kafka.partitions, kafka.partitioner)
            await producer.send(f"{kafka.prefix}bars", record.value, record.key, home)


def test_the_marks_of_transactions_at_the_end_are_no_lag(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """Nor a stall: a worker that has read all lives on, however long nothing comes."""
    file, stall = tmp_path / "marks.yaml", limit(2.0)
    config = write_config(
        file, kafka.bootstrap, "health-marks.", http=True, http_port=free_port(), ready_lag=0, stall_timeout=stall
    )
    asyncio.run(create_topics(config.kafka))
    with WorkerProcess(file) as worker:
        wait_for(lambda: is_ready(config, worker), 120)
        asyncio.run(send_in_transactions(config, 50))
        wait_for(lambda: (status := page(config, "/status")[1]) and status["counts"]["bars"] == 50, 30)
        wait_for(lambda: is_ready(config, worker), 10)
        with pytest.raises(Exception, match="timed out"):
            worker.process.wait(3 * stall)
        assert worker.stop() == 0


def cluster(**topics: int) -> ClusterMetadata:
    """What a client knows of a cluster of one broker with these topics, each with its number of partitions."""
    known = ClusterMetadata()
    parts = [(0, name, False, [(0, i, 1, [1], [1]) for i in range(count)]) for name, count in topics.items()]
    known.update_metadata(MetadataResponse_v1([(1, "localhost", 9092, None)], 1, parts))
    return known


def test_a_worker_without_partitions_is_no_spare_while_they_are_nobodys() -> None:
    """Two partitions, one worker, by Faust's own assignor: its client knew nothing of the topic, one partition of it,
    and both. Nor is it one while the group is on the way to give out anew what it has.
    """
    assignor = PartitionAssignor(faust.App("health-nobody", broker="memory://"))
    owner = BarsOwner(Config(), [], 2, "v", WriterFactory(), lambda _code, _reason, /, **_where: None)
    app = SimpleNamespace(consumer=None, cross_sections=None, assignor=assignor)
    said = [unready(app, owner)]
    for topics in ({}, {"bars": 1}, {"bars": 2}):
        given = assignor.assign(cluster(**topics), {"one": assignor.metadata({"bars"})})["one"]
        assignor.on_assignment(given)
        owner.generation = 1
        said.append(unready(app, owner))
    assert said == [
        {"assigned": "the group has not given out its partitions yet"},
        {"assigned": "the group gave bars/0, 1 to no worker, its leader did not know of them yet"},
        {"assigned": "the group gave bars/1 to no worker, its leader did not know of them yet"},
        {"restored": "bars/0, 1: the state is being restored"},
    ]


def test_a_worker_that_stands_still_is_not_live(tmp_path: Path, tansu: TansuBroker) -> None:
    file, config = prepared(tmp_path, tansu, "health-live", 10)
    with WorkerProcess(file) as worker:
        wait_for(lambda: is_ready(config, worker), 120)
        os.kill(worker.process.pid, signal.SIGSTOP)
        assert page(config, "/health/live", 0.5) == (0, None)
        os.kill(worker.process.pid, signal.SIGCONT)
        wait_for(lambda: page(config, "/health/live")[0] == 200, 30)
