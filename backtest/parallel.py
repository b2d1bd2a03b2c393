"""joblib's backends: what several processes, or a cluster, do at once."""

import contextlib
import importlib
from collections.abc import Iterator

from schemas.errors import ConfigurationError

BACKENDS = ("loky", "threading", "dask", "ray")


@contextlib.contextmanager
def workers(backend: str, address: str | None) -> Iterator[None]:
    """joblib's backend for what runs inside."""
    from joblib import parallel_config

    if backend not in BACKENDS:
        raise ConfigurationError(f"there is no backend {backend}; there are: {', '.join(BACKENDS)}")
    if backend not in ("dask", "ray"):
        with parallel_config(backend=backend):
            yield
        return
    with _cluster(backend, address), parallel_config(backend=backend):
        yield


@contextlib.contextmanager
def _cluster(backend: str, address: str | None) -> Iterator[None]:
    """A connection to the cluster; without an address Dask starts one here."""
    try:
        if backend == "dask":
            distributed = importlib.import_module("distributed")
            with distributed.Client(address, timeout=10) if address else distributed.Client():
                yield
            return
        ray = importlib.import_module("ray")
        register = importlib.import_module("ray.util.joblib").register_ray
    except ImportError:
        name = {"dask": "distributed", "ray": "ray"}[backend]
        raise ConfigurationError(f"the backend {backend} needs a package: pip install {name}") from None
    except OSError as error:
        raise ConfigurationError(f"no Dask scheduler answers at {address}: {error}") from None
    ray.init(address=address)
    register()
    yield
