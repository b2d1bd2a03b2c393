"""Each exit code by its real cause, told by a real worker's log, whose every line is JSON."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from schemas.configuration import Config
from streams.consuming.transport import TP, Chunk
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.clients import open_producer
from streams.process.exits import Exit, cause, no_silent_end, of_crash
from tests.support.deadlines import deadline, limit
from tests.support.live import (
    ROOT,
    Producer,
    SignalCount,
    WorkerProcess,
    minute_bars,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)
from tests.support.memory import Log, bar, fetched, live, ready

FAULTY = '''
from pathlib import Path

from plugins.features import BaseFeature, feature_registry


@feature_registry.register("mine.faulty")
class Faulty(BaseFeature):
    """Fails from a moment on that the test chooses."""

    lookback = 3

    def compute(self, data):
        if Path(__file__).with_name("fail").exists():
            raise ZeroDivisionError("by zero")
        return data[["close"]].rename(columns={"close": "faulty"})
'''


def entries(log: Path) -> list[dict[str, Any]]:
    """Every line of what the worker wrote is one JSON object."""
    found = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in found)
    return found


def last_words(log: Path) -> dict[str, Any]:
    return [entry for entry in entries(log) if entry["level"] == "critical"][-1]


@contextlib.contextmanager
def working(file: Path, config: Config, *options: str) -> Iterator[WorkerProcess]:
    """A worker that has published what there is."""
    signals = SignalCount(config)
    with WorkerProcess(file, "--log-format", "json", *options) as worker:
        wait_for(lambda: signals() > 0 or worker.process.poll() is not None, 120)
        assert worker.process.poll() is None, file.with_suffix(".log").read_text()
        yield worker


@contextlib.contextmanager
def stopped(broker: Broker) -> Iterator[None]:
    """The broker stands still, as on a machine that swaps."""
    assert broker.pid
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.fixture
def own() -> Iterator[TansuBroker]:
    """A broker that a test may ill-treat."""
    with TansuBroker() as broker:
        yield broker


def prepared(folder: Path, broker: Broker, **worker: Any) -> tuple[Path, Config]:
    file = folder / "worker.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name[-20:]}.".replace("_", "-"), **worker)
    topics_and_bars(config, minute_bars(300))
    return file, config


def test_a_plugin_that_fails_on_a_bar(tmp_path: Path, tansu: TansuBroker) -> None:
    (tmp_path / "mine.py").write_text(FAULTY)
    file, prefix = tmp_path / "a.yaml", "exit-plugin."
    config = write_config(file, tansu.bootstrap, prefix, {"demo": strategy(features=["technical.rsi", "mine.faulty"])})
    topics_and_bars(config, minute_bars(0))
    with WorkerProcess(file, "--log-format", "json", "--plugins", str(tmp_path / "mine.py")) as worker:
        wait_for(worker.ready)
        (tmp_path / "fail").touch()
        asyncio.run(produce_bars(config.kafka, minute_bars(300)))
        assert worker.process.wait(deadline(120)) == Exit.PLUGIN
    words = last_words(tmp_path / "a.log")
    assert "mine.faulty" in words["message"]
    assert (words["exit_code"], words["partition"] in (0, 1), words["offset"]) == (Exit.PLUGIN, True, 0)


GIVES_UP = """
from pathlib import Path
from aiokafka.consumer.group_coordinator import GroupCoordinator

real = GroupCoordinator.ensure_coordinator_known

async def ensure_coordinator_known(self):
    assert Path(__file__).with_name("known").exists(), "Did we not perform bootstrap?"
    await real(self)

GroupCoordinator.ensure_coordinator_known = ensure_coordinator_known
"""
"""As seen in aiokafka when the broker that answers has just started and knows of no broker, itself included."""


def test_a_client_that_gives_its_group_up(tmp_path: Path, tansu: TansuBroker) -> None:
    (tmp_path / "gives_up.py").write_text(GIVES_UP)
    file, _ = prepared(tmp_path, tansu)
    with WorkerProcess(file, "--log-format", "json", "--plugins", str(tmp_path / "gives_up.py")) as worker:
        assert worker.process.wait(deadline(60)) == Exit.BROKER
    assert "Did we not perform bootstrap?" in last_words(file.with_suffix(".log"))["message"]


def test_a_broker_that_is_gone(tmp_path: Path, own: TansuBroker) -> None:
    """While bars come: a worker that has nothing to write asks for no acknowledgement."""
    seconds = limit(2.0)
    file, config = prepared(tmp_path, own, delivery_timeout=seconds, snapshot_interval=0.5)
    with working(file, config) as worker:
        before, signals = SignalCount(config)(), SignalCount(config)
        Producer(config, minute_bars(20_000).iloc[300:], 200.0).start()
        wait_for(lambda: signals() > before)
        with stopped(own):
            assert worker.process.wait(deadline(60)) == Exit.BROKER
    words = last_words(file.with_suffix(".log"))
    assert f"no acknowledgement within {seconds:g} s" in words["message"]
    assert words["partition"] in (0, 1)


def test_no_progress(tmp_path: Path, own: TansuBroker) -> None:
    file, config = prepared(tmp_path, own, delivery_timeout=600.0, stall_timeout=limit(2.0))
    with working(file, config) as worker:
        asyncio.run(produce_bars(config.kafka, minute_bars(20_000).iloc[300:]))
        with stopped(own):
            assert worker.process.wait(deadline(60)) == Exit.STALLED
    assert last_words(file.with_suffix(".log"))["exit_code"] == Exit.STALLED


def test_a_stop_that_takes_too_long(tmp_path: Path, own: TansuBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAWIRE_FAILPOINTS", "in_revoke=1:delay=3")
    file, config = prepared(tmp_path, own, stop_timeout=1.0)
    with working(file, config) as worker:
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(deadline(60)) == Exit.STOP_TIMEOUT
    last = json.loads(file.with_suffix(".log").read_text().splitlines()[-1])
    assert "longer than 1 s" in last["message"]


def test_a_worker_that_has_stopped_is_gone() -> None:
    """Though a thread of it, as Faust's fetching one does, still waits for a broker that does not answer."""
    code = "threading.Thread(target=time.sleep, args=(86_400,)).start(); leave()"
    program = f"import threading, time; from streams.service.service import leave; {code}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=deadline(20), check=False)
    assert done.returncode == Exit.DONE


def test_a_former_owner_is_fenced(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """Another producer of its transactional id, as the next owner has one."""
    file, config = prepared(tmp_path, kafka)

    async def take_over() -> None:
        for partition in range(config.kafka.partitions):
            identity = f"alphawire-{config.kafka.prefix}bars-{partition}"
            async with open_producer(config.kafka, transactional_id=identity):
                pass
        await produce_bars(config.kafka, minute_bars(600).iloc[300:])

    with working(file, config) as worker:
        asyncio.run(take_over())
        assert worker.process.wait(deadline(60)) == Exit.FENCED
    assert last_words(file.with_suffix(".log"))["partition"] in (0, 1)


def test_wrong_configuration_is_a_line_of_json_too(tmp_path: Path, tansu: TansuBroker) -> None:
    file = tmp_path / "a.yaml"
    write_config(file, tansu.bootstrap, "no-topics.", log_format="json")
    with WorkerProcess(file) as worker:
        assert worker.process.wait(deadline(60)) == Exit.CONFIGURATION
    (said,) = entries(tmp_path / "a.log")[-1:]
    assert (said["level"], said["exit_code"]) == ("critical", 2)
    assert "no-topics.bars" in said["message"]


def test_what_nobody_foresaw() -> None:
    """A gap in what is fed: bars would be lost."""
    told: list[Any] = []

    async def run() -> None:
        bars = fetched([bar("A", minute, 100.0) for minute in range(10)])
        worker = await live(Log(), bars, [ready("one")], random.Random(1), stops_at=0)
        part = worker.partitions.get(0)
        assert part is None  # it was stopped
        await _feed_a_gap(worker, bars, told)

    asyncio.run(run())
    ((code, where),) = told
    assert (code, where) == (Exit.FAILED, {"partition": 0, "offset": 5})


async def _feed_a_gap(worker: Any, bars: Any, told: list[Any]) -> None:
    worker.die = lambda code, _reason, /, **where: told.append((code, where))
    await worker.take_over([0], 1)
    await worker.feed(Chunk(TP("bars", 0), 1, 5, 10, list(bars[5:])))


def test_a_cancellation_from_inside_ends_the_process_and_one_from_outside_the_task() -> None:
    told: list[Exit] = []

    async def guarded(inner: Any) -> None:
        with no_silent_end(lambda code, _reason, /, **_where: told.append(code), "writing"):
            await inner

    async def run() -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        task = asyncio.create_task(guarded(inner))
        await asyncio.sleep(0)
        inner.cancel()
        await task
        assert told == [Exit.FAILED]
        task = asyncio.create_task(guarded(asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == [Exit.FAILED]

    asyncio.run(run())


def test_a_fence_is_found_behind_another_error() -> None:
    wrapped = KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = ProducerFenced()
    assert (cause(wrapped), cause(KafkaError("other")), cause(ProducerFenced())) == (
        Exit.FENCED,
        Exit.BROKER,
        Exit.FENCED,
    )


def test_a_broker_that_dies_while_the_app_starts_is_no_fault_of_ours() -> None:
    faults = KafkaConnectionError("Unable to bootstrap"), ProducerFenced(), ZeroDivisionError(), None
    assert [of_crash(fault) for fault in faults] == [Exit.BROKER, Exit.FENCED, Exit.FAILED, Exit.FAILED]
