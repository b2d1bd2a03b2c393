"""Whether an import finds alphawire's own packages.

``schemas``, ``plugins``, ``streams`` and ``backtest`` are common words: another project's package of such a name,
earlier on Python's path, hides ours. This module needs nothing but the standard library, and the other packages load
it by its path: by its name it could be hidden, too.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable


def hidden_package(folder: str, names: Iterable[str]) -> str | None:
    """One line about the first of `names` that Python imports from elsewhere than `folder`, with the mend; None when
    there is none.
    """
    for name in names:
        place, own = _place(name), os.path.join(folder, name)
        if place is not None and os.path.realpath(place) != os.path.realpath(own):
            return f"another package `{name}` hides alphawire's: Python finds {place}, not {own}; {_mend(place)}"
    return None


def require_own(file: str, *names: str) -> None:
    """For the ``__init__`` of a package, which is `file`: `ImportError` with that line, before it imports `names`."""
    if fault := hidden_package(os.path.dirname(os.path.dirname(os.path.abspath(file))), names):
        raise ImportError(fault)


def _place(name: str) -> str | None:
    """The folder (or the file, where it is no package) that ``import name`` gives; None: nothing is there."""
    module = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if module is None else module.__spec__
    file = spec.origin if spec is not None else getattr(module, "__file__", None)
    if file is not None:
        return os.path.dirname(file) if os.path.basename(file).startswith("__init__.") else file
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return folders[0] if folders else None


def _mend(place: str) -> str:
    folder = os.path.dirname(place)
    listed = os.environ.get("PYTHONPATH")
    if os.path.realpath(folder) == os.getcwd() and (
        listed is None or folder not in map(os.path.abspath, listed.split(os.pathsep))
    ):
        return "start from another folder, run the command `alphawire` or `python -P`, or rename that package"
    return f"take {folder} off Python's path (PYTHONPATH, sys.path), or rename that package"
