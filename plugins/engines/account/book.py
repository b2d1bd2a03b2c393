"""What the step reads and writes, as arrays that numba knows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.engines.market import FloatArray, IntArray
from plugins.engines.results.frames import Records

SLOT = np.dtype(
    [
        ("lots", "i8"), ("mark", "f8"), ("value", "f8"), ("decided", "i8"), ("weight", "f8"), ("ordered", "i8"),
        ("opening", "i8"),
    ], align=True
)  # fmt: skip
"""One symbol: what is held, its last close and its value at that, and the order that waits: the row that decided it
(-1: none waits), its weight, its lots, and the part of them that opens.
"""
NOT_WAITING = -1


class Rules(NamedTuple):
    """The fields of `execution` that the step needs; `lots` are the shares in a lot, by symbol."""

    commission: float
    slippage: float
    leverage: float
    at_open: bool
    same_close: bool
    lots: FloatArray


class Rows(NamedTuple):
    """Bars by row and the decisions on their closes; `price` is what fills: the open or the close. `number` is what
    a row is called in fills and orders.
    """

    number: IntArray
    first: IntArray
    symbol: IntArray
    price: FloatArray
    close: FloatArray
    tradable: NDArray[np.bool_]
    decided_first: IntArray
    decided_symbol: IntArray
    decided_weight: FloatArray


class Book(NamedTuple):
    """All that changes: `cash` (one element), `totals` (value of all positions, and of the short ones without its
    sign), `slots` by symbol, and what happened since `counts` (rows, fills, cuts) were zero.
    """

    cash: FloatArray
    totals: FloatArray
    slots: Records
    counts: IntArray
    fills: Records
    cuts: Records


class Curve(NamedTuple):
    """After each row: cash, and the value of all positions."""

    cash: FloatArray
    net: FloatArray
