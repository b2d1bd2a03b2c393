"""Where the points of a sweep run: joblib's backends, and clusters."""

import contextlib
import importlib
import logging
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from typing import Any

import pandas as pd

from backtest.sweep.points import Point, Run, Task
from schemas.errors import AlphawireError, ConfigurationError

logger = logging.getLogger("alphawire.sweep")

BACKENDS = ("loky", "threading", "dask", "ray")
CONNECT_SECONDS = 10
LOOPBACK = "127.0.0.1"
ATTEMPTS = 3
"""How often the points of a process that died are run."""


def run_on(
    backend: str, address: str | None, jobs: int, run: Run, bars: pd.DataFrame, tasks: Iterator[Task]
) -> Iterator[Point]:  # fmt: skip
    """Each point as it is done. A Dask cluster that is gone leaves what it has not done to processes here.

    Raises
    ------
    AlphawireError
        For points with which their workers died each time, when all others are done.
    """
    with workers(backend, address) as client:
        if client is None:
            yield from _by_joblib(jobs, run, bars, tasks)
            return
        from backtest.sweep.dask_cluster import DaskRun, killed

        cluster = DaskRun(client, run, bars, tasks)
        yield from cluster.points()
    rest = chain(cluster.open.values(), tasks)
    if (first := next(rest, None)) is not None:
        logger.warning("the Dask cluster is gone or has no workers; the sweep goes on in processes here")
        with workers("loky", None):
            yield from _by_joblib(jobs, run, bars, chain([first], rest))
    if cluster.killers:
        raise killed(cluster.killers)


def _by_joblib(jobs: int, run: Run, bars: pd.DataFrame, tasks: Iterator[Task]) -> Iterator[Point]:
    """When a process dies, what was with it is run again, a few times."""
    from joblib import Parallel, delayed

    begun: dict[int, Task] = {}

    def calls(again: list[Task]) -> Iterator[Any]:
        for point, strategy, signals in chain(again, tasks):
            begun[point.number] = point, strategy, signals
            yield delayed(run)(point, strategy, point.mine(bars), signals)

    for attempt in range(1, ATTEMPTS + 1):
        try:
            for point in Parallel(n_jobs=jobs, return_as="generator_unordered")(calls(list(begun.values()))):
                del begun[point.number]
                yield point
            return
        except BrokenProcessPool:
            logger.warning("a process of the sweep died; what it did is run again (%d of %d)", attempt, ATTEMPTS)
    raise AlphawireError(
        f"points {', '.join(map(str, sorted(begun)))}: processes that ran them died; give fewer --jobs, perhaps memory"
        " is short. The other points are kept: run again, and it goes on from there"
    )


@contextlib.contextmanager
def workers(backend: str, address: str | None) -> Iterator[Any]:
    """joblib's backend for what runs inside, or the client of a Dask cluster; `address` is that of a Dask or Ray
    cluster, without one it is started here.
    """
    from joblib import parallel_config

    if backend not in BACKENDS:
        raise ConfigurationError(f"there is no backend {backend}; there are: {', '.join(BACKENDS)}")
    if backend == "dask":
        with _dask(address) as client:
            yield client
        return
    with _ray(address) if backend == "ray" else contextlib.nullcontext(), parallel_config(backend=backend):
        yield None


@contextlib.contextmanager
def _dask(address: str | None) -> Iterator[Any]:
    """A client. A cluster that is started here is reached from this machine alone, its dashboard and its workers too:
    whoever reaches a scheduler may run what he likes.
    """
    distributed = _package("distributed", "dask")
    with contextlib.ExitStack() as stack:
        if not address:
            cluster = distributed.LocalCluster(host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0")
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = distributed.Client(address, timeout=CONNECT_SECONDS)
        except OSError as error:
            raise ConfigurationError(f"no Dask scheduler answers at {address}: {error}") from None
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):  # of a scheduler that is gone
                client.close(timeout=CONNECT_SECONDS)


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[None]:
    ray = _package("ray", "ray")
    here = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, logging_level="warning", log_to_driver=False, **here)
    except Exception as error:  # Ray raises bare ones too
        place = f"answers at {address}" if address else "starts here"
        raise ConfigurationError(f"no Ray cluster {place}: {(str(error) or repr(error)).splitlines()[0]}") from None
    try:
        _package("ray.util.joblib", "ray").register_ray()
        yield
    finally:
        ray.shutdown()


def _package(module: str, backend: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise ConfigurationError(f"the backend {backend} needs a package: pip install {name}") from None
