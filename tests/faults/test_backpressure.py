"""More than a worker can do, and a broker that does not answer: lag and deadlines, never memory and never a zombie."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.common import generated_bars
from schemas.configuration import Config
from streams.ingest.produce import produce_bars
from tests.faults.bars import BarProducer
from tests.faults.cluster import Cluster
from tests.faults.setting import setting
from tests.faults.supervised import Supervised, size
from tests.faults.watch import Watch
from tests.support.deadlines import deadline, limit
from tests.support.live import strategy, wait_for

pytestmark = pytest.mark.slow

SLOW = '''
import time
from plugins.features import feature_registry
from plugins.base import BaseFeature

@feature_registry.register("test.slow")
class Slow(BaseFeature):
    """Takes a millisecond a bar."""
    lookback = 1

    def compute(self, data):
        time.sleep(0.001)
        return data[["close"]].rename(columns={"close": "slow"})
'''
BURST = 3_000
SLOWLY = strategy(features=["test.slow"], prediction="slow")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, java: None) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=1) as cluster:
        yield cluster


@pytest.fixture
def watch() -> Iterator[list[Watch]]:
    started: list[Watch] = []
    yield started
    for one in started:
        one.stop()


def started(cluster: Cluster, file: Path, *options: str, mutation: str = "unchanged") -> Supervised:
    port = cluster.proxies[0].port
    worker = Supervised(0, file, f"127.0.0.1:{port}", 60.0, mutation, options)
    worker.start()
    wait_for(lambda: worker.tend() or worker.ready)
    return worker


def lag(watch: Watch) -> int:
    return sum(end - watch.markers.get(number, 0) for number, end in watch.ends().items())


def begin(cluster: Cluster, folder: Path, watch: list[Watch], **worker: float) -> tuple[Path, Config]:
    file, config = setting(folder, folder.name.replace("_", "-"), cluster.bootstrap, **worker)
    watch.append(Watch(config))
    watch[0].start()
    return file, config


def test_a_burst_raises_lag_and_not_memory(cluster: Cluster, tmp_path: Path, watch: list[Watch]) -> None:
    """Ten times what the worker can do in the time, at once."""
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    file, config = setting(
        tmp_path,
        tmp_path.name.replace("_", "-"),
        cluster.bootstrap,
        strategies={"slow": SLOWLY},
        pending=500,
        stall_timeout=300.0,
    )
    watch.append(Watch(config))
    watch[0].start()
    worker = started(cluster, file, "--plugins", str(plugin))
    try:
        asyncio.run(produce_bars(config.kafka, generated_bars(100, 10)))
        wait_for(lambda: lag(watch[0]) == 0)
        before, began = size(worker.pid), time.monotonic()
        asyncio.run(produce_bars(config.kafka, generated_bars(100, 10 + BURST // 100).iloc[1000:]))
        took = time.monotonic() - began
        assert lag(watch[0]) > BURST / 2, f"no burst: {took:.1f} s for {BURST} bars"
        sizes = []
        wait_for(lambda: sizes.append(size(worker.pid)) or lag(watch[0]) == 0, 240.0, every=0.5)
        assert time.monotonic() - began > 10 * took
    finally:
        worker.kill()
    assert max(one.resident_mb for one in sizes) < before.resident_mb + 60
    assert max(one.threads for one in sizes) <= before.threads + 8
    assert max(one.descriptors for one in sizes) <= before.descriptors + 8


def test_a_worker_that_gets_no_answers_ends_at_the_deadline(
    cluster: Cluster, tmp_path: Path, watch: list[Watch]
) -> None:
    seconds = limit(4.0)
    file, config = begin(cluster, tmp_path, watch, delivery_timeout=seconds)
    producer = BarProducer(config, 100.0, seed=1)
    producer.start()
    worker = started(cluster, file)
    try:
        wait_for(lambda: watch[0].markers)
        cluster.proxies[0].hold()
        began = time.monotonic()
        assert worker.process is not None
        assert worker.process.wait(deadline(30)) == 10
        assert time.monotonic() - began < deadline(10)
    finally:
        cluster.proxies[0].release()
        worker.kill()
        producer.stop()
    last = worker.log.read_text().rstrip().rpartition("\n")[2]
    assert "the worker ends itself (broker, exit code 10)" in last
    assert f"within {seconds:g} s" in last


def test_a_paused_broker_is_waited_for(cluster: Cluster, tmp_path: Path, watch: list[Watch]) -> None:
    file, config = begin(cluster, tmp_path, watch, delivery_timeout=30.0)
    producer = BarProducer(config, 100.0, seed=2)
    producer.start()
    worker = started(cluster, file)
    pid = worker.pid
    try:
        wait_for(lambda: watch[0].markers)
        cluster.broker.pause()
        try:
            assert_lives(worker, 6.0)
        finally:
            cluster.broker.go_on()
        producer.stop()
        ends = watch[0].ends()
        wait_for(lambda: watch[0].reached(ends), 30.0)
        assert worker.running
        assert worker.pid == pid
    finally:
        producer.stop()
        worker.kill()


def assert_lives(worker: Supervised, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert worker.running
        time.sleep(0.2)


def test_a_worker_without_progress_ends_itself(cluster: Cluster, tmp_path: Path, watch: list[Watch]) -> None:
    """It goes on heartbeating, so the group would never miss it."""
    file, config = begin(cluster, tmp_path, watch, stall_timeout=limit(4.0))
    asyncio.run(produce_bars(config.kafka, generated_bars(20, 5)))
    worker = started(cluster, file, mutation="feed_hangs")
    try:
        assert worker.process is not None
        assert worker.process.wait(deadline(30)) == 11
    finally:
        worker.kill()
    assert "and is behind" in worker.log.read_text().rstrip().rpartition("\n")[2]


def test_a_worker_stopped_meanwhile_goes_on(cluster: Cluster, tmp_path: Path, watch: list[Watch]) -> None:
    """SIGSTOP beyond the stall timeout is nobody's fault: time that it did not live does not count."""
    stall = limit(4.0)
    file, config = begin(cluster, tmp_path, watch, stall_timeout=stall)
    asyncio.run(produce_bars(config.kafka, generated_bars(20, 5)))
    worker = started(cluster, file)
    try:
        wait_for(lambda: watch[0].reached(watch[0].ends()))
        worker.send(signal.SIGSTOP)
        asyncio.run(produce_bars(config.kafka, generated_bars(20, 10).iloc[100:]))
        time.sleep(1.5 * stall)
        worker.send(signal.SIGCONT)
        wait_for(lambda: watch[0].reached(watch[0].ends()), 30.0)
        assert worker.running
    finally:
        worker.kill()
