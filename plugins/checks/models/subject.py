"""A model under test: instances of it, trained on generated rows, with every fault turned into a finding."""

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from plugins.base import BaseModel, FloatArray
from plugins.checks.features.subject import describe
from plugins.checks.findings.outcome import Failed

COLUMNS = ["rsi", "atr", "momentum", "z_score"]
ROWS = 150
"""Of each of two symbols."""


def rows(seed: int) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """Feature rows of two symbols, indexed by (symbol, time) as `alphawire train` gives them, and a target."""
    random = np.random.default_rng(seed)
    times = pd.date_range("2024-01-02 14:31", periods=ROWS, freq="min", tz="UTC").as_unit("ms")
    index = pd.MultiIndex.from_product([["BAC", "SPY"], times], names=["symbol", "time"])
    values = random.normal(size=(len(index), len(COLUMNS))) * [15.0, 0.5, 0.01, 1.0] + [50.0, 1.0, 0.0, 0.0]
    frame = pd.DataFrame(values, index, COLUMNS)
    noise = random.normal(0.0, 0.0005, len(index))
    target = 0.00005 * (frame["rsi"] - 50.0) + 0.05 * frame["momentum"] * frame["z_score"] + noise
    return frame, target.rename("target")


class ModelSubject:
    """What the checks of a model share."""

    def __init__(self, cls: type[BaseModel], params: dict[str, Any]) -> None:
        self.cls, self.params = cls, params
        self.X, self.y = rows(1)
        self.unseen, _ = rows(2)

    def new(self) -> BaseModel:
        try:
            return self.cls(**self.params)
        except Exception as error:
            raise Failed(f"it cannot be created: {describe(error)}", "see the parameters that it declares") from error

    @property
    def lookback(self) -> int:
        """Rows of a symbol that a prediction depends on: one, unless a sequence model declares more."""
        declared = getattr(self.new(), "lookback", 1)
        return declared if isinstance(declared, int) and declared > 0 else 1

    def fitted(self, X: pd.DataFrame, y: "pd.Series[float]") -> BaseModel:  # noqa: N803
        """A new instance trained on copies of these."""
        model = self.new()
        try:
            model.train(X.copy(), y.copy())
        except (Exception, SystemExit) as error:
            raise Failed(
                f"train raised {describe(error)} on {len(X)} rows without NaN",
                "train takes a frame and a series of finite numbers, indexed by (symbol, time)",
            ) from error
        return model

    @cached_property
    def model(self) -> BaseModel:
        return self.fitted(self.X, self.y)

    def predict(self, X: pd.DataFrame, model: BaseModel | None = None) -> FloatArray:  # noqa: N803
        """The predictions for a copy of `X`; `Failed` unless they are one number a row, with its index."""
        try:
            predictions = (model or self.model).predict(X.copy())
        except (Exception, SystemExit) as error:
            raise Failed(f"predict raised {describe(error)} on {len(X)} rows", "predict any number of rows") from error
        if not isinstance(predictions, pd.Series):
            raise Failed(f"predict returned a {type(predictions).__name__}", "return pd.Series(values, X.index)")
        if not predictions.index.equals(X.index):
            raise Failed(
                f"predict returned {len(predictions)} rows or another index", "return pd.Series(values, X.index)"
            )
        if not pd.api.types.is_float_dtype(predictions.dtype):
            raise Failed(f"predictions are {predictions.dtype}", "return float64")
        return np.asarray(predictions, np.float64)

    def singly(self, X: pd.DataFrame, model: BaseModel | None = None) -> FloatArray:  # noqa: N803
        """Each row predicted alone, or with the `lookback` - 1 rows of its symbol before it."""
        values = [np.nan] * len(X)
        for number in range(len(X)):
            first = max(number - self._back(X, number), number - self.lookback + 1)
            values[number] = float(self.predict(X.iloc[first : number + 1], model)[-1])
        return np.array(values, np.float64)

    def _back(self, X: pd.DataFrame, number: int) -> int:  # noqa: N803
        """Rows of the same symbol directly before row `number`."""
        names = X.index.get_level_values(0)
        back = 0
        while back < min(number, self.lookback) and names[number - back - 1] == names[number]:
            back += 1
        return back


def windows_of(X: pd.DataFrame, lookback: int) -> FloatArray:  # noqa: N803
    """The windows of a frame's rows, as the pipeline gives them (n x lookback x columns), whatever their symbols."""
    rows = X.to_numpy(np.float64)
    return np.lib.stride_tricks.sliding_window_view(rows, lookback, axis=0).transpose(0, 2, 1).copy()


def same(first: FloatArray, second: FloatArray) -> bool:
    """Equal to the last bit, NaN equal to NaN."""
    return np.array_equal(first, second, equal_nan=True)


def differing(first: FloatArray, second: FloatArray) -> str:
    """How many values differ, and by how much."""
    unequal = ~((first == second) | (np.isnan(first) & np.isnan(second)))
    with np.errstate(all="ignore"):
        largest = np.nanmax(np.abs(first - second)[unequal], initial=0.0)
    return f"{int(unequal.sum())} of {len(first)} differ, by up to {largest:.1e}"
