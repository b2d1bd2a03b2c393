"""Features as folds: an initial state and a step over one bar. `compute` is that fold over a frame, so batch equals live."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.bars import BAR, COLUMNS, PRICES, bars_from_frame
from plugins.base import BaseFeature, FloatArray
from plugins.base import Params as FeatureParams
from plugins.kernel import Kernel, compile_kernel
from schemas.canonical import canonical_json, sha256_hex
from schemas.errors import PluginError

__all__ = [
    "Column",
    "FeatureParams",
    "FoldFeature",
    "StreamingFeature",
    "column_of",
    "layout_of",
    "over_frame",
    "trial_bars",
]

Rows = NDArray[np.void]
Column = Literal["open", "high", "low", "close", "volume"]
"""Type of a parameter that names a bar's column; a step sees its number and reads it with `column_of`."""
Field = tuple[str, str] | tuple[str, str, tuple[int, ...]]
TRIAL_BARS = 5_000


class StreamingFeature(Protocol):
    """What the pipeline drives: a plain state for each symbol, stepped bar by bar."""

    @property
    def plugin(self) -> BaseFeature:
        """The registered plugin behind it."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of a bar that it needs."""

    @property
    def warmup(self) -> int:
        """Bars of a symbol before the first value can appear."""

    @property
    def state_dtype(self) -> "np.dtype[Any]": ...

    @property
    def layout(self) -> str:
        """Hash of key, version, parameters and state layout: a state of another layout must not be loaded."""

    def new_states(self, count: int) -> Rows:
        """States of `count` symbols that have seen nothing."""

    def prepare(self) -> None:
        """Do now what would make the first `run` slow (compile, or load what was compiled)."""

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Step over `bars` in order; ``slots[i]`` is the row in `states` of bar i's symbol, ``outs[i]`` gets its values."""


class FoldFeature(BaseFeature):
    """A feature written as a fold: subclass it with `outputs`, `state` and `step`.

    Parameters are declared in a `Params` model; `step` sees the numbers, booleans and choices (a `Literal`, as its position) among
    them as ``params.name``. A state begins as zeros. `step` is plain Python over one bar: ``bar.open .high .low .close .volume .time``,
    fields of the state, ``out.name`` for each of `outputs` (NaN unless it is set). It may call plain functions of its module, and `math`.

    Notes
    -----
    A bar with NaN in a column of `reads` gives NaN and leaves the state as it was. Write ``d * d``, not ``d ** 2`` (numba's power
    differs in the last bit), and sum a ring from the oldest value on, relative to it.
    """

    outputs: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[str] = "compiled"

    def state(self) -> Sequence[Field]:
        """Fields of one symbol's state, as numpy's dtype takes them: ``[("count", "i8"), ("ring", "f8", (20,))]``."""
        raise NotImplementedError

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        """Take in one bar: change `state`, set `out`."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of a bar that `step` uses; override it (``reads = ("close",)``) when that is not all four prices."""
        return PRICES

    @property
    def warmup(self) -> int:
        """Bars before the first value; measured on generated bars unless a subclass tells it."""
        outs = np.empty((TRIAL_BARS, len(self.outputs)))
        self.run(self.new_states(1), np.zeros(TRIAL_BARS, np.int64), trial_bars(TRIAL_BARS), outs)
        known = np.flatnonzero(~np.isnan(outs).any(axis=1))
        if not len(known):
            raise PluginError(
                f"{self.key}: gave no value in {TRIAL_BARS} generated bars; define `warmup`, the bars before its first value"
            )
        return int(known[0])

    def step_params(self) -> dict[str, int | float | bool]:
        """What `step` sees as `params`; override it to derive others."""
        fields = self.Params.model_fields if self.Params else {}
        seen: dict[str, int | float | bool] = {}
        for name, value in self.params.items():
            annotation = fields[name].annotation if name in fields else None
            if isinstance(value, bool | int | float):
                seen[name] = value
            elif get_origin(annotation) is Literal:
                seen[name] = get_args(annotation).index(value)
        return seen

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._kernel: Kernel | None = None
        values = self.step_params() or {"none": 0}
        kinds = [
            (name, "?" if isinstance(value, bool) else "i8" if isinstance(value, int) else "f8")
            for name, value in values.items()
        ]
        self._params = np.array([tuple(values.values())], kinds)
        self._out = np.dtype([(name, "f8") for name in self.outputs])
        self.state_dtype = self._checked_state()

    def _checked_state(self) -> "np.dtype[Any]":
        try:
            dtype = np.dtype(list(self.state()))
        except TypeError as error:
            raise PluginError(
                f"{self.key}: its state is not a list of numpy fields ({error}); write it like [('count', 'i8')]"
            ) from None
        if dtype.hasobject or not dtype.names:
            raise PluginError(
                f"{self.key}: its state must be plain numbers, so that it can be stored exactly; write it like [('count', 'i8')]"
            )
        return dtype

    @classmethod
    def fault(cls) -> str | None:
        if cls.step is FoldFeature.step or cls.state is FoldFeature.state:
            return "a FoldFeature needs both `state` and a static `step(state, bar, params, out)`"
        if not isinstance(cls.__dict__.get("step", staticmethod(cls.step)), staticmethod):
            return "`step` must be a @staticmethod: step(state, bar, params, out)"
        if not isinstance(cls.outputs, tuple) or not cls.outputs:
            return "`outputs` must name its columns, as a tuple: outputs = ('rsi',)"
        return super().fault()

    @property
    def plugin(self) -> BaseFeature:
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return self.outputs

    @property
    def layout(self) -> str:
        return layout_of(self, self.state_dtype)

    def new_states(self, count: int) -> Rows:
        return np.zeros(count, self.state_dtype)

    def prepare(self) -> None:
        if self._kernel is None:
            self._kernel = compile_kernel(
                type(self).step, tuple(self.reads), self.state_dtype, self._params.dtype, self._out
            )

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Step over `bars` in order, compiled; `outs` is a contiguous array of shape (bars, columns)."""
        if self._kernel is None:
            self.prepare()
            return self.run(states, slots, bars, outs)
        outs.fill(np.nan)
        self._kernel(
            states, np.ascontiguousarray(slots), np.ascontiguousarray(bars), self._params, outs.view(self._out)[:, 0]
        )

    def run_plain(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """`run` without numba: the reference, equal to the byte."""
        outs.fill(np.nan)
        rows, results, params = (
            states.view(np.recarray),
            outs.view(self._out)[:, 0].view(np.recarray),
            self._params.view(np.recarray)[0],
        )
        with np.errstate(all="ignore"):
            for i, bar in enumerate(bars.view(np.recarray)):
                if not any(math.isnan(bar[name]) for name in self.reads):
                    type(self).step(rows[slots[i]], bar, params, results[i])

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """The fold over `data`, each symbol of a (symbol, time) index alone."""
        return over_frame(self, data)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kernel": None}  # compiled code stays in its process


def column_of(bar: Any, column: int) -> Any:
    """Value of a `Column` parameter's column, for use in a step: ``column_of(bar, params.column)``."""
    if column == 0:
        return bar.open
    if column == 1:
        return bar.high
    if column == 2:
        return bar.low
    if column == 3:
        return bar.close
    return bar.volume


def over_frame(feature: StreamingFeature, data: pd.DataFrame) -> pd.DataFrame:
    """A feature's columns for a frame, with its index; each symbol of a (symbol, time) index is folded alone, in the frame's order."""
    missing = [name for name in feature.reads if name not in data]
    if missing:
        raise PluginError(
            f"{feature.plugin.key}: the data has no column {', '.join(missing)}; it needs {', '.join(feature.reads)}"
        )
    slots, count = _slots(data.index)
    outs = np.empty((len(data), len(feature.columns)))
    feature.run(feature.new_states(count), slots, bars_from_frame(data), outs)
    return pd.DataFrame(outs, index=data.index, columns=list(feature.columns))


def _slots(index: pd.Index) -> tuple[NDArray[np.int64], int]:
    if not isinstance(index, pd.MultiIndex):
        return np.zeros(len(index), np.int64), 1
    codes, symbols = pd.factorize(
        index.get_level_values("symbol" if "symbol" in index.names else 0), use_na_sentinel=False
    )
    return codes.astype(np.int64), len(symbols)


def layout_of(plugin: BaseFeature, state: "np.dtype[Any]") -> str:
    """Hash of what a stored state depends on; `PluginError` when a parameter has no JSON form."""
    try:
        return sha256_hex(canonical_json([plugin.key, plugin.version, plugin.params, state.descr]))[:16]
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{plugin.key}: its parameters cannot be written as JSON ({error}); use numbers, strings, lists and mappings"
        ) from None


def trial_bars(count: int) -> Rows:
    """Generated minute bars, always the same, for finding out what a plugin does not declare."""
    random = np.random.default_rng(20130104)
    bars = np.zeros(count, BAR)
    bars["time"] = 1_380_000_000_000 + 60_000 * np.arange(1, count + 1)
    closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, count)))
    bars["close"] = closes
    bars["open"] = np.concatenate([[100.0], closes[:-1]])[:count]
    spread = random.uniform(0.0, 0.05, (2, count))
    bars["high"] = np.maximum(bars["open"], closes) + spread[0]
    bars["low"] = np.minimum(bars["open"], closes) - spread[1]
    bars["volume"] = random.integers(100, 10_000, count)
    return bars


assert get_args(Column) == COLUMNS  # noqa: S101
