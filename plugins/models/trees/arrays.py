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
Float = type[np.float32] | type[np.float64]

ZERO = float(np.float32(1e-35))
"""LightGBM's `kZeroThreshold`: a value that is no further from 0 counts as 0."""
MISSING_LEFT, ZERO_IS_MISSING, CATEGORICAL = 1, 2, 4
LARGEST: dict[Float, float] = {kind: float(np.finfo(kind).max) for kind in (np.float32, np.float64)}
BLOCK = 1024
"""Rows whose answers are held at a time."""

QUESTION = np.dtype([("column", "u4"), ("set_first", "u4"), ("set_last", "u4"), ("kind", "u4")])
TREE = np.dtype([("root", "u4"), ("depth", "u4"), ("shallow", "u4")])


def node_dtype(threshold: Float) -> np.dtype[np.void]:
    return np.dtype([("threshold", threshold), ("first", "u4"), ("ask", "u4")])


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees of a model, in few arrays: the way of each into the compiled loop costs a tenth of a µs.

    Attributes
    ----------
    width
        Columns of a row.
    questions
        ``column``; ``kind``: `MISSING_LEFT`, `ZERO_IS_MISSING`, `CATEGORICAL` together; and for the last the words of
        its set, from ``set_first`` to ``set_last``. A question's answer is the value (the largest finite number at
        most), minus infinity where a missing value goes left and infinity where it goes right; for a set minus infinity
        in it and infinity outside. It has the type of the thresholds, which a value is cast to.
    set_words
        Sets of categories as bits.
    trees
        ``root`` (its node) and ``depth`` (the most steps from there to a leaf) of each, in the library's order;
        ``shallow`` of the i-th is the number of the i-th shallowest.
    nodes
        ``ask`` (its question), ``threshold``, and ``first``: where an answer leads that is not above the threshold; one
        above it leads to the node behind. A leaf leads to itself.
    value
        Of each leaf; its type is that of the sum.
    start
        What the sum of a row begins with.
    largest
        The largest finite number that an answer can be.
    """

    width: int
    questions: NDArray[np.void]
    set_words: NDArray[np.uint32]
    trees: NDArray[np.void]
    nodes: NDArray[np.void]
    value: NDArray[np.floating[Any]]
    start: float
    largest: float

    def predict(self, rows: FloatArray) -> FloatArray:
        """The sum of leaves for each row, tree after tree; NaN is a missing value.

        Raises `ValueError` when `rows` is no matrix of `width` columns.
        """
        sums: FloatArray = _sums(
            as_rows(rows, self.width), self.questions, self.set_words, self.largest,
            self.trees, self.nodes, self.value, self.start,
        )  # fmt: skip
        return sums


def as_rows(rows: FloatArray, width: int) -> FloatArray:
    """`rows` as the compiled loops take them."""
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"rows of shape {rows.shape}; the trees read {width} columns")
    if rows.dtype == np.float64 and rows.flags.carray:  # at one row, `np.require` takes a µs
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
def _answer(rows: Any, questions: Any, set_words: Any, largest: Any, answers: Any) -> None:
    for i in range(len(rows)):
        for number in range(len(questions)):
            question = questions[number]
            x, kind = rows[i, question.column], question.kind
            if kind & CATEGORICAL:
                inside = _in_set(x, np.int64(question.set_first), np.int64(question.set_last), set_words)
                answers[i, number] = -np.inf if inside else np.inf
            elif x != x or (kind & ZERO_IS_MISSING and abs(x) <= ZERO):
                answers[i, number] = -np.inf if kind & MISSING_LEFT else np.inf
            else:
                answers[i, number] = min(x, largest)  # so that only a missing value is above an infinite threshold


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _eight_leaves(rows: Any, eight: Any, depth: Any, nodes: Any) -> Any:
    # each of the eight waits for its next node while the others go on; unsigned numbers spare numba's test for < 0
    q, r, s, t, u, v, w, x = rows
    a, b, c, d, e, f, g, h = eight
    for _ in range(depth):
        a = nodes[a].first + np.uint32(q[nodes[a].ask] > nodes[a].threshold)
        b = nodes[b].first + np.uint32(r[nodes[b].ask] > nodes[b].threshold)
        c = nodes[c].first + np.uint32(s[nodes[c].ask] > nodes[c].threshold)
        d = nodes[d].first + np.uint32(t[nodes[d].ask] > nodes[d].threshold)
        e = nodes[e].first + np.uint32(u[nodes[e].ask] > nodes[e].threshold)
        f = nodes[f].first + np.uint32(v[nodes[f].ask] > nodes[f].threshold)
        g = nodes[g].first + np.uint32(w[nodes[g].ask] > nodes[g].threshold)
        h = nodes[h].first + np.uint32(x[nodes[h].ask] > nodes[h].threshold)
    return a, b, c, d, e, f, g, h


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _one_row(row: Any, trees: Any, nodes: Any, value: Any, leaves: Any, start: Any) -> Any:
    rows = (row, row, row, row, row, row, row, row)
    count = len(trees)
    for i in range(0, count - count % 8, 8):
        a, b, c, d = trees[i].shallow, trees[i + 1].shallow, trees[i + 2].shallow, trees[i + 3].shallow
        e, f, g, h = trees[i + 4].shallow, trees[i + 5].shallow, trees[i + 6].shallow, trees[i + 7].shallow
        roots = (
            trees[a].root, trees[b].root, trees[c].root, trees[d].root, trees[e].root, trees[f].root, trees[g].root,
            trees[h].root,
        )  # fmt: skip
        sums = _eight_leaves(rows, roots, trees[h].depth, nodes)
        leaves[a], leaves[b], leaves[c], leaves[d] = sums[0], sums[1], sums[2], sums[3]
        leaves[e], leaves[f], leaves[g], leaves[h] = sums[4], sums[5], sums[6], sums[7]
    for i in range(count - count % 8, count):
        tree = trees[i].shallow
        node = trees[tree].root
        for _ in range(trees[tree].depth):
            node = nodes[node].first + np.uint32(row[nodes[node].ask] > nodes[node].threshold)
        leaves[tree] = node
    total = start
    for leaf in leaves:
        total += value[leaf]
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sums(
    rows: Any, questions: Any, set_words: Any, largest: Any, trees: Any, nodes: Any, value: Any, start: Any
) -> Any:  # fmt: skip
    # Rows go eight by eight through a tree, which stays in the cache for all of them; a row that is left over goes
    # through eight trees at a time, like deep ones together. Either way its leaves are added in the order of the trees.
    answers = np.empty((min(len(rows), BLOCK), len(questions)), nodes.threshold.dtype)
    sums = np.full(len(rows), start, value.dtype)
    leaves = np.empty(len(trees), np.uint32)
    for begin in range(0, len(rows), BLOCK):
        count = min(BLOCK, len(rows) - begin)
        _answer(rows[begin : begin + count], questions, set_words, largest, answers)
        for tree in trees if count >= 8 else trees[:0]:
            root = tree.root
            roots = (root, root, root, root, root, root, root, root)
            for i in range(0, count - count % 8, 8):
                eight = (
                    answers[i], answers[i + 1], answers[i + 2], answers[i + 3], answers[i + 4], answers[i + 5],
                    answers[i + 6], answers[i + 7],
                )  # fmt: skip
                reached = _eight_leaves(eight, roots, tree.depth, nodes)
                for place in range(8):
                    sums[begin + i + place] += value[reached[place]]
        for i in range(count - count % 8, count):
            sums[begin + i] = _one_row(answers[i], trees, nodes, value, leaves, sums[begin + i])
    return sums.astype(np.float64)
