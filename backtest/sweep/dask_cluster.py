"""A sweep on a Dask cluster, whatever dies of it.

Each point is a future of its own. What it needs is in the future's own arguments, which the scheduler keeps, or comes
of another future like that: what a dead worker had or did is made again by another. (joblib's backend puts arguments
above 1 kB on workers alone, and they are lost with them: https://github.com/dask/distributed/issues/3149.)
"""

import contextlib
import pickle
import zlib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pandas as pd
from distributed import wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from backtest.sweep.points import Point, Run, Task
from schemas.errors import AlphawireError, ConfigurationError

AT_ONCE = 16
"""Points on the cluster at a time, if it has no more threads: the signals of so many are held."""
LOOK_SECONDS = 1.0
LOOKS = 30
"""Looks at a cluster without workers before it is given up."""
GONE = (CommClosedError, CancelledError, OSError, RuntimeError)
"""What the client raises when there is no scheduler any more."""


class DaskRun:
    """The points of `tasks`, as they are done. What is in `open` and `tasks` when they end was not: the cluster is
    gone. `killers`: the numbers of points with which workers died though nothing else ran.
    """

    def __init__(self, client: Any, run: Run, bars: pd.DataFrame, tasks: Iterator[Task]) -> None:
        self.client = client
        self.open: dict[int, Task] = {}
        self.killers: list[int] = []
        self._run = run
        self._bars = packed(bars)
        self._tasks = tasks
        self._futures: dict[int, Any] = {}
        self._suspects: list[int] = []
        self._alone = -1
        self._data: Any = None
        self._limit = AT_ONCE
        self._without_workers = 0
        self._gone = False

    def points(self) -> Iterator[Point]:
        while self._alive() and self._fill():
            with self._asking(), contextlib.suppress(TimeoutError, CancelledError):  # a future's status says more
                wait(  # type: ignore[no-untyped-call]
                    list(self._futures.values()), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED"
                )
            for number in [number for number, future in self._futures.items() if future.status != "pending"]:
                if not self._gone and (point := self._taken(number)) is not None:
                    yield point

    def _alive(self) -> bool:
        threads: dict[str, int] = {}
        with self._asking():
            threads = self.client.nthreads()
        self._limit = max(AT_ONCE, 2 * sum(threads.values()))
        self._without_workers = 0 if threads else self._without_workers + 1
        return not self._gone and self.client.status == "running" and self._without_workers < LOOKS

    def _fill(self) -> bool:
        """Hands in tasks up to the limit, and then those with which workers died; is there any to wait for?"""
        while not self._gone and len(self._futures) < self._limit and (task := next(self._tasks, None)) is not None:
            self.open[task[0].number] = task
            self._hand_in(task[0].number)
        if self._suspects and not self._futures:
            self._alone = self._suspects.pop()
            self._hand_in(self._alone)
        return bool(self._futures)

    def _hand_in(self, number: int) -> None:
        point, strategy, signals = self.open[number]
        with self._asking():
            if self._data is None or self._data.status not in ("pending", "finished"):
                self._data = self.client.submit(unpacked, self._bars, pure=False)
            arguments = (self._run, point, strategy, self._data, packed(signals))
            self._futures[number] = self.client.submit(on_a_worker, *arguments, pure=False)

    def _taken(self, number: int) -> Point | None:
        """The point of a future that is no longer pending; None: it is handed in again, or given up."""
        future = self._futures.pop(number)
        if future.status == "error":
            self._failed(number, future.exception())
        elif future.status == "finished":
            with self._asking():
                point: Point = future.result()
                del self.open[number]
                return point
        else:  # cancelled, lost
            self._hand_in(number)
        return None

    def _failed(self, number: int, error: BaseException) -> None:
        if isinstance(error, ImportError):
            raise ConfigurationError(
                f"the cluster's workers lack a package: {error}; install alphawire there, in this version"
            ) from None
        if not isinstance(error, KilledWorker):
            raise error
        if number != self._alone:  # another point may have been the one, on the same worker
            self._suspects.append(number)
            return
        self.killers.append(number)
        del self.open[number]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Around what is asked of the scheduler: where it does not answer, the cluster is gone."""
        try:
            yield
        except GONE:
            self._gone = True


def killed(numbers: list[int]) -> AlphawireError:
    return AlphawireError(
        f"points {', '.join(map(str, sorted(numbers)))}: each worker that ran them died; do they need more memory than"
        " it has? The other points are kept: run again, and it goes on from there"
    )


def packed(value: Any) -> bytes:
    """For a worker of this sweep's cluster, which runs what it is sent in any case; nothing else is ever unpacked."""
    return zlib.compress(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL), 1)


def unpacked(data: bytes) -> Any:
    return pickle.loads(zlib.decompress(data))


def on_a_worker(run: Run, point: Point, strategy: Any, bars: pd.DataFrame, signals: bytes) -> Point:
    return run(point, strategy, point.mine(bars), unpacked(signals))
