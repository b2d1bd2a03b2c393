"""Trees of a model as flat arrays, and one compiled loop over them: the library's own sums, to the last bit.

A library spends 20 to 200 µs on a single row of 200 trees, most of it on the way in and out; this loop takes the same
few microseconds a row in any batch, and a row's sum depends on that row alone.
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


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees of a model, node after node. A child below 0 is the leaf ``~child``.

    The arithmetic is that of the arrays' types: rows are cast to that of `threshold` unless `cast` says otherwise, and
    leaves are added up in that of `value`.

    Attributes
    ----------
    width
        Columns of a row.
    roots
        First node of each tree, in the library's order.
    feature, threshold, children, kind
        Of each node: the column that it asks for, the threshold (or the number of its set of categories), the nodes on
        the right and on the left (``x <= threshold``), and `MISSING_LEFT`, `ZERO_IS_MISSING`, `CATEGORICAL` together.
    value
        Of each leaf.
    set_first, set_words
        Sets of categories as bits: set i is the words from ``set_first[i]`` to ``set_first[i + 1]``.
    start
        What the sum of a row begins with.
    cast
        Type that a row's values are cast to; None: that of `threshold`.
    """

    width: int
    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.floating[Any]]
    children: NDArray[np.int32]
    kind: NDArray[np.uint8]
    value: NDArray[np.floating[Any]]
    set_first: IntArray
    set_words: NDArray[np.uint32]
    start: float = 0.0
    cast: type[np.floating[Any]] | None = None

    def predict(self, rows: FloatArray) -> FloatArray:
        """The sum of leaves for each row, tree after tree; NaN is a missing value.

        Raises `ValueError` when `rows` is no matrix of `width` columns.
        """
        values = as_rows(rows, self.width, self.cast or self.threshold.dtype.type)
        sums = np.full(len(values), self.start, self.value.dtype)
        _add_leaves(
            values, self.roots, self.feature, self.threshold, self.children, self.kind, self.value, self.set_first,
            self.set_words, sums,
        )  # fmt: skip
        return sums.astype(np.float64, copy=False)


def as_rows(rows: FloatArray, width: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """`rows` as the compiled loops take them; a number that is too large for `dtype` is infinite."""
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"rows of shape {rows.shape}; the trees read {width} columns")
    if dtype is np.float64:
        return np.require(rows, np.float64, ["C", "W"])
    with np.errstate(over="ignore"):
        return np.require(rows, dtype, ["C", "W"])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _in_set(x: Any, first: Any, last: Any, words: Any) -> Any:
    if not -1.0 < x < 2147483648.0:  # NaN, below 0, or no int32: in no set (-0.5 is cut to 0, as a cast in C does)
        return False
    category = np.int64(x)
    word = first + (category >> 5)
    return word < last and (np.int64(words[word]) >> (category & 31)) & 1 == 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_leaves(
    rows: Any, roots: Any, feature: Any, threshold: Any, children: Any, kind: Any, value: Any, set_first: Any,
    set_words: Any, sums: Any,
) -> None:  # fmt: skip
    # A tree stays in the cache while all rows go through it; each row still gets its leaves in the order of the trees.
    for tree in range(len(roots)):
        for i in range(len(rows)):
            node = roots[tree]
            while node >= 0:
                x = rows[i, feature[node]]
                if kind[node] & CATEGORICAL:
                    group = np.int64(threshold[node])
                    left = np.int64(_in_set(x, set_first[group], set_first[group + 1], set_words))
                elif x != x or (kind[node] & ZERO_IS_MISSING and abs(x) <= ZERO):
                    left = np.int64(kind[node] & MISSING_LEFT)
                else:
                    left = np.int64(x <= threshold[node])
                node = children[node, left]
            sums[i] += value[~node]


class Builder:
    """Collects trees, with their indices moved to where they come to lie. No index is trusted: the loop checks none."""

    def __init__(self, width: int, dtype: type[np.floating[Any]] = np.float64) -> None:
        self.width = width
        self.nodes = self.leaves = self.sets = self.words = 0
        self.roots: list[int] = []
        types: dict[str, Any] = {
            "feature": np.int32, "threshold": dtype, "kind": np.uint8, "value": dtype, "set_first": np.int64,
            "set_words": np.uint32,
        }  # fmt: skip
        self.parts: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in types.items()}
        self.parts["children"] = [np.empty((0, 2), np.int32)]

    def add_nodes(
        self, feature: NDArray[Any], threshold: NDArray[Any], children: NDArray[Any], kind: NDArray[np.uint8],
        value: NDArray[Any],
    ) -> None:  # fmt: skip
        """One tree whose children are ``(right, left)``, each of a higher number than its parent or ``~leaf``.

        Raises `ValueError` when an index leads out of the tree, or back.
        """
        nodes, leaves = len(feature), len(value)
        parents = np.arange(nodes)[:, None]
        # the numbers only go up, so that every way down comes to an end
        if not leaves or not ((children > parents) & (children < nodes) | (children < 0) & (~children < leaves)).all():
            raise ValueError("a child that is no node")
        if not ((feature >= 0) & (feature < self.width)).all():
            raise ValueError("a split on a column that there is not")
        self.roots.append(self.nodes if nodes else ~self.leaves)
        children = np.where(children >= 0, children + self.nodes, children - self.leaves).astype(np.int32)
        self._append(feature=feature, threshold=threshold, children=children, kind=kind, value=value)
        self.nodes += nodes
        self.leaves += leaves

    def add_linked(
        self, left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], threshold: NDArray[Any],
        missing_left: NDArray[Any], value: NDArray[Any],
    ) -> None:  # fmt: skip
        """One tree whose nodes and leaves are numbered together, from the root 0; a leaf's `left` is -1.

        Nodes that the root does not lead to are left out. Raises `ValueError` when an index leads out of the tree, or
        back.
        """
        order = _reachable(left, right)
        split = left[order] != -1
        names = np.zeros(len(left), np.int64)
        names[order] = np.where(split, np.cumsum(split) - 1, -np.cumsum(~split))
        inner = order[split]
        children = names[np.stack([right[inner], left[inner]], axis=1)]
        kind = np.where(missing_left[inner] != 0, MISSING_LEFT, 0).astype(np.uint8)
        self.add_nodes(feature[inner], threshold[inner], children, kind, value[order[~split]])

    def add_sets(self, first: IntArray, words: NDArray[np.uint32]) -> int:
        """Sets of categories for the next tree; returns the number that its set 0 has among all."""
        self._append(set_first=first[:-1] + self.words, set_words=words)
        self.words += len(words)
        self.sets += len(first) - 1
        return self.sets - len(first) + 1

    def _append(self, **arrays: NDArray[Any]) -> None:
        for name, array in arrays.items():
            self.parts[name].append(array.astype(self.parts[name][0].dtype, copy=False))

    def trees(self, start: float = 0.0, cast: type[np.floating[Any]] | None = None) -> Trees:
        self._append(set_first=np.array([self.words], np.int64))
        joined = {name: np.ascontiguousarray(np.concatenate(parts)) for name, parts in self.parts.items()}
        return Trees(self.width, np.array(self.roots, np.int32), **joined, start=start, cast=cast)


def _reachable(left: NDArray[Any], right: NDArray[Any]) -> IntArray:
    """Numbers of the nodes that the root leads to, level after level, so that a child comes after its parent."""
    seen = np.zeros(len(left), bool)
    levels = [np.zeros(1, np.int64)]
    while len(levels[-1]):
        level = levels[-1]
        if (level < 0).any() or (level >= len(left)).any() or seen[level].any() or len(np.unique(level)) < len(level):
            raise ValueError("a child that is no node")
        seen[level] = True
        parents = level[left[level] != -1]
        levels.append(np.concatenate([left[parents], right[parents]]).astype(np.int64))
    return np.concatenate(levels)
