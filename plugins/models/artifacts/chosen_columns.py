"""A model under a strategy that has more columns than it was trained on: the others were NaN in all its rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plugins.base import BaseModel, FloatArray


class ChosenColumns(BaseModel):
    """`model`, which sees only `columns` of those that this is given."""

    def __init__(self, model: BaseModel, columns: Sequence[str]) -> None:
        super().__init__()
        self.params, self.lookback = model.params, model.lookback
        self.key, self.version = model.key, model.version  # type: ignore[misc]
        self.model, self.columns = model, list(columns)
        self._places: tuple[list[str], list[int]] = ([], [])

    @property
    def source_sha256(self) -> str | None:
        return self.model.source_sha256

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        return self.model.predict(X[self.columns])

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        if columns != self._places[0]:
            self._places = columns, [columns.index(name) for name in self.columns]
        return self.model.predict_windows(np.take(windows, self._places[1], axis=2), self.columns)
