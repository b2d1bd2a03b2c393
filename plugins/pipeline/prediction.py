"""What a strategy's model, or the column in its place, makes of feature values."""

from collections.abc import Iterable, Sequence

import numpy as np

from plugins.base import FloatArray, name_of
from plugins.base.plugin_errors import plugin_errors
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.pipeline.strategy_states import IntArray, StrategyStates


def predict(
    run: StrategyStates, values: FloatArray, slots: IntArray, counts: IntArray, wanted: IntArray, symbols: Sequence[str]
) -> FloatArray:
    """Predictions for the rows `wanted`, NaN elsewhere and while the features warm up: a tree would make a number
    even of missing values.
    """
    strategy, model = run.strategy, run.strategy.model
    if model is None:
        return values[:, strategy.columns.index(strategy.prediction or "")]
    predictions = np.full(len(values), np.nan)
    for rows, windows in _windows(run, values, slots, counts, wanted[counts[wanted] > strategy.warmup]):
        with plugin_errors(name_of(model), "predict"):
            if isinstance(model, PerSymbolModel):
                own = [symbols[slot] for slot in slots[rows].tolist()]
                predictions[rows] = model.predict_symbols(own, windows, strategy.columns)
            else:
                predictions[rows] = model.predict_windows(windows, strategy.columns)
    return predictions


def _windows(
    run: StrategyStates, values: FloatArray, slots: IntArray, counts: IntArray, warm: IntArray
) -> Iterable[tuple[IntArray, FloatArray]]:
    """The windows of the rows `warm`; where the model looks back, all of `values` go into their symbols' rings."""
    ring = run.strategy.ring
    if ring is not None:
        return ring.run(run.states[len(run.strategy.features)], slots, counts, values, warm)
    return [(warm, values[warm, np.newaxis])] if len(warm) else []


def explained(run: StrategyStates, reasons: list[str], counts: IntArray, symbols: list[str]) -> list[str]:
    """The generator's `reasons`, and the model's where it said nothing."""
    warmup, model = run.strategy.warmup, run.strategy.model
    if isinstance(model, PerSymbolModel):
        reasons = [
            reason if symbol in model.models else f"there is no model for {symbol}"
            for symbol, reason in zip(symbols, reasons, strict=True)
        ]
    if model is None or int(counts.min()) > warmup:
        return reasons
    return [
        f"warming up: bar {count} of {warmup + 1}" if count <= warmup else reason
        for count, reason in zip(counts.tolist(), reasons, strict=True)
    ]
