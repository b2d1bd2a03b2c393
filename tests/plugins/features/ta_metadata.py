"""What TA-Lib says of its functions, as `plugins/features/ta/_functions.py` holds it.

``python -m tests.plugins.features.ta_metadata`` writes that module anew from the installed library.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

import talib
from talib import abstract

MODULE = Path(__file__).parents[3] / "plugins" / "features" / "ta" / "_functions.py"
HEADER = '''"""TA-Lib's functions, written by `tests/plugins/features/ta_metadata.py` from the library's own metadata.

A line each: name, inputs, parameters (kind, default, range), outputs, title. Lines that are indented go on.
"""

VERSION = "{version}"
TEXT = """\\
{lines}
"""
'''


class Parameter(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("title", ctypes.c_char_p),
        ("range", ctypes.c_void_p),
        ("default", ctypes.c_double),
    ]


class Reals(ctypes.Structure):
    _fields_ = [("least", ctypes.c_double), ("most", ctypes.c_double)]


class Integers(ctypes.Structure):
    _fields_ = [("least", ctypes.c_int), ("most", ctypes.c_int)]


REALS, INTEGERS, CHOICES = 0, 2, 3


def text() -> str:
    library = _library()
    lines = "\n".join(_wrapped(_line(library, name)) for name in sorted(talib.get_functions()))
    return HEADER.format(version=talib.__version__, lines=lines)


def _library() -> Any:
    """The library itself: its Python module does not tell the ranges."""
    folder = Path(talib.__file__).parents[1] / "ta_lib.libs"
    return ctypes.CDLL(str(next(folder.glob("libta-lib*"))))


def _line(library: Any, name: str) -> str:
    info = abstract.Function(name).info
    inputs = ", ".join(_inputs(info["input_names"]))
    parameters = ", ".join(_parameters(library, name, info["parameters"]))
    return f"{name} | {inputs} | {parameters} | {', '.join(info['output_names'])} | {info['display_name']}"


def _inputs(names: dict[str, Any]) -> Iterator[str]:
    for name, column in names.items():
        yield from column if isinstance(column, list) else [f"{name}={column}"]


def _parameters(library: Any, name: str, defaults: dict[str, Any]) -> Iterator[str]:
    handle = ctypes.c_void_p()
    library.TA_GetFuncHandle(name.encode(), ctypes.byref(handle))
    for number, (parameter, default) in enumerate(defaults.items()):
        pointer = ctypes.POINTER(Parameter)()
        library.TA_GetOptInputParameterInfo(handle, number, ctypes.byref(pointer))
        told = pointer.contents
        assert told.default == default
        yield f"{parameter} {_range(told)}"


def _range(told: Any) -> str:
    if told.kind == CHOICES:
        return f"average {told.default:g}"
    within = (Integers if told.kind == INTEGERS else Reals).from_address(told.range)
    return f"{'integer' if told.kind == INTEGERS else 'real'} {told.default:g} {within.least:.10g} {within.most:.10g}"


def _wrapped(line: str) -> str:
    return fill(line, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    MODULE.write_text(text())
