"""One model for each symbol, all of one plugin: what `training.per_symbol: true` makes."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from plugins.base import BaseModel, FloatArray
from plugins.models.artifacts.manifest import EVERY_SYMBOL
from schemas.errors import PluginError


class PerSymbolModel(BaseModel):
    """Each symbol's own model under one roof; a symbol without one gets no prediction."""

    def __init__(self, models: Mapping[str, BaseModel]) -> None:
        first = next(iter(models.values()))
        super().__init__()
        self.params = first.params
        self.key, self.version = first.key, first.version  # type: ignore[misc]
        self.lookback = first.lookback
        self.models = dict(models)

    @property
    def source_sha256(self) -> str | None:
        return next(iter(self.models.values())).source_sha256

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        raise PluginError(f"{self.key}: there is one model for each symbol; ask predict_symbols")

    def predict_symbols(self, symbols: Sequence[str], windows: FloatArray, columns: list[str]) -> FloatArray:
        """Each window's prediction by the model of its symbol; NaN where the symbol has none."""
        predictions = np.full(len(windows), np.nan)
        places: dict[str, list[int]] = {}
        for place, symbol in enumerate(symbols):
            places.setdefault(symbol, []).append(place)
        for symbol, rows in places.items():
            if model := self.models.get(symbol):
                predictions[rows] = model.predict_windows(np.ascontiguousarray(windows[rows]), columns)
        return predictions

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        """Each symbol's rows by its own model."""
        symbols = X.index.get_level_values(0)
        predictions = pd.Series(np.nan, X.index, name="prediction")
        for symbol, model in self.models.items():
            rows = np.asarray(symbols == symbol)
            if rows.any():
                predictions[rows] = np.asarray(model.predict(X[rows]), np.float64)
        return predictions


def each_model(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """The models in `model`, by symbol; by `EVERY_SYMBOL` when there is one for all."""
    yield from model.models.items() if isinstance(model, PerSymbolModel) else [(EVERY_SYMBOL, model)]
