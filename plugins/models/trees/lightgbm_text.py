"""LightGBM's text format, read to arrays."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.models.trees.arrays import CATEGORICAL, MISSING_LEFT, ZERO, ZERO_IS_MISSING, Trees
from plugins.models.trees.builder import Builder
from schemas.errors import ArtifactError

OBJECTIVES = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
"""Those whose prediction is the plain sum of leaves; others transform it."""


def read_lightgbm(text: str) -> Trees:
    """The trees of a LightGBM model in its own text format, whose numbers are exact (17 digits).

    Raises `ArtifactError` for a model whose prediction is not the plain sum of its trees (another objective than
    `OBJECTIVES`, several classes, a random forest's average, linear leaves) and for a damaged text: no index is
    trusted, since the loop checks none.
    """
    head, *blocks = text.split("\nTree=")
    fields = _fields(head)
    _check_head(head, fields)
    with _damaged("the header"):
        width = int(fields["max_feature_idx"]) + 1
        announced = len(fields["tree_sizes"].split())
    if len(blocks) != announced or not blocks or "\nend of trees" not in blocks[-1]:
        raise ArtifactError(f"the LightGBM model is cut short: {len(blocks)} of {announced} trees")
    builder = Builder(width)
    for number, block in enumerate(blocks):
        with _damaged(f"tree {number}"):
            _add(builder, _fields(block))
    return builder.trees()


def _fields(block: str) -> dict[str, str]:
    """``key=value`` lines up to the first empty one."""
    return dict(line.split("=", 1) for line in block.split("\n\n", 1)[0].split("\n") if "=" in line)


def _check_head(head: str, fields: dict[str, str]) -> None:
    if not head.startswith("tree\n"):
        raise ArtifactError("this is no LightGBM model in its text format; `Booster.save_model` writes one")
    if fields.get("version") != "v4":
        raise ArtifactError(f"version {fields.get('version')} of LightGBM's text format; v4 (LightGBM 4) is understood")
    if fields.get("num_class") != "1" or fields.get("num_tree_per_iteration") != "1":
        raise ArtifactError("a LightGBM model of several classes; a regression has one")
    if (objective := fields.get("objective", "none")) not in OBJECTIVES:
        raise ArtifactError(f"the objective {objective!r} is not served; use one of {', '.join(OBJECTIVES)}")
    if "average_output" in head.split("\n"):
        raise ArtifactError("boosting 'rf' averages its trees, which is not served; use gbdt, dart or goss")


@contextlib.contextmanager
def _damaged(place: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, OverflowError, IndexError) as error:
        raise ArtifactError(f"the LightGBM model is damaged in {place}: {type(error).__name__} {error}") from None


def _add(builder: Builder, fields: dict[str, str]) -> None:
    if fields.get("is_linear", "0") != "0":
        raise ArtifactError("linear trees are not served; train without linear_tree")
    leaves, sets = int(fields["num_leaves"]), int(fields["num_cat"])
    nodes = leaves - 1
    value = _numbers(fields, "leaf_value", np.float64, leaves)
    feature = _numbers(fields, "split_feature", np.int32, nodes)
    threshold = _numbers(fields, "threshold", np.float64, nodes)
    decision = _numbers(fields, "decision_type", np.uint8, nodes)
    kind = _kinds(decision, threshold)
    _add_sets(builder, fields, sets, threshold, kind)
    none = np.zeros(leaves)
    builder.add(
        left=_children(fields, "left_child", nodes, leaves),
        right=_children(fields, "right_child", nodes, leaves),
        feature=np.concatenate([feature, none.astype(np.int32)]),
        threshold=np.concatenate([threshold, none]),
        kind=np.concatenate([kind, none.astype(np.uint8)]),
        value=np.concatenate([np.zeros(nodes), value]),
    )


def _children(fields: dict[str, str], side: str, nodes: int, leaves: int) -> NDArray[np.int64]:
    """Leaves, which are ``~child`` in the file, come behind the nodes here."""
    children = _numbers(fields, side, np.int64, nodes)
    if not ((children < nodes) & (~children < leaves)).all():
        raise ValueError("a child that is no node")
    return np.concatenate([np.where(children < 0, nodes + ~children, children), np.full(leaves, -1)])


def _add_sets(
    builder: Builder, fields: dict[str, str], sets: int, threshold: FloatArray, kind: NDArray[np.uint8]
) -> None:
    categorical = (kind & CATEGORICAL) != 0
    first = _numbers(fields, "cat_boundaries", np.int64, sets + 1) if sets else np.zeros(1, np.int64)
    words = _numbers(fields, "cat_threshold", np.uint32, int(first[-1]) if sets else 0)
    chosen = threshold[categorical]
    if first[0] != 0 or (np.diff(first) < 0).any() or not ((chosen >= 0) & (chosen < sets)).all():
        raise ValueError("a set of categories that there is not")
    threshold[categorical] += builder.add_sets(first, words)


def _numbers(fields: dict[str, str], name: str, dtype: Any, count: int) -> NDArray[Any]:
    texts = fields[name].split() if count else []
    if len(texts) != count:
        raise ValueError(f"{len(texts)} of {count} numbers in {name}")
    return np.array([float(t) for t in texts] if dtype is np.float64 else [int(t) for t in texts], dtype)


def _kinds(decision: NDArray[np.uint8], threshold: FloatArray) -> NDArray[np.uint8]:
    """What a node does with a missing value, from LightGBM's bits: 1 categorical, 2 default left, 4 and 8 missing type.

    Changes `threshold` where a number that counts as 0 must go where 0 goes.
    """
    categorical, default_left, missing = decision & 1, (decision >> 1) & 1, (decision >> 2) & 3
    # missing type none: NaN is 0; zero: NaN and 0 are missing; nan: NaN is missing
    numeric = categorical == 0
    missing_left = np.where(missing == 0, threshold >= 0.0, default_left == 1) & numeric
    tiny = numeric & (np.abs(threshold) <= ZERO)
    threshold[tiny] = np.where(threshold[tiny] >= 0.0, ZERO, np.nextafter(-ZERO, -1.0))
    kinds: NDArray[np.uint8] = np.zeros(len(decision), np.uint8)
    kinds[missing_left] |= MISSING_LEFT
    kinds[numeric & (missing == 1)] |= ZERO_IS_MISSING
    kinds[~numeric] |= CATEGORICAL
    return kinds
