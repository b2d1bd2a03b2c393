"""What the model in force makes of feature values."""

from collections.abc import Iterable, Sequence

import numpy as np

from plugins.base import BaseModel, FloatArray, name_of
from plugins.base.plugin_errors import plugin_errors
from plugins.base.streaming import IntArray, forget_infinite
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.pipeline.accepted_bars import FeatureRows
from plugins.strategy.ready import ReadyStrategy

Windows = Iterable[tuple[IntArray, FloatArray]]
"""Row numbers, and the window of each: shape (rows, lookback, columns), the oldest row first."""


def single_rows(features: FeatureRows, rows: IntArray) -> Windows:
    """The windows of a model that looks at one row."""
    return [(rows, features.values_at(rows)[:, np.newaxis])] if len(rows) else []


def predict(model: BaseModel, columns: list[str], features: FeatureRows, windows: Windows) -> FloatArray:
    """Predictions of the rows that have a window.

    Parameters
    ----------
    columns
        Names of the feature columns, in the order of `features.values`.
    windows
        Of warm rows only: a tree would make a number even of missing values.

    Returns
    -------
    FloatArray
        Shape (bars,); NaN for rows without a window, and where the model gives what is not finite.

    Raises
    ------
    PluginError
        The model fails.
    """
    predictions = np.empty(len(features))
    predictions.fill(np.nan)
    for rows, values in windows:
        symbols = features.accepted.names_at(rows) if isinstance(model, PerSymbolModel) else ()
        predictions[rows] = ask(model, symbols, values, columns)
    return predictions


def ask(model: BaseModel, symbols: Sequence[str], windows: FloatArray, columns: list[str]) -> FloatArray:
    """A prediction for each window, NaN where it is not finite. `symbols`: of each, where each has its own model.

    Raises
    ------
    PluginError
        The model fails.
    """
    predictions = np.empty(len(windows))
    with plugin_errors(name_of(model), "predict"):
        if isinstance(model, PerSymbolModel):
            predictions[:] = model.predict_symbols(symbols, windows, columns)
        else:
            predictions[:] = model.predict_windows(windows, columns)
    forget_infinite(predictions)
    return predictions


def explain(strategy: ReadyStrategy, reasons: list[str], features: FeatureRows) -> list[str]:
    """The generator's `reasons`; the model's own where it made no prediction."""
    warmup, model = strategy.warmup, strategy.model
    if isinstance(model, PerSymbolModel):
        reasons = [
            reason if symbol in model.models else f"there is no model for {symbol}"
            for symbol, reason in zip(features.accepted.names, reasons, strict=True)
        ]
    if (model is None and not strategy.section) or features.least.number > warmup:
        return reasons
    return [
        f"warming up: bar {count} of {warmup + 1}" if count <= warmup else reason
        for count, reason in zip(features.counts.tolist(), reasons, strict=True)
    ]
