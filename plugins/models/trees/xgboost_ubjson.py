"""XGBoost's UBJSON, read to arrays: values and sums of 32 bits, as the library has them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.models.trees.arrays import MISSING_LEFT, Trees
from plugins.models.trees.builder import Builder
from plugins.models.trees.model import names_in
from plugins.models.trees.ubjson import read_ubjson
from schemas.errors import ArtifactError

COLUMNS = "alphawire_columns"
"""The booster's attribute that holds the names of the columns, as JSON."""
OBJECTIVES = (
    "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror", "reg:squaredlogerror",
)  # fmt: skip
"""Those whose prediction is the plain sum of leaves; others transform it."""


def read_xgboost(data: bytes) -> tuple[Trees, list[str]]:
    """The trees of an XGBoost model and the names of its columns.

    The library casts a row to 32 bits, asks ``x < threshold``, and adds the leaves to `base_score`, tree after tree, in
    32 bits: so does `Trees.predict`, with ``x <= t`` for the next number t below the threshold.

    Raises `ArtifactError` for a model whose prediction is not that sum (another objective than `OBJECTIVES`, several
    targets, dart, a linear booster, categorical splits) and for a damaged file.
    """
    with _damaged("its UBJSON"):
        model = read_ubjson(data)
        learner = model["learner"]
        major = int(model["version"][0])
        columns = learner["attributes"].get(COLUMNS)
        names = names_in(columns if isinstance(columns, str) else None, f"the attribute {COLUMNS}")
    if major != 3:
        raise ArtifactError(f"written by version {major} of XGBoost; version 3 is understood")
    with _damaged("the header"):
        width, start = _head(learner)
        trees = learner["gradient_booster"]["model"]["trees"]
        announced = int(learner["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"])
        if len(trees) != announced or not trees:
            raise ValueError(f"{len(trees)} of {announced} trees")
    builder = Builder(width, np.float32)
    for number, tree in enumerate(trees):
        with _damaged(f"tree {number}"):
            _add(builder, tree)
    return builder.trees(start), names


def _head(learner: dict[str, Any]) -> tuple[int, float]:
    """Columns, and what every sum begins with."""
    param = learner["learner_model_param"]
    if (objective := learner["objective"]["name"]) not in OBJECTIVES:
        raise ArtifactError(f"the objective {objective!r} is not served; use one of {', '.join(OBJECTIVES)}")
    if (booster := learner["gradient_booster"]["name"]) != "gbtree":
        raise ArtifactError(f"the booster {booster!r} is not served; use gbtree")
    if int(param["num_target"]) != 1 or int(param["num_class"]) > 1:
        raise ArtifactError("an XGBoost model of several targets; a regression has one")
    start = float(np.float32(param["base_score"].strip("[]")))
    if not np.isfinite(start):
        raise ValueError(f"a base_score of {start}")
    return int(param["num_feature"]), start


def _add(builder: Builder, tree: dict[str, Any]) -> None:
    count = int(tree["tree_param"]["num_nodes"])
    if _array(tree, "split_type", count).any() or len(tree["categories_nodes"]):
        raise ArtifactError("categorical splits of XGBoost are not served; train without enable_categorical")
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        condition = _array(tree, "split_conditions", count).astype(np.float32)
        below = np.nextafter(condition, np.float32(-np.inf))
    builder.add(
        left=_array(tree, "left_children", count),
        right=_array(tree, "right_children", count),
        feature=_array(tree, "split_indices", count),
        threshold=below,
        kind=np.where(_array(tree, "default_left", count) != 0, MISSING_LEFT, 0).astype(np.uint8),
        value=condition,
    )


def _array(tree: dict[str, Any], name: str, count: int) -> NDArray[Any]:
    array = np.asarray(tree[name])
    if array.shape != (count,) or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} of shape {array.shape} for {count} nodes")
    if array.dtype.kind == "f" and name != "split_conditions":
        raise ValueError(f"{name} of numbers that are not whole")
    return array


@contextlib.contextmanager
def _damaged(place: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise ArtifactError(f"the XGBoost model is damaged in {place}: {type(error).__name__} {text}") from None
