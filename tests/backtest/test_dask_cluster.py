"""A sweep on a real Dask cluster of processes, of which some die: the points are those of a sweep in one process."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.sweep import dask_cluster, workers
from backtest.sweep.dask_cluster import DaskRun, killed
from backtest.sweep.grid import parse_grid
from backtest.sweep.points import Point, Task
from backtest.sweep.sweep import sweep
from backtest.sweep.workers import run_on
from schemas.configuration import Config, Strategy
from schemas.errors import AlphawireError
from streams.ingest.bar_files import read_bars
from tests.support.deadlines import deadline

distributed = pytest.importorskip("distributed", reason="not installed: pip install 'alphawire[dask]'")
pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

DAILY = Path(__file__).parents[2] / "examples" / "data" / "equities_daily.parquet"
STRATEGY = Strategy.model_validate(
    {
        "interval": "1d",
        "universe": ["AAPL", "JNJ"],
        "features": [{"statistical.momentum": {"window": 20}}],
        "prediction": "momentum",
        "signal": {"key": "signal.threshold", "buy_threshold": 0.02, "sell_threshold": -0.04},
    }
)
CONFIG = Config(strategies={"trend": STRATEGY})
GRID = parse_grid(["signal.buy_threshold=0.01,0.02,0.03,0.04,0.05", "execution.weight=0.2,0.3,0.4,0.5"])


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame = read_bars(DAILY, "1d")
    return frame[frame["symbol"].isin(["AAPL", "JNJ"])].reset_index(drop=True)


@pytest.fixture(scope="module")
def expected(bars: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("expected") / "out"
    sweep(CONFIG, "trend", bars, GRID, folder, backend="threading", jobs=1)
    return sorted((folder / "points.jsonl").read_bytes().splitlines())


class Cluster:
    """A scheduler and two workers, each a process of its own, and nobody who starts them again."""

    def __init__(self, folder: Path) -> None:
        file = folder / "scheduler.json"
        where = ["--scheduler-file", file]
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *where)
        end = time.monotonic() + deadline(30)
        while not (file.exists() and file.read_text().strip().endswith("}")):
            assert time.monotonic() < end, "the scheduler does not start"
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        self.workers = [self._start("dask_worker", *options, *where) for _ in range(2)]
        with distributed.Client(self.address, timeout=deadline(30)) as client:
            client.wait_for_workers(2, timeout=deadline(60))

    def _start(self, program: str, *arguments: Any) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.{program}", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, processes: "list[subprocess.Popen[bytes]]") -> None:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait(deadline(30))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.kill([process for process in (*made.workers, made.scheduler) if process.poll() is None])


@pytest.mark.slow
@pytest.mark.parametrize("victims", ["a worker", "all workers", "the scheduler"])
def test_the_sweep_goes_on_whatever_dies(
    victims: str,
    cluster: Cluster,
    bars: pd.DataFrame,
    expected: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They die after the third point; each finished point is in the folder by then."""
    monkeypatch.setattr(dask_cluster, "LOOKS", 2)
    processes = {
        "a worker": cluster.workers[:1], "all workers": cluster.workers, "the scheduler": [cluster.scheduler]
    }[victims]  # fmt: skip
    kept: list[int] = []
    count = itertools.count()

    def progress(_: int) -> None:
        kept.append(len((tmp_path / "out" / "points.jsonl").read_bytes().splitlines()) - 1)
        if next(count) == 3:
            cluster.kill(processes)

    options: dict[str, Any] = {"backend": "dask", "address": cluster.address, "jobs": 2}
    done = sweep(CONFIG, "trend", bars, GRID, tmp_path / "out", progress=progress, **options)
    assert sorted((tmp_path / "out" / "points.jsonl").read_bytes().splitlines()) == expected
    assert [point.number for point in done.points] == list(range(20))
    assert kept == list(range(21))
    assert ("goes on in processes here" in caplog.text) == (victims != "a worker")


def tasks(count: int) -> Iterator[Task]:
    return ((Point(number, {}, "hash"), STRATEGY, pd.DataFrame({"symbol": ["A"]})) for number in range(count))


@pytest.mark.slow
def test_a_point_that_kills_its_workers_does_not_keep_the_others_back(tmp_path: Path) -> None:
    import dask

    def run(point: Point, *_: Any) -> Point:
        if point.number == 1:
            os._exit(1)
        return Point(point.number, {}, "hash", returns=np.ones(point.number))

    bars = pd.DataFrame({"symbol": ["A"]})
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        distributed.Client(local) as client,
    ):
        cluster = DaskRun(client, run, bars, tasks(4))
        assert sorted(point.number for point in cluster.points()) == [0, 2, 3]
    assert cluster.killers == [1]
    assert not cluster.open
    assert "points 1: each worker that ran them died" in str(killed(cluster.killers))


def test_a_fault_of_a_point_is_its_own() -> None:
    """Here, since it is the client's own futures that say so."""

    def run(point: Point, *_: Any) -> Point:
        raise AlphawireError(f"point {point.number} cannot be")

    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
        pytest.raises(AlphawireError, match="point 0 cannot be"),
    ):
        list(DaskRun(client, run, pd.DataFrame({"symbol": ["A"]}), tasks(1)).points())


def test_a_process_that_dies_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """joblib's processes: one dies with a point, once."""
    once = tmp_path / "once"

    def run(point: Point, *_: Any) -> Point:
        if point.number == 2 and not once.exists():
            once.write_text("")
            os._exit(1)
        return point

    found = run_on("loky", None, 2, run, pd.DataFrame({"symbol": ["A"]}), tasks(6))
    assert sorted(point.number for point in found) == list(range(6))
    assert "a process of the sweep died" in caplog.text


def test_a_point_that_kills_processes_is_named_and_the_others_are_there() -> None:
    def run(point: Point, *_: Any) -> Point:
        if point.number == 3:
            os._exit(1)
        return point

    found: list[int] = []
    with pytest.raises(AlphawireError, match=r"points .*3.*: processes that ran them died; give fewer --jobs"):
        found.extend(point.number for point in run_on("loky", None, 2, run, pd.DataFrame({"symbol": ["A"]}), tasks(4)))


def listening() -> dict[str, str]:
    """By socket, the local address (hexadecimal, as the kernel has it) at which this process or a child listens."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A":
                sockets[f"socket:[{parts[9]}]"] = parts[1].split(":")[0]
    found = dict[str, str]()
    for process in family(os.getpid()):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found |= {name: sockets[name] for name in [os.readlink(descriptor)] if name in sockets}
    return found


def family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(child) for file in children for child in file.read_text().split()]
    return [process, *(each for child in below for each in family(child))]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_cluster_of_ones_own_is_reached_from_this_machine_alone() -> None:
    """Scheduler, workers, nannies and the dashboard. A scheduler runs what it is sent."""
    before = listening()  # brokers of other tests
    with workers.workers("dask", None) as client:
        client.wait_for_workers(1, timeout=deadline(60))
        found = {address for name, address in listening().items() if name not in before}
    assert len(found) > 0
    assert found <= {"0100007F", "00000000000000000000000001000000"}, "not loopback (127.0.0.1, ::1)"
