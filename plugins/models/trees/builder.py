"""`Trees` from the contents of a library's file. Every index is checked here: the loop over the trees checks none."""

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugins.base.throttle import yield_if_throttled
from plugins.models.trees.arrays import CATEGORICAL, LARGEST, QUESTION, TREE, Float, IntArray, Trees, node_dtype


class Builder:
    """Collects trees, with their indices moved to where they come to lie.

    Parameters
    ----------
    width
        Columns of a row.
    dtype
        Type of leaves, and so of the sum.
    cast
        Type that a row's values are cast to, and so of what they are compared with; None: `dtype`.
    """

    def __init__(
        self,
        width: int,
        dtype: Float = np.float64,
        cast: Float | None = None,
    ) -> None:
        self.width, self.dtype, self.cast = width, dtype, cast or dtype
        self.nodes = self.words = 0
        self.roots: list[int] = []
        self.depths: list[int] = []
        self.set_sizes: list[IntArray] = [np.zeros(1, np.int64)]
        self.parts: dict[str, list[NDArray[Any]]] = {
            name: [] for name in ("feature", "kind", "group", "threshold", "first", "value", "set_words")
        }

    def add(
        self, left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], threshold: NDArray[Any],
        kind: NDArray[np.uint8], value: NDArray[Any],
    ) -> None:  # fmt: skip
        """One tree: nodes and leaves are numbered together, from the root 0.

        A leaf's `left` is -1, and only its `value` counts; a node's `left` is where ``x <= threshold`` leads, and
        `threshold` is the number of a set (`add_sets`) where `kind` has `CATEGORICAL`. Nodes that the root does not
        lead to are left out. Raises `ValueError` when an index leads out of the tree or back, or a threshold is none.
        """
        order, depth = _by_level(left.astype(np.int64), right.astype(np.int64))
        inner = left[order] != -1
        nodes = order[inner]
        if not ((feature[nodes] >= 0) & (feature[nodes] < self.width)).all():
            raise ValueError("a split on a column that there is not")
        if np.isnan(threshold[nodes]).any():
            raise ValueError("a threshold that is no number")
        categorical = (kind[nodes] & CATEGORICAL) != 0
        arrays: dict[str, NDArray[Any]] = {
            "feature": np.where(inner, feature[order], -1),
            "kind": np.where(inner, kind[order], 0),
            "group": np.zeros(len(order), np.int64),
            # LightGBM asks "is there a value?" by an infinite threshold; `Trees` answers a missing one by infinity
            "threshold": np.where(
                inner, _not_above(np.minimum(threshold[order], LARGEST[self.cast]), self.cast), np.inf
            ),
            "first": np.arange(len(order)),
            "value": value[order],
        }
        arrays["group"][np.flatnonzero(inner)[categorical]] = threshold[nodes][categorical]
        arrays["threshold"][np.flatnonzero(inner)[categorical]] = 0.0
        arrays["first"][inner] = 1 + 2 * np.arange(len(nodes))  # levels are in the order of the nodes above
        arrays["first"] += self.nodes
        for name, array in arrays.items():
            self.parts[name].append(array)
        self.roots.append(self.nodes)
        self.depths.append(depth)
        self.nodes += len(order)
        yield_if_throttled()

    def add_sets(self, first: IntArray, words: NDArray[np.uint32]) -> int:
        """Sets of categories: set i is the words from ``first[i]``, which is 0, to ``first[i + 1]``. Returns the number
        that set 0 has among all.
        """
        number = sum(map(len, self.set_sizes)) - 1
        self.set_sizes.append(first[1:] + self.words)
        self.parts["set_words"].append(words)
        self.words += len(words)
        return number

    def trees(self, start: float = 0.0) -> Trees:
        feature, kind, group = (self._joined(name, np.int64) for name in ("feature", "kind", "group"))
        inner = feature >= 0
        questions, asked = np.unique(np.stack([feature, kind, group])[:, inner], axis=1, return_inverse=True)
        sets, asked_sets = np.concatenate(self.set_sizes), questions[2] * (questions[1] & CATEGORICAL != 0)
        nodes = np.zeros(self.nodes, node_dtype(self.cast))
        nodes["ask"][inner] = asked
        nodes["threshold"], nodes["first"] = self._joined("threshold", self.cast), self._joined("first", np.uint32)
        return Trees(
            width=self.width,
            questions=_records(
                QUESTION, questions.shape[1], column=questions[0], kind=questions[1], set_first=sets[asked_sets],
                set_last=sets[np.minimum(asked_sets + 1, len(sets) - 1)],
            ),
            set_words=self._joined("set_words", np.uint32),
            trees=_records(
                TREE, len(self.roots), root=self.roots, depth=self.depths,
                shallow=np.argsort(self.depths, kind="stable"),
            ),
            nodes=nodes,
            value=self._joined("value", self.dtype),
            start=start,
            largest=LARGEST[self.cast],
        )  # fmt: skip

    def _joined(self, name: str, dtype: type[Any]) -> NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *self.parts[name]]).astype(dtype)


def _records(dtype: np.dtype[np.void], count: int, **fields: ArrayLike) -> NDArray[np.void]:
    records = np.zeros(count, dtype)
    for name, values in fields.items():
        records[name] = values
    return records


def _not_above(threshold: NDArray[Any], kind: Float) -> NDArray[Any]:
    """The largest numbers of `kind` that are not above: a value of that kind is above both or neither."""
    with np.errstate(over="ignore"):
        rounded = threshold.astype(kind)
    return np.where(rounded > threshold, np.nextafter(rounded, kind(-np.inf)), rounded)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _by_level(left: IntArray, right: IntArray) -> tuple[IntArray, int]:
    """Numbers of the nodes that the root leads to, level after level, the children of a node beside each other; and how
    many levels there are below the root.
    """
    if len(left) == 0:
        raise ValueError("a tree without a node")
    order, seen = np.zeros(len(left), np.int64), np.zeros(len(left), np.bool_)
    reached, done, depth, level_end = 1, 0, 0, 1
    while done < reached:
        if done == level_end:
            depth, level_end = depth + 1, reached
        parent = order[done]
        done += 1
        if left[parent] == -1:
            continue
        for child in (left[parent], right[parent]):
            if not 0 < child < len(left):
                raise ValueError("a child that is no node")
            if seen[child]:
                raise ValueError("a child that is no node of its own")
            seen[child] = True
            order[reached] = child
            reached += 1
    return order[:reached], depth
