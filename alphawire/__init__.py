"""The command line, the demo, and the Python API: ``import alphawire as aw; aw.load("alphawire.yaml")``."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alphawire.api import LoadedStrategy, Strategies, load

__all__ = ["LoadedStrategy", "Strategies", "load"]

try:
    __version__ = version("alphawire")
except PackageNotFoundError:  # run from a bare source tree
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """The API is imported when it is asked for: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alphawire import api

    return getattr(api, name)
