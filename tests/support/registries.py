"""Registries as they were before a test."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from plugins.base.loading import discovery


@contextmanager
def untouched_registries() -> Iterator[None]:
    """What is registered or found faulty within is gone afterwards, and so are the modules of files given by path."""
    registries = discovery.registries().values()
    before = [dict(registry._classes) for registry in registries]
    try:
        yield
    finally:
        for registry, classes in zip(registries, before, strict=True):
            registry._classes = classes
        discovery.faults.clear()
        for name in [name for name in sys.modules if name.startswith(discovery.FILES_PACKAGE)]:
            del sys.modules[name]
