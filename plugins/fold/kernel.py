"""A feature's step, compiled: many symbols' bars in one call, in order, record by record.

The step is known to numba as a plain function, so the compiled loop finds itself in numba's cache on disk at the next
start. The loop's name carries a hash of everything that it depends on; each variant thus has cache files of its own,
and processes that compile different ones at once cannot mistake each other's (numba numbers the files of one name
without a lock).
"""

import hashlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from plugins.base.bars import BAR, COLUMNS
from schemas.errors import PluginError

Step = Callable[[Any, Any, Any, Any], None]
Kernel = Callable[[Any, Any, Any, Any, Any, Any], None]
OPTIONS = {"error_model": "numpy"}
"""Division by zero gives what IEEE and numpy say, not an exception in the middle of a batch. Never fastmath: it
reorders sums.
"""


@cache
def compile_kernel(
    step: Step,
    reads: tuple[str, ...],
    state: "np.dtype[Any]",
    params: "np.dtype[Any]",
    out: "np.dtype[Any]",
    bar: "np.dtype[Any]" = BAR,
) -> Kernel:
    """``kernel(states, slots, bars, params, outs, values)``: `step` over each bar in order; a bar with NaN in a column
    of `reads` is passed over. `values` is the memory of `outs` as numbers, shape (bars, fields): a field that `step`
    does not set is NaN, and so is what is not finite.

    Raises `PluginError` when numba cannot compile the step.
    """
    import numba

    register_functions(step)
    types = numba.typeof
    signature = numba.void(
        types(np.empty(0, state)),
        types(np.empty(0, np.int64)).copy(readonly=True),
        types(np.empty(0, bar)).copy(readonly=True),
        types(np.empty(0, params)).copy(readonly=True),
        types(np.empty(0, out)),
        types(np.empty((0, 1))),
    )
    variant = hashlib.sha256(
        repr((fingerprint(step), reads, state.descr, params.descr, out.descr, bar.descr)).encode()
    ).hexdigest()[:16]
    loop = _loop(step, *(name in reads for name in COLUMNS))
    loop.__qualname__ = f"{re.sub(r'[^A-Za-z0-9_.]', '', step.__qualname__)}_{variant}"
    try:
        return _jit(loop, signature)
    except Exception as error:  # for a wrong field numba raises a KeyError
        raise PluginError(
            f"{step.__qualname__} cannot be compiled: {_reason(error)}; use numbers, `math` and named fields only"
        ) from error


def _loop(step: Step, opens: bool, highs: bool, lows: bool, closes: bool, volumes: bool) -> Any:
    isnan, isinf, nan = math.isnan, math.isinf, math.nan

    def loop(states: Any, slots: Any, bars: Any, params: Any, outs: Any, values: Any) -> None:
        for i in range(len(slots)):
            bar = bars[i]
            for column in range(values.shape[1]):
                values[i, column] = nan
            if (
                (opens and isnan(bar.open))
                or (highs and isnan(bar.high))
                or (lows and isnan(bar.low))
                or (closes and isnan(bar.close))
                or (volumes and isnan(bar.volume))
            ):
                continue
            step(states[slots[i]], bar, params[0], outs[i])
            for column in range(values.shape[1]):
                if isinf(values[i, column]):
                    values[i, column] = nan

    return loop


def _jit(loop: Any, signature: Any) -> Kernel:
    import numba

    try:
        compiled: Kernel = numba.njit(signature, cache=True, **OPTIONS)(loop)
    except (OSError, EOFError, UnpicklingError, RuntimeError):
        # No folder for the cache can be written, the disk is full, or a file there is damaged: done without it.
        compiled = numba.njit(signature, **OPTIONS)(loop)
    return compiled


def compile_function(function: Callable[..., None], *arguments: Any) -> Any:
    """`function`, compiled for arguments like these, from numba's cache on disk if it is there.

    It is cached under a name of its own for each state of the sources that it depends on (see above).
    """
    kinds = function, tuple(map(_kind, arguments))
    if kinds not in _known:
        import numba

        _known[kinds] = _compiled(function, tuple(map(numba.typeof, arguments)))
    return _known[kinds]


_known: dict[Any, Any] = {}


def _kind(argument: Any) -> Any:
    """What `numba.typeof` goes by, in a hundredth of its time."""
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        return argument.dtype, argument.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    if isinstance(argument, tuple):
        return type(argument), tuple(map(_kind, argument))
    return type(argument)


@cache
def _compiled(function: Any, types: tuple[Any, ...]) -> Any:
    import numba

    register_functions(function)
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)
    copy.__qualname__ = cached_name(function)
    return _jit(copy, numba.void(*types))


@cache
def cached_name(function: Callable[..., None]) -> str:
    """Name of a compiled function in numba's cache."""
    return f"{function.__name__}_{fingerprint(function)[:16]}"


def is_cached(function: Callable[..., None]) -> bool:
    """Whether numba's cache on disk has `function` as its sources are now, for this Python."""
    from numba.core.caching import FunctionCache

    tag = f"py{sys.version_info.major}{sys.version_info.minor}"  # as numba names its files: each Python has its own
    try:
        folder = Path(FunctionCache(function).cache_path)
        return any(cached_name(function) in path.name for path in folder.glob(f"*.{tag}*.nbc"))
    except (OSError, RuntimeError):
        return False


def register_functions(function: Any) -> None:
    """Makes `function` and the plain functions that it calls known to numba as they are."""
    from numba.extending import register_jitable

    for called in _functions(function):
        _register_once(called, register_jitable)


@cache
def _register_once(function: Any, register_jitable: Callable[..., Any]) -> None:
    register_jitable(**OPTIONS)(function)


def _references(function: Any) -> Iterator[tuple[str, Any]]:
    """Names outside of itself that a function uses, with their values."""
    names = inspect.getclosurevars(function)
    yield from sorted({**names.globals, **names.nonlocals}.items())


def _functions(step: Any) -> list[FunctionType]:
    """`step` and the plain functions that it calls by name, those that they call, and so on."""
    functions: list[FunctionType] = []
    waiting = [step]
    while waiting:
        function = waiting.pop()
        if function in functions:
            continue
        functions.append(function)
        waiting += [value for _, value in _references(function) if isinstance(value, FunctionType)]
    return functions


def fingerprint(step: Any) -> str:
    """Hash of the source files of `step` and of what it uses, and of the constants among that: an edited plugin is
    compiled anew.
    """
    parts: list[bytes] = []
    for function in _functions(step):
        parts.append(_source(function))
        for name, value in _references(function):
            compiled = getattr(value, "py_func", None)
            if compiled is not None or isinstance(value, ModuleType):
                parts.append(_source(compiled or value))
            elif not isinstance(value, FunctionType):
                parts.append(f"{name}={value!r}".encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _source(subject: Any) -> bytes:
    """Source file of a function, class or module; else its code."""
    try:
        return Path(inspect.getsourcefile(subject) or "").read_bytes()
    except (OSError, TypeError):
        code = getattr(subject, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)).encode() if code else repr(subject).encode()


def _reason(error: Exception) -> str:
    """What numba's long report says is wrong, and where."""
    if isinstance(error, KeyError):
        return f"there is no field {error} in state, bar, params or out"
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).rpartition("specific error:")[2]
    lines = [line.strip().removeprefix("TypingError: ") for line in text.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(("Failed in", "During", ">>>"))]
    place = re.search(r'File "(.*?)", line (\d+)', text)
    return " ".join(reasons[:1]).rstrip(".:") + (
        f" ({place[1]}:{place[2]})" if place and "kernel.py" not in place[1] else ""
    )
