"""Where the points of a sweep run: joblib's backends, and the clusters behind two of them."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from schemas.errors import ConfigurationError

BACKENDS = ("loky", "threading", "dask", "ray")
CONNECT_SECONDS = 10


@contextlib.contextmanager
def workers(backend: str, address: str | None) -> Iterator[None]:
    """joblib's backend for what runs inside; `address` is that of a Dask or Ray cluster, without one it is started
    here.
    """
    from joblib import parallel_config

    if backend not in BACKENDS:
        raise ConfigurationError(f"there is no backend {backend}; there are: {', '.join(BACKENDS)}")
    clusters: dict[str, Any] = {"dask": _dask, "ray": _ray}
    cluster = clusters[backend](address) if backend in clusters else contextlib.nullcontext()
    with cluster, parallel_config(backend=backend):
        yield


@contextlib.contextmanager
def _dask(address: str | None) -> Iterator[None]:
    distributed = _package("distributed", "dask")
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS) if address else distributed.Client()
    except OSError as error:
        raise ConfigurationError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        yield


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
