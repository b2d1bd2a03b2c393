"""The four base classes: the contract that a plugin's author may rely on for ever."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
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

    A class without a `Params` model accepts any parameters; with one, an unknown or impossible parameter raises
    `PluginError` that names it.
    """

    key: ClassVar[str] = ""
    """Set by ``registry.register(key)``."""
    version: ClassVar[str] = "1"
    """Of the plugin's behaviour: raise it when the same input gives other output or the state's layout changes."""
    Params: ClassVar[type[Schema] | None] = None
    packages: ClassVar[dict[str, str]] = {}
    """Optional libraries that it imports, each with what to install: ``{"lightgbm": "alphawire[boost]"}``."""
    cost: str = "unknown"
    """What a bar costs: compiled (under 2 µs), fast (under 100 µs), slow (more); more may be told after the word."""

    def __init__(self, **params: Any) -> None:
        self.params: dict[str, Any] = self.validate(params)

    @classmethod
    def class_fault(cls) -> str | None:
        """What makes the class unusable, in words that say the mend; `register` refuses a class with a fault."""
        if not isinstance(cls.version, str):
            return f"version = {cls.version!r} is not a string; write version = '{cls.version}'"
        if cls.Params is not None and not (isinstance(cls.Params, type) and issubclass(cls.Params, Schema)):
            return "its Params is not a pydantic model; derive it from plugins.base.Params"
        if not isinstance(cls.packages, dict) or not all(
            isinstance(part, str) for pair in cls.packages.items() for part in pair
        ):
            return "packages is not a mapping of import name to what to install; write {'lightgbm': 'alphawire[boost]'}"
        return None

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
                f"parameter {'.'.join(map(str, fault['loc'])) or 'set'}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors()
            )
            raise PluginError(f"{name_of(cls)}: {faults} (parameters: {known})") from None


def name_of(plugin: Plugin | type[Plugin]) -> str:
    """How messages call a plugin: by its key, or by its class before it has one."""
    return plugin.key or (plugin if isinstance(plugin, type) else type(plugin)).__name__


class BaseFeature(Plugin):
    """Turns bars into columns."""

    outputs: ClassVar[tuple[str, ...] | None] = None
    """Names of its columns; None: whatever `compute` returns (a worker finds out by a trial)."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Columns of other features that it reads beside the bar's own, by the names that those plugins give them. The
    pipeline runs those first, and `compute` finds them in its data.
    """
    labels: ClassVar[dict[str, dict[int, str]]] = {}
    """What the numbers in a column stand for: ``{"volatility_regime": {0: "low", 1: "mid", 2: "high"}}``."""
    lookback: ClassVar[int | None] = None
    """Bars (rows) that a value depends on, for a plugin that has only `compute`; an instance may set its own from
    its parameters.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.compute is BaseFeature.compute:
            return "it overrides neither `compute` nor, as a FoldFeature, `step`; define compute(self, data)"
        if isinstance(cls.lookback, int | float | str) and (type(cls.lookback) is not int or cls.lookback < 1):
            return f"lookback = {cls.lookback!r} is not a number of bars; write a whole number from 1 on"
        if cls.outputs is not None and not isinstance(cls.outputs, property) and not _are_names(cls.outputs):
            return f"outputs = {cls.outputs!r} is not a tuple of column names; write outputs = ('rsi',)"
        if not isinstance(cls.requires, property) and cls.requires != () and not _are_names(cls.requires):
            return f"requires = {cls.requires!r} is not a tuple of column names; write requires = ('rsi',)"
        return super().class_fault()

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Columns for `data` (open, high, low, close, volume), with `data`'s index; a row uses itself and earlier
        rows only.
        """
        raise NotImplementedError


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


@dataclass(slots=True)
class Decisions:
    """What a signal generator decided, one entry a row."""

    signal: list[str | float]
    """BUY, SELL, HOLD, FLAT, or a finite number."""
    weight: FloatArray
    """NaN: none was given."""
    reason: list[str]

    def __len__(self) -> int:
        return len(self.signal)


class BaseSignalGenerator(Plugin):
    """Turns predictions into decisions."""

    scaled: ClassVar[bool] = False
    """True: the `weight` that `generate` returns is a unit (+1, -1) that ``execution.weight`` and ``long_only`` scale.
    False: a weight that it returns is used as it is, and BUY or SELL without one gives plus or minus
    ``execution.weight``.
    """
    fold: BaseFeature | None = None
    """For a generator whose decision depends on earlier predictions of the symbol: a fold that `requires`
    ``prediction``. It is stepped for every bar, its state is part of the strategy's, and `decide` finds its columns.
    """
    cross_section: ClassVar[bool] = False
    """True: a decision depends on the predictions of all symbols at that time, and on nothing else. `generate` gets
    whole cross-sections (index or columns `symbol` and `time`, and `prediction`); a worker gives it one at a time, by
    symbol, without those that have no prediction.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.generate is BaseSignalGenerator.generate:
            return "it does not override `generate`; define generate(self, predictions)"
        if not isinstance(cls.cross_section, bool):
            return f"cross_section = {cls.cross_section!r} is neither True nor False"
        return super().class_fault()

    def universe_fault(self, size: int) -> str | None:
        """Why it cannot work for a universe of `size` symbols, in words that say the mend; None when it can."""
        return None

    def decide(self, columns: Mapping[str, FloatArray]) -> Decisions:
        """`generate` for rows given as arrays, each row alone; what the pipeline calls. A subclass may override it
        with something fast.

        Raises `PluginError` when `generate` fails or returns something else than one usable decision.
        """
        decisions = Decisions([], np.full(len(columns["prediction"]), np.nan), [])
        for row in range(len(decisions.weight)):
            frame = pd.DataFrame({name: values[row : row + 1] for name, values in columns.items()})
            try:
                returned = self.generate(frame)
            except Exception as error:  # foreign code, whatever it raises
                raise PluginError(f"{name_of(self)}: generate failed: {type(error).__name__}: {error}") from error
            signal, weight, reason = _decision(name_of(self), returned)
            decisions.signal.append(signal)
            decisions.weight[row] = weight
            decisions.reason.append(reason)
        return decisions

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """`predictions` (a `prediction` column, and the feature columns) with a `signal` column: BUY, SELL, HOLD
        or a number; optionally `weight`, `reason`.
        """
        raise NotImplementedError


class BaseBacktestEngine(Plugin):
    """Turns prices and signals into trades and equity, by the execution contract."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.config = self.params

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.run is BaseBacktestEngine.run:
            return "it does not override `run`; define run(self, prices, signals)"
        return super().class_fault()

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        """Trades, equity and metrics of `signals` on `prices`.

        Parameters
        ----------
        prices
            open, close; high, low and volume if there are any. Index: the bars' close times (one symbol), or (time,
            symbol).
        signals
            `signal` (BUY, SELL, FLAT, HOLD or a number), or `weight`, which is used as it is where the column is
            there (NaN: keep). The same kind of index; each signal on a bar.

        Returns
        -------
        dict
            At least trades, equity_curve and metrics. The engines that ship also return fills, positions, cuts and
            pending: see `plugins.engines.results.frames` and `plugins.engines.results.metrics`.

        Raises
        ------
        ConfigurationError
            Frames that cannot be used: one line with the place and the mend.
        PluginError
            The engine's library is not installed, or refused an order.
        """
        raise NotImplementedError


SIGNALS = ("BUY", "SELL", "HOLD", "FLAT")


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(name, str) and name for name in value)
        and len(set(value)) == len(value)
    )


def _decision(key: str, returned: Any) -> tuple[str | float, float, str]:
    """Signal, weight (NaN: none) and reason of the one row that `generate` returned."""
    if not isinstance(returned, pd.DataFrame) or len(returned) != 1 or "signal" not in returned:
        raise PluginError(f"{key}: generate must return the frame that it got, one row here, with a `signal` column")
    return usable_decision(
        key, *(returned[name].iloc[0] if name in returned else None for name in ("signal", "weight", "reason"))
    )


def usable_decision(key: str, signal: Any, weight: Any, reason: Any) -> tuple[str | float, float, str]:
    """Signal, weight (NaN: none) and reason of a row that `generate` returned; `PluginError` for what is none."""
    text = "" if reason is None or reason != reason else str(reason)
    size = math.nan if weight is None else _number(key, "weight", weight)
    if isinstance(signal, str):
        if signal not in SIGNALS:
            raise PluginError(f"{key}: the signal {signal!r} is none of {', '.join(SIGNALS)}, and no number")
        return signal, size, text
    number = math.nan if signal is None else _number(key, "signal", signal)
    return ("HOLD", math.nan, text or "no signal") if math.isnan(number) else (number, size, text)


def _number(key: str, name: str, value: Any) -> float:
    """`value` as a float, NaN for a missing one; `PluginError` for what is neither a finite number nor missing."""
    if value is pd.NA or value is pd.NaT:
        return math.nan
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or math.isinf(value):
        plain = value.item() if isinstance(value, np.generic) else value
        raise PluginError(f"{key}: the {name} {plain!r} is not a finite number")
    return float(value)
