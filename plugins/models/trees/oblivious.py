"""Oblivious trees (CatBoost's: one question for a whole level) as arrays, and the compiled loop over them.

A tree of depth n is n questions whose answers are the bits of its leaf's number. A block of rows goes through them
question by question, which the compiler turns into vector instructions; a row's sum depends on that row alone.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.models.trees.arrays import as_rows

BLOCK = 128
"""Rows that go through the trees together: their values and leaves stay in the nearest cache."""


@dataclass(frozen=True, slots=True)
class ObliviousTrees:
    """All trees of a model: ``scale * (sum of one leaf of each) + bias``, in 64 bits.

    Attributes
    ----------
    width
        Columns of a row.
    used, missing_above
        Columns that are asked for, and whether a missing value there is above every border, or below.
    depth
        Questions of each tree, in the library's order.
    asked, border
        Of each question: the place of its column in `used`, and the border; the bit is set for ``value > border``, both
        of 32 bits.
    value
        Of each leaf, ``2 ** depth`` for each tree.
    """

    width: int
    used: NDArray[np.uint32]
    missing_above: NDArray[np.bool_]
    depth: NDArray[np.uint32]
    asked: NDArray[np.uint32]
    border: NDArray[np.float32]
    value: FloatArray
    scale: float
    bias: float

    def predict(self, rows: FloatArray) -> FloatArray:
        """The prediction for each row. Raises `ValueError` when `rows` is no matrix of `width` columns."""
        values = as_rows(rows, self.width)
        sums = np.zeros(len(values))
        columns = np.empty((len(self.used), min(len(values), BLOCK)), np.float32)
        _add_leaves(
            values, self.used, self.missing_above, self.depth, self.asked, self.border, self.value, columns, sums
        )
        return sums * self.scale + self.bias


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_leaves(
    rows: Any, used: Any, missing_above: Any, depth: Any, asked: Any, border: Any, value: Any, columns: Any, sums: Any
) -> None:
    leaves = np.empty(BLOCK, np.uint32)
    for begin in range(0, len(rows), BLOCK):
        count = min(BLOCK, len(rows) - begin)
        for place in range(len(used)):
            for i in range(count):
                x = rows[begin + i, used[place]]
                columns[place, i] = np.inf if missing_above[place] and x != x else x  # NaN is above nothing
        question = leaf = 0
        for tree in range(len(depth)):
            leaves[:count] = 0
            for level in range(depth[tree]):
                values, limit, bit = columns[asked[question]], border[question], np.uint32(1 << level)
                for i in range(count):
                    leaves[i] |= bit if values[i] > limit else np.uint32(0)
                question += 1
            for i in range(count):
                sums[begin + i] += value[leaf + leaves[i]]
            leaf += 1 << depth[tree]
