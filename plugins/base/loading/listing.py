"""The listing: what every registered plugin is, where it comes from, and whether it can be used here."""

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from plugins.base import Plugin
from plugins.base.loading.discovery import FILES_PACKAGE, registries
from plugins.base.loading.source import source_sha256
from schemas.canonical import file_sha256
from schemas.wire import PluginEntry

DISTRIBUTION = "alphawire"


def entries() -> list[PluginEntry]:
    """One entry for each registered plugin, by category (features, models, signals, engines) and key.

    `available` tells whether the libraries that it names in `packages` are installed; none is imported to find out.
    """
    return list(each_entry())


def each_entry() -> Iterator[PluginEntry]:
    """The same one by one: sources are read for them, which takes a while. Not in a thread beside others that do it:
    Python 3.11 counts the depth of all syntax trees in one place, and raises `SystemError` (seen).
    """
    for category, registry in registries().items():
        for cls in registry.classes():
            yield _entry(category, cls)


def how_to_install(cls: type[Plugin]) -> str | None:
    """The command that installs what a plugin's `packages` lack here; None when nothing is missing."""
    missing = {install for package, install in cls.packages.items() if not _installed(package)}
    return f"pip install {' '.join(map(repr, sorted(missing)))}" if missing else None


def _entry(category: str, cls: type[Plugin]) -> PluginEntry:
    install = how_to_install(cls)
    distribution, distribution_version = _origin(cls.__module__)
    outputs, requires = getattr(cls, "outputs", None), getattr(cls, "requires", None)
    labels: dict[str, dict[int, str]] = getattr(cls, "labels", {})
    return PluginEntry(
        category=category,
        key=cls.key,
        version=cls.version,
        source_sha256=source_sha256(cls.__module__),
        distribution=distribution,
        distribution_version=distribution_version,
        module=cls.__module__,
        summary=(inspect.cleandoc(cls.__doc__ or "") or "no description").splitlines()[0].replace("`", ""),
        available=install is None,
        install=install,
        outputs=list(outputs) if isinstance(outputs, tuple) else None,
        requires=list(requires) if isinstance(requires, tuple) and requires else None,
        labels={column: {str(number): text for number, text in names.items()} for column, names in labels.items()}
        or None,
        parameters=cls.Params.model_json_schema() if cls.Params is not None else None,
        cost=cls.cost,
    )


def _installed(package: str) -> bool:
    try:
        return find_spec(package.partition(".")[0]) is not None
    except ValueError:  # it is imported, but was not found the usual way
        return True


def _origin(module: str) -> tuple[str, str]:
    """The distribution that a module comes from and its version; for a file given by path ``file`` and the start of
    its SHA-256.
    """
    top = module.partition(".")[0]
    if top.startswith(FILES_PACKAGE):
        return "file", file_sha256(Path(sys.modules[module].__file__ or ""))[:12]
    name = DISTRIBUTION if top == "plugins" else next(iter(_distributions().get(top, [])), "unknown")
    try:
        return name, version(name)
    except PackageNotFoundError:
        return name, "0+unknown"


@cache
def _distributions() -> dict[str, Any]:
    return dict(packages_distributions())
