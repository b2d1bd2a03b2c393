"""A mutant takes the place of a module's functions in a process that has imported everything.

What differs must lie within functions: a change of a module's own statements (constants, defaults, class bodies) needs
a process that imports the mutant, see `importing`.
"""

import gc
import sys
from collections.abc import Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher

from tests.mutation.mutants import Mutant
from tests.mutation.targets import ROOT


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


class Functions:
    """All functions of some files that this process holds; found once, before it forks."""

    def __init__(self, files: set[str]) -> None:
        gc.unfreeze()  # else it does not list them
        gc.collect()
        held = gc.get_objects()
        self._functions: dict[tuple[str, str], list[FunctionType]] = {}
        for function in held:
            if isinstance(function, FunctionType) and function.__code__.co_filename in files:
                code = function.__code__
                self._functions.setdefault((code.co_filename, code.co_qualname), []).append(function)
        self._compiled = [dispatcher for dispatcher in held if isinstance(dispatcher, Dispatcher)]
        gc.freeze()

    def holds(self, file: str, names: Iterable[str]) -> bool:
        return all((file, name) in self._functions for name in names)

    def swap(self, mutant: Mutant, codes: dict[str, CodeType]) -> None:
        """Gives the functions their new code, wherever they are held; what is compiled of them is compiled anew."""
        for name, code in codes.items():
            for function in self._functions[str(mutant.module), name]:
                function.__code__ = code
        for dispatcher in self._holding(set(codes.values())):
            dispatcher._cache = NullCache()

    def _holding(self, codes: set[CodeType]) -> list[Any]:
        """The dispatchers whose compiled code has one of these within it: their own, or that of what they call."""
        holding = [dispatcher for dispatcher in self._compiled if dispatcher.py_func.__code__ in codes]
        for called in holding:  # grows
            holding += [caller for caller in self._compiled if caller not in holding and _calls(caller, called)]
        return holding


def _calls(caller: Any, called: Any) -> bool:
    function = caller.py_func
    return any(function.__globals__.get(name) is called for name in function.__code__.co_names)


def without_stored_code() -> None:
    """numba stores what it compiles by a function's own instructions; constants of its module, and what it calls, are
    in the compiled code too.
    """
    Dispatcher.enable_caching = lambda self: None


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


def importing(path: Path, source: str) -> None:
    """From now on the module of the file `path`, not imported yet, comes from `source`."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    sys.meta_path.insert(0, Importing(name, path, source))


def forget_all(folder: Path) -> None:
    """The next import of any module below the folder runs it anew."""
    below = [name for name, module in sys.modules.items() if _is_below(module, folder)]
    for name in below:
        del sys.modules[name]


def _is_below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(file).is_relative_to(folder) and "site-packages" not in file
