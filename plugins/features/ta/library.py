"""TA-Lib itself, called on arrays."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from plugins.base import FloatArray
from plugins.features.ta.functions import VERSION, Function
from schemas.errors import PluginError

INSTALL = "alphawire[ta]"
RELEASE = VERSION.rpartition(".")[0]


@cache
def _library() -> Any:
    try:
        import talib
    except ImportError as error:
        raise PluginError(
            f"the ta features need TA-Lib, which cannot be imported ({error}); pip install '{INSTALL}'"
        ) from None
    if not talib.__version__.startswith(f"{RELEASE}."):
        raise PluginError(
            f"the ta features are made for TA-Lib {RELEASE}, and here is {talib.__version__}, whose values may be"
            f" others; pip install '{INSTALL}'"
        )
    return talib


def lookback_of(function: Function, params: dict[str, Any]) -> int:
    """Bars before the first value; `PluginError` for parameters that the library refuses together."""
    from importlib import import_module

    _library()
    abstract = import_module("talib.abstract")
    try:
        return int(abstract.Function(function.name, **_numbers(function, params)).lookback)
    except Exception as error:  # the library raises nothing narrower
        raise PluginError(f"ta.{function.name}: TA-Lib refuses these parameters: {error}") from None


def called(function: Function, params: dict[str, Any]) -> Callable[[FloatArray], FloatArray]:
    """The function: of its inputs, shape (inputs, bars), the outputs, shape (outputs, bars)."""
    run, numbers = getattr(_library(), function.name), _numbers(function, params)

    def call(inputs: FloatArray) -> FloatArray:
        returned = run(*inputs, **numbers)
        return np.array(returned if isinstance(returned, tuple) else [returned], np.float64)

    return call


def _numbers(function: Function, params: dict[str, Any]) -> dict[str, Any]:
    return {each.name: params[each.name] for each in function.parameters if each.kind != "column"}


def require_room(key: str, size: int) -> None:
    """`PluginError` where the state of a symbol is larger than a snapshot can be."""
    from plugins.fold.row_ring import LARGEST_RING  # it is numba's, which a listing does not need

    if size > LARGEST_RING:
        raise PluginError(
            f"{key}: its state takes {size:,} bytes a symbol, and a snapshot holds {LARGEST_RING:,}; choose shorter"
            " periods"
        )
