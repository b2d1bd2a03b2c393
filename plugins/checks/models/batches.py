"""The proof that a model's predictions depend on the row alone, on rows that it is to be used on."""

import numpy as np

from plugins.base import BaseModel, FloatArray, name_of
from plugins.models.artifacts.selftest import some_windows
from schemas.errors import PluginError

ROWS = 200
"""So many rows are enough to see it: seen, a matrix product differs in more than half of them."""


def prove_batch_invariant(model: BaseModel, rows: FloatArray, columns: list[str]) -> None:
    """Predicts some of `rows` as a worker does: alone, in one batch, and backwards.

    Raises `PluginError` when the model declares `batch_invariant` and a prediction differs in any bit.
    """
    if not model.batch_invariant or len(rows) < model.lookback:
        return
    windows = some_windows(rows, model.lookback, ROWS)
    whole = model.predict_windows(windows, columns)
    alone = np.concatenate([model.predict_windows(windows[i : i + 1], columns) for i in range(len(windows))])
    backwards = model.predict_windows(np.ascontiguousarray(windows[::-1]), columns)[::-1]
    others = (alone, np.ascontiguousarray(backwards))
    differing = max(int((whole.view("i8") != other.view("i8")).sum()) for other in others)
    if differing:
        raise PluginError(
            f"{name_of(model)}: it declares batch_invariant, but {differing} of {len(windows)} predictions have other "
            "bits alone than in a batch; remove the declaration, and a worker predicts row by row"
        )
