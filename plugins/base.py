"""The four base classes: the contract that a plugin's author may rely on for ever."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel as Schema
from pydantic import ConfigDict, ValidationError

from schemas.errors import PluginError

FloatArray = NDArray[np.float64]


class Params(Schema):
    """Base of a plugin's declared parameters: an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Plugin:
    """What all four kinds share.

    A class without a `Params` model accepts any parameters; with one, an unknown or impossible parameter raises `PluginError` that names it.
    """

    key: ClassVar[str] = ""
    """Set by ``registry.register(key)``."""
    version: ClassVar[str] = "1"
    """Of the plugin's behaviour: raise it when the same input gives other output or the state's layout changes."""
    Params: ClassVar[type[Schema] | None] = None
    packages: ClassVar[dict[str, str]] = {}
    """Optional libraries that it imports, each with what to install: ``{"lightgbm": "alphawire[boost]"}``."""
    cost: ClassVar[str] = "unknown"
    """What a bar costs: compiled (under 2 µs), fast (under 100 µs), slow (more)."""

    def __init__(self, **params: Any) -> None:
        self.params: dict[str, Any] = self.validate(params)

    @classmethod
    def validate(cls, params: dict[str, Any]) -> dict[str, Any]:
        """`params` with defaults filled in, as a plain dict."""
        if cls.Params is None:
            return dict(params)
        try:
            return cls.Params.model_validate(params).model_dump()
        except ValidationError as error:
            known = ", ".join(cls.Params.model_fields) or "none"
            faults = "; ".join(
                f"parameter {'.'.join(map(str, fault['loc'])) or 'set'}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
            )
            raise PluginError(f"{cls.key or cls.__name__}: {faults} (parameters: {known})") from None


class BaseFeature(Plugin):
    """Turns bars into columns."""

    outputs: ClassVar[tuple[str, ...] | None] = None
    """Names of its columns; None: whatever `compute` returns (a worker finds out by a trial)."""
    lookback: ClassVar[int | None] = None
    """Bars (rows) that a value depends on, for a plugin that has only `compute`; an instance may set its own from its parameters."""

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Columns for `data` (open, high, low, close, volume), with `data`'s index; a row uses itself and earlier rows only."""
        raise NotImplementedError


class BaseModel(Plugin):
    """Turns feature columns into a prediction."""

    batch_invariant: ClassVar[bool] = False
    """True: a row's prediction is the same to the last bit in any batch. Else a worker predicts row by row."""
    trusted_only: ClassVar[bool] = False
    """True: `load` executes what it reads (pickle, joblib), so it needs ``trusted: true`` in the configuration."""
    file_name: ClassVar[str] = "model.bin"
    """Name of the model's file in an artifact."""

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self | None:  # noqa: N803
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


class BaseSignalGenerator(Plugin):
    """Turns predictions into decisions."""

    scaled: ClassVar[bool] = False
    """True: the `weight` that `generate` returns is a unit (+1, -1) that ``execution.weight`` and ``long_only`` scale.
    False: a weight that it returns is used as it is, and BUY or SELL without one gives plus or minus ``execution.weight``."""

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """`predictions` (a `prediction` column, and the feature columns) with a `signal` column: BUY, SELL, HOLD or a number; optionally `weight`, `reason`."""
        raise NotImplementedError


class BaseBacktestEngine(Plugin):
    """Turns prices and signals into trades and equity, by the execution contract."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.config = self.params

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        """At least `trades`, `equity_curve` and `metrics`."""
        raise NotImplementedError
