"""Models that see a symbol's last rows."""

import numpy as np
import pandas as pd

from plugins.base import BaseModel, FloatArray, name_of
from plugins.base.streaming import slots_of
from schemas.errors import PluginError


class SequenceModel(BaseModel):
    """A model whose prediction depends on the last `lookback` rows of a symbol.

    Set `lookback` (in ``__init__``, where it depends on parameters) and define `forward`; `predict` over a frame and
    what the pipeline calls are then made of it. A target that is NaN in `train` marks a row that is not to be learned,
    only to be seen in later windows: so cross-validation cuts a block out without joining the rows around it.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.forward is SequenceModel.forward:
            return "a SequenceModel needs `forward`; define forward(self, windows, columns)"
        return super().class_fault()

    def forward(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        """One prediction a window (n x `lookback` x columns, the oldest row first); n is 1 unless `batch_invariant`,
        or 0.
        """
        raise NotImplementedError

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        if self.batch_invariant or len(windows) <= 1:
            return np.asarray(self.forward(windows, columns), np.float64)
        return np.concatenate([self.predict_windows(windows[i : i + 1], columns) for i in range(len(windows))])

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        """Each row's prediction from itself and the rows of its symbol before it; NaN for the first ``lookback - 1``.

        The rows of a symbol go forward in time (an index without symbols: one symbol). Raises `PluginError` where they
        go back.
        """
        from plugins.fold.row_ring import RowRing

        columns = [str(name) for name in X.columns]
        slots, count = slots_of(X.index)
        symbols = pd.Series(slots)
        if not pd.Series(X.index.get_level_values(-1)).groupby(slots).is_monotonic_increasing.all():
            raise PluginError(f"{name_of(self)}: the rows of a symbol go back in time; sort them by time")
        numbers = np.asarray(symbols.groupby(symbols).cumcount(), np.int64) + 1
        ring = RowRing(self.lookback, len(columns))
        predictions = np.full(len(X), np.nan)
        wanted = np.flatnonzero(numbers >= self.lookback).astype(np.int64)
        if not len(wanted):  # that there is no model, or that the columns are others, is told all the same
            self.predict_windows(np.empty((0, self.lookback, len(columns))), columns)
        values = np.ascontiguousarray(matrix(self, X))
        for rows, windows in ring.run(ring.new_states(count), slots, numbers, values, wanted):
            predictions[rows] = self.predict_windows(windows, columns)
        return pd.Series(predictions, X.index, name="prediction")


def matrix(model: BaseModel, data: pd.DataFrame) -> FloatArray:
    """The values of a frame as float64; `PluginError` that names the columns that hold no numbers."""
    try:
        return data.to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        other = [str(name) for name, dtype in data.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
        raise PluginError(f"{name_of(model)}: columns that hold no numbers: {', '.join(other)}") from None
