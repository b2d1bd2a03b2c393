"""CatBoost's own format (cbm, a FlatBuffer), read to arrays."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.models.trees.flatbuffers import Table
from plugins.models.trees.model import names_in
from plugins.models.trees.oblivious import ObliviousTrees
from schemas.errors import ArtifactError

COLUMNS = "alphawire_columns"
"""The key of the model's metadata that holds the names of the columns, as JSON."""
LOSSES = ("RMSE", "MAE", "MAPE", "Quantile", "Huber", "Expectile", "Lq", "LogCosh")
"""Those whose prediction is the plain sum of leaves; others transform it, or predict several numbers."""
MAX_DEPTH = 16
MAGIC = b"CBM1"
# numbers of the fields in catboost/libs/model/flatbuffers/{model,features}.fbs
VERSION, TREES, INFO, PARTS = range(4)
DIMENSION, SPLITS, SIZES = range(3)
FLOAT_FEATURES, LEAF_VALUES, SCALE, BIAS, MULTI_BIAS = 5, 8, 14, 15, 16
FLAT_INDEX, BORDERS, MISSING = 2, 3, 5
NOT_SERVED = {
    4: "categorical features", 6: "categorical features", 7: "categorical features", 12: "text features",
    13: "estimated features", 10: "trees that are not symmetric (grow_policy)",
}  # fmt: skip
BELOW, ABOVE = (0, 1), 2
"""Values of `MISSING`: a missing value is above no border (as it is; nan_mode Min), or above all (Max)."""


def read_catboost(data: bytes) -> tuple[ObliviousTrees, list[str]]:
    """The trees of a CatBoost model and the names of its columns.

    Raises `ArtifactError` for a model whose prediction is not the plain sum of symmetric trees over numbers (`LOSSES`,
    `NOT_SERVED`) and for a damaged file: no index is trusted, since the loop checks none.
    """
    size = int.from_bytes(data[4:8], "little")
    if data[:4] != MAGIC:
        raise ArtifactError("this is no CatBoost model in its own format (cbm)")
    if len(data) < 8 + size:
        raise ArtifactError(f"the CatBoost model is cut short: {len(data)} of {8 + size} bytes")
    with _damaged():
        model = Table.root(data[8 : 8 + size])
        info = {entry.text(0): entry.text(1) for entry in model.tables(INFO)}
        names = names_in(info.get(COLUMNS), f"the metadata {COLUMNS}")
        if model.text(VERSION) != "FlabuffersModel_v1":
            raise ArtifactError(f"CatBoost's format {model.text(VERSION)!r} is not known; FlabuffersModel_v1 is")
        _check_loss(info)
        trees = _trees(model.table(TREES))
        if model.length(PARTS) or len(data) > 8 + size:
            raise ArtifactError("parts of a CatBoost model beside its trees are not served")
        return trees, names


def _check_loss(info: dict[str, str]) -> None:
    loss = json.loads(info["params"])["loss_function"]["type"]
    if loss not in LOSSES:
        raise ArtifactError(f"the loss {loss!r} is not served; use one of {', '.join(LOSSES)}")


def _trees(table: Table) -> ObliviousTrees:
    for field, what in NOT_SERVED.items():
        if table.length(field):
            raise ArtifactError(f"CatBoost's {what} are not served")
    if table.number(DIMENSION, "<i4", 0) != 1:
        raise ArtifactError("a CatBoost model of several dimensions; a regression has one")
    features = table.tables(FLOAT_FEATURES)
    column, border, above = _questions(features)
    depth, splits, value = (
        table.array(field, kind) for field, kind in ((SIZES, "<i4"), (SPLITS, "<i4"), (LEAF_VALUES, "<f8"))
    )
    if not len(depth) or not ((depth >= 0) & (depth <= MAX_DEPTH)).all():
        raise ValueError(f"no trees, or of a depth that is not 0 to {MAX_DEPTH}")
    if len(splits) != depth.sum() or len(value) != np.left_shift(1, depth.astype(np.int64)).sum():
        raise ValueError("as many splits and leaves as the trees' depths ask for there are not")
    if not ((splits >= 0) & (splits < len(border))).all():
        raise ValueError("a split that there is not")
    used, asked = np.unique(column[splits], return_inverse=True)
    scale, bias = _scale_and_bias(table)
    return ObliviousTrees(
        len(features), used.astype(np.uint32), above[used], depth.astype(np.uint32), asked.astype(np.uint32),
        border[splits], value, scale, bias,
    )  # fmt: skip


def _questions(features: list[Table]) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Column and border of each split that a tree may name, and of each column whether a missing value is above all."""
    columns = np.array([feature.number(FLAT_INDEX, "<i4", -1) for feature in features], np.int64)
    missing = np.array([feature.number(MISSING, "<i1", 0) for feature in features], np.int64)
    borders = [feature.array(BORDERS, "<f4") for feature in features]
    if not np.array_equal(columns, np.arange(len(features))):
        raise ValueError("columns that are not numbered one after the other")
    if not np.isin(missing, [*BELOW, ABOVE]).all() or any(np.isnan(border).any() for border in borders):
        raise ValueError("a border that is no number, or an unknown treatment of missing values")
    joined = np.concatenate([np.empty(0, np.float32), *borders])
    return np.repeat(columns, [len(border) for border in borders]), joined, missing == ABOVE


def _scale_and_bias(table: Table) -> tuple[float, float]:
    several = table.array(MULTI_BIAS, "<f8")
    if len(several) > 1:
        raise ValueError(f"{len(several)} biases")
    scale = table.number(SCALE, "<f8", 1.0)
    bias = float(several[0]) if len(several) else table.number(BIAS, "<f8", 0.0)
    if not np.isfinite([scale, bias]).all():
        raise ValueError("a scale or bias that is no number")
    return scale, bias


@contextlib.contextmanager
def _damaged() -> Iterator[None]:
    known: tuple[Any, ...] = (KeyError, ValueError, TypeError, IndexError, OverflowError, RecursionError)
    try:
        yield
    except known as error:
        text = " ".join(str(error).split())
        raise ArtifactError(f"the CatBoost model is damaged: {type(error).__name__} {text}") from None
