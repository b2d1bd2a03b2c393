"""The contract of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from plugins.base.plugin import FloatArray, Plugin


class BaseModel(Plugin):
    """Turns feature columns into a prediction."""

    batch_invariant: ClassVar[bool] = False
    """True: a row's prediction is the same to the last bit in any batch. Else a worker predicts row by row."""
    trusted_only: ClassVar[bool] = False
    """True: `load` executes what it reads (pickle, joblib), so it needs ``trusted: true`` in the configuration."""
    file_name: ClassVar[str] = "model.bin"
    """Name of the model's file in an artifact."""
    lookback: int = 1
    """Rows of a symbol that a prediction depends on, its own included; an instance may set its own from its
    parameters. More than 1: a sequence model, whose last rows are part of the strategy's state.
    """
    progress: Callable[[int, int], None] | None = None
    """Set by a training that shows how far it is: a model that learns in rounds may call it after each, with how many
    are done and how many there are.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.predict is BaseModel.predict:
            return "it does not override `predict`; define predict(self, X)"
        if isinstance(cls.lookback, int | float | str) and (type(cls.lookback) is not int or cls.lookback < 1):
            return f"lookback = {cls.lookback!r} is not a number of rows; write a whole number from 1 on"
        return super().class_fault()

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self | None:  # noqa: N803
        raise NotImplementedError

    def train_with_validation(
        self, X: pd.DataFrame, y: "pd.Series[float]", X_valid: pd.DataFrame, y_valid: "pd.Series[float]"  # noqa: N803
    ) -> Self | None:  # fmt: skip
        """`train` that stops early by the validation rows. Optional: training calls it for a model that overrides it
        and whose parameter `early_stopping_rounds` is set.
        """
        raise NotImplementedError

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        """One prediction a row, with X's index."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the model to one file."""
        raise NotImplementedError

    def load(self, path: str | Path) -> Self | None:
        raise NotImplementedError

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        """Predictions for a matrix of feature rows, each depending on its row alone; what the pipeline calls."""
        frame = pd.DataFrame(rows, columns=columns)
        if self.batch_invariant:
            return np.asarray(self.predict(frame), np.float64)
        return np.array([float(self.predict(frame.iloc[i : i + 1]).iloc[0]) for i in range(len(frame))], np.float64)

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        """Predictions for windows of feature rows (n x `lookback` x columns, the oldest first), each depending on its
        window alone; what the pipeline calls.
        """
        if self.lookback == 1:
            return self.predict_rows(windows.reshape(len(windows), windows.shape[2]), columns)
        times = pd.to_datetime(np.arange(self.lookback), unit="s", utc=True)
        index = pd.MultiIndex.from_product([["window"], times], names=["symbol", "time"])
        frames = (pd.DataFrame(window, index, columns) for window in windows)
        return np.array([float(self.predict(frame).iloc[-1]) for frame in frames], np.float64)
