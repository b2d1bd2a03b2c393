"""A mutant takes the place of a module's functions in a process that has imported everything.

What differs must lie within functions: a change of a module's own statements (constants, defaults, class bodies) needs
a process that imports the mutant, see `importing`.
"""

import gc
import sys
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher

from tests.mutation.mutants import Mutant


def functions_that_differ(mutant: Mutant) -> dict[str, CodeType] | None:
    """Qualified name of each function of the module that differs, and its new code; None if more differs."""
    old = compile(mutant.module.read_text(), str(mutant.module), "exec")
    new = compile(mutant.source, str(mutant.module), "exec")
    return _differing(old, new)


def _differing(old: CodeType, new: CodeType) -> dict[str, CodeType] | None:
    if _shell(old) != _shell(new):
        return None
    found: dict[str, CodeType] = {}
    for before, after in zip(_inner(old), _inner(new), strict=True):
        if before == after:
            continue
        if not _is_function(before):
            within = _differing(before, after)
            if within is None:
                return None
            found |= within
        elif before.co_freevars != after.co_freevars:
            return None
        else:
            found[before.co_qualname] = after
    return found


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _shell(code: CodeType) -> tuple[Any, ...]:
    """What a body does, apart from the functions and classes within it."""
    constants = [None if isinstance(constant, CodeType) else repr(constant) for constant in code.co_consts]
    return code.co_code, tuple(constants), code.co_names, code.co_varnames, code.co_freevars


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x02)  # CO_NEWLOCALS: of functions, not of class bodies


def swap(mutant: Mutant, codes: dict[str, CodeType]) -> None:
    """Gives the functions their new code, wherever they are held; what is compiled of them is compiled anew."""
    found = set()
    for function in [held for held in gc.get_objects() if isinstance(held, FunctionType)]:
        code = function.__code__
        if code.co_filename == str(mutant.module) and code.co_qualname in codes:
            function.__code__ = codes[code.co_qualname]
            found.add(code.co_qualname)
    if found != set(codes):
        raise LookupError(f"no such function is held: {set(codes) - found}")
    dispatchers = [held for held in gc.get_objects() if isinstance(held, Dispatcher)]
    if any(held.py_func.__code__ in codes.values() for held in dispatchers):
        for held in dispatchers:  # a caller's compiled code has this function's within it
            held._cache = NullCache()


class Importing(MetaPathFinder, Loader):
    """Imports one module as mutated; all others as they are."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return ModuleSpec(fullname, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(compile(self._source, str(self._path), "exec"), module.__dict__)


def importing(name: str, path: Path, source: str) -> None:
    """From now on the module `name`, not imported yet, comes from `source`."""
    sys.meta_path.insert(0, Importing(name, path, source))


