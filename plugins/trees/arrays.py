"""Trees of a model as flat arrays, and one compiled loop over them: the library's own sums, to the last bit.

A library spends 20 to 200 µs on a single row of 200 trees, most of it on the way in and out. This loop takes a few,
and a row's sum depends on that row alone. What makes it fast is that it never branches on a value: a wrongly predicted
branch costs as much as four levels of a tree. So all that is special (a missing value, a set of categories) is settled
once a row, before the trees: each question that the nodes ask is answered by a number to be compared.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray

IntArray = NDArray[np.int64]

ZERO = float(np.float32(1e-35))
"""LightGBM's `kZeroThreshold`: a value that is no further from 0 counts as 0."""
MISSING_LEFT, ZERO_IS_MISSING, CATEGORICAL = 1, 2, 4
BLOCK = 1024
"""Rows whose answers are held at a time."""


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees of a model.

    Attributes
    ----------
    width
        Columns of a row.
    column, kind, group
        Of each question: the column, `MISSING_LEFT`, `ZERO_IS_MISSING`, `CATEGORICAL` together, and for the last the
        number of its set. Its answer is the value, minus infinity where a missing value goes left and infinity where it
        goes right; for a set minus infinity in it and infinity outside.
    set_first, set_words
        Sets of categories as bits: set i is the words from ``set_first[i]`` to ``set_first[i + 1]``.
    roots, depth
        First node of each tree, in the library's order, and the most steps from there to a leaf.
    ask, threshold, first
        Of each node: its question, and where an answer leads that is not above the threshold; one above it leads to the
        node behind. A leaf leads to itself.
    value
        Of each leaf; its type is that of the sum.
    start
        What the sum of a row begins with.
    cast
        Type that the values of a row are cast to.
    """

    width: int
    column: NDArray[np.uint32]
    kind: NDArray[np.uint8]
    group: NDArray[np.uint32]
    set_first: IntArray
    set_words: NDArray[np.uint32]
    roots: NDArray[np.uint32]
    depth: NDArray[np.uint32]
    ask: NDArray[np.uint32]
    threshold: NDArray[np.floating[Any]]
    first: NDArray[np.uint32]
    value: NDArray[np.floating[Any]]
    start: float
    cast: type[np.floating[Any]]

    def predict(self, rows: FloatArray) -> FloatArray:
        """The sum of leaves for each row, tree after tree; NaN is a missing value.

        Raises `ValueError` when `rows` is no matrix of `width` columns.
        """
        values = as_rows(rows, self.width)
        sums = np.full(len(values), self.start, self.value.dtype)
        answers = np.empty((min(len(values), BLOCK), len(self.column)), self.cast)
        _add_leaves(
            values, self.column, self.kind, self.group, self.set_first, self.set_words, self.roots, self.depth,
            self.ask, self.threshold, self.first, self.value, answers, sums,
        )  # fmt: skip
        return sums.astype(np.float64, copy=False)


def as_rows(rows: FloatArray, width: int) -> FloatArray:
    """`rows` as the compiled loops take them."""
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"rows of shape {rows.shape}; the trees read {width} columns")
    flags = rows.flags
    if rows.dtype == np.float64 and flags.c_contiguous and flags.writeable:  # at one row, `np.require` takes a µs
        return rows
    return np.require(rows, np.float64, ["C", "W"])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _in_set(x: Any, first: Any, last: Any, words: Any) -> Any:
    if not -1.0 < x < 2147483648.0:  # NaN, below 0, or no int32: in no set (-0.5 is cut to 0, as a cast in C does)
        return False
    category = np.int64(x)
    word = first + (category >> 5)
    return word < last and (np.int64(words[word]) >> (category & 31)) & 1 == 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _answer(
    rows: Any, column: Any, kind: Any, group: Any, set_first: Any, set_words: Any, answers: Any
) -> None:  # fmt: skip
    for i in range(len(rows)):
        for question in range(len(column)):
            x = rows[i, column[question]]
            if kind[question] & CATEGORICAL:
                first, last = set_first[group[question]], set_first[group[question] + 1]
                answers[i, question] = -np.inf if _in_set(x, first, last, set_words) else np.inf
            elif x != x or (kind[question] & ZERO_IS_MISSING and abs(x) <= ZERO):
                answers[i, question] = -np.inf if kind[question] & MISSING_LEFT else np.inf
            else:
                answers[i, question] = x


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _four_leaves(
    rows: Any, a: Any, b: Any, c: Any, d: Any, depth: Any, ask: Any, threshold: Any, first: Any
) -> Any:  # fmt: skip
    # each of the four waits for its next node while the others go on
    row_a, row_b, row_c, row_d = rows
    for _ in range(depth):
        a = first[a] + np.uint32(row_a[ask[a]] > threshold[a])
        b = first[b] + np.uint32(row_b[ask[b]] > threshold[b])
        c = first[c] + np.uint32(row_c[ask[c]] > threshold[c])
        d = first[d] + np.uint32(row_d[ask[d]] > threshold[d])
    return a, b, c, d


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _one_row(answers: Any, roots: Any, depth: Any, ask: Any, threshold: Any, first: Any, value: Any, start: Any) -> Any:
    row = (answers, answers, answers, answers)
    total, last = start, len(roots) - 1
    for tree in range(0, len(roots), 4):
        b, c, d = min(tree + 1, last), min(tree + 2, last), min(tree + 3, last)
        steps = max(max(depth[tree], depth[b]), max(depth[c], depth[d]))
        leaves = _four_leaves(row, roots[tree], roots[b], roots[c], roots[d], steps, ask, threshold, first)
        for i in range(min(4, len(roots) - tree)):
            total += value[leaves[i]]
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_leaves(
    rows: Any, column: Any, kind: Any, group: Any, set_first: Any, set_words: Any, roots: Any, depth: Any, ask: Any,
    threshold: Any, first: Any, value: Any, answers: Any, sums: Any,
) -> None:  # fmt: skip
    # Unsigned numbers spare numba's test for an index below 0. A tree stays in the cache for all rows; each row gets
    # its leaves in the order of the trees. Rows go four by four through a tree, what is left over tree by tree.
    for begin in range(0, len(rows), BLOCK):
        count = min(BLOCK, len(rows) - begin)
        _answer(rows[begin : begin + count], column, kind, group, set_first, set_words, answers)
        fours = count - count % 4
        for tree in range(len(roots)):
            root = roots[tree]
            for i in range(0, fours, 4):
                row = (answers[i], answers[i + 1], answers[i + 2], answers[i + 3])
                a, b, c, d = _four_leaves(row, root, root, root, root, depth[tree], ask, threshold, first)
                sums[begin + i] += value[a]
                sums[begin + i + 1] += value[b]
                sums[begin + i + 2] += value[c]
                sums[begin + i + 3] += value[d]
        for i in range(fours, count):
            sums[begin + i] = _one_row(answers[i], roots, depth, ask, threshold, first, value, sums[begin + i])
