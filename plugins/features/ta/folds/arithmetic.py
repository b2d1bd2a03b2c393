"""A multiplication and an addition with one rounding, as TA-Lib rounds its averages.

>>> float(fma(0.1, 10.0, -1.0))
5.551115123125783e-17
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np


class FusedMultiplyAdd:
    """``a * b + c``, rounded once. Compiled it is the processor's own; else the C library's, which is the same."""

    def __call__(self, a: float, b: float, c: float) -> float:
        return np.float64(_c_library()(a, b, c))

    def __repr__(self) -> str:
        return "fused multiply and add"


fma: Any = FusedMultiplyAdd()


@cache
def _c_library() -> Any:
    function = ctypes.CDLL(None).fma
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 3
    return function


@cache
def register() -> None:
    """Makes `fma` known to numba, which is imported for it."""
    from numba import types
    from numba.extending import intrinsic, overload

    @intrinsic  # type: ignore[untyped-decorator]
    def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fma(*arguments)

        return types.float64(types.float64, types.float64, types.float64), code

    @overload(fma)
    def compiled(a, b, c):  # type: ignore[no-untyped-def]  # numba wants both to have the same signature
        return lambda a, b, c: fused(a, b, c)
