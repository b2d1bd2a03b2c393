"""Features as folds: an initial state and a step over one bar. `compute` is that fold over a frame, so batch
equals live.

>>> class Range(FoldFeature):
...     key, outputs, reads = "example.range", ("range", "largest"), ("high", "low")
...
...     def state(self):
...         return [("largest", "f8")]
...
...     @staticmethod
...     def step(state, bar, params, out):
...         out.range = bar.high - bar.low
...         state.largest = max(state.largest, out.range)
...         out.largest = state.largest
>>> prices = pd.DataFrame({"high": [11.0, 14.0, 12.0], "low": [10.0, 11.0, 11.5]})
>>> Range().compute(prices)
   range  largest
0    1.0      1.0
1    3.0      3.0
2    0.5      3.0
"""

import math
from collections.abc import Sequence
from inspect import getattr_static, signature
from typing import Any, ClassVar, Literal, get_args, get_origin

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray, name_of
from plugins.base import Params as FeatureParams
from plugins.base.bars import BAR, COLUMNS, PRICES, bar_dtype
from plugins.base.streaming import Rows, forget_infinite, layout_of, over_frame, trial_bars
from plugins.fold.kernel import Kernel, Step, compile_kernel
from schemas.errors import PluginError

__all__ = ["Column", "FeatureParams", "Field", "FoldFeature", "column_of"]

Column = Literal["open", "high", "low", "close", "volume"]
"""Type of a parameter that names a bar's column; a step sees its number and reads it with `column_of`."""
Field = tuple[str, str] | tuple[str, str, tuple[int, ...]]
StepParam = int | float | bool | tuple[float, ...]
TRIAL_BARS = 5_000


class FoldFeature(BaseFeature):
    """A feature written as a fold: subclass it with `outputs`, `state` and `step`.

    Parameters are declared in a `Params` model; `step` sees the numbers, booleans and choices (a `Literal`, as its
    position) among them as ``params.name``. A state begins as zeros. `step` is plain Python over one bar: ``bar.open
    .high .low .close .volume .time`` and ``bar.name`` for each of `requires` (``bar.with_close`` for ``with.close``, a
    reference's), fields of the state, ``out.name`` for each of `outputs` (NaN unless it is set). It may call plain
    functions of its module, and `math`.

    Notes
    -----
    A bar with NaN in a column of `reads` gives NaN and leaves the state as it was (one with NaN in a column of
    `requires` does not: the step sees it). A value that is not finite becomes NaN; keep it out of the state. Write
    ``d * d``, not ``d ** 2`` (numba's power differs in the last bit), and sum a ring from the oldest value on, relative
    to it.
    """

    outputs: ClassVar[tuple[str, ...]] = ()
    cost = "compiled"
    _kernel: Kernel | None = None
    _warmup: int | None = None

    def state(self) -> Sequence[Field]:
        """Fields of one symbol's state, as numpy's dtype takes them: ``[("count", "i8"), ("ring", "f8", (20,))]``."""
        raise NotImplementedError

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        """Take in one bar: change `state`, set `out`."""
        raise NotImplementedError

    @property
    def chosen_step(self) -> Step:
        """The step that runs; override it where parameters decide between several, with other outputs."""
        return type(self).step

    @property
    def fields(self) -> tuple[str, ...]:
        """Names by which `step` sets its outputs; override it where they are not those of the columns."""
        return self.outputs

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of a bar that `step` uses; override it (``reads = ("close",)``) when that is not all four prices."""
        return PRICES

    @property
    def warmup(self) -> int:
        """Bars before the first value; measured on generated bars unless a subclass tells it."""
        if self._warmup is None:
            self._warmup = self._measured_warmup()
        return self._warmup

    def step_params(self) -> dict[str, StepParam]:
        """What `step` sees as `params`; override it to derive others (a tuple of floats is an array there)."""
        fields = self.Params.model_fields if self.Params else {}
        seen: dict[str, StepParam] = {}
        for name, value in self.params.items():
            annotation = fields[name].annotation if name in fields else None
            if isinstance(value, bool | int | float):
                seen[name] = value
            elif get_origin(annotation) is Literal:
                seen[name] = get_args(annotation).index(value)
        return seen

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._params = _record(self.step_params() or {"none": 0})
        self._out = np.dtype([(name, "f8") for name in self.fields])
        self.state_dtype = self._checked_state()
        if own := set(self.requires) & set(BAR.names or ()):
            raise PluginError(
                f"{name_of(self)}: {', '.join(sorted(own))} is a bar's own; `requires` names columns of other features"
            )
        if unknown := set(self.reads) - set(BAR.names or ()):
            raise PluginError(
                f"{name_of(self)}: a bar has no {', '.join(sorted(unknown))}; `reads` may name"
                f" {', '.join(COLUMNS)}, time"
            )
        self._bar = bar_dtype([name.replace(".", "_") for name in self.requires])

    def _checked_state(self) -> "np.dtype[Any]":
        mend = "write it like [('count', 'i8'), ('ring', 'f8', (20,))]"
        try:
            dtype = np.dtype(list(self.state()))
        except (TypeError, ValueError) as error:
            raise PluginError(f"{name_of(self)}: its state is no list of numpy fields ({error}); {mend}") from None
        if dtype.hasobject or not dtype.names:
            raise PluginError(f"{name_of(self)}: its state is not plain numbers, so it cannot be stored; {mend}")
        return dtype

    def _measured_warmup(self) -> int:
        outs = np.empty((TRIAL_BARS, len(self.outputs)))
        bars = trial_bars(TRIAL_BARS, self.requires)
        self.run(self.new_states(1), np.zeros(TRIAL_BARS, np.int64), bars, outs)
        known = np.flatnonzero(~np.isnan(outs).any(axis=1))
        if not len(known):
            raise PluginError(
                f"{name_of(self)}: gave no value in {TRIAL_BARS} generated bars; "
                "define the property `warmup`, the bars before its first value"
            )
        return int(known[0])

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.step is FoldFeature.step or cls.state is FoldFeature.state:
            return "a FoldFeature needs both `state` and a static `step(state, bar, params, out)`"
        if not isinstance(getattr_static(cls, "step"), staticmethod):
            return "`step` is not static; write @staticmethod above step(state, bar, params, out)"
        if len(signature(cls.step).parameters) != 4:
            return "`step` does not take four arguments; write step(state, bar, params, out)"
        if cls.outputs == ():
            return "it does not name its columns; write outputs = ('rsi',)"
        return super().class_fault()

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
                self.chosen_step,
                tuple(self.reads),
                self.state_dtype,
                self._params.dtype,
                self._out,
                self._bar,
            )

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Step over `bars` in order, compiled; `outs` is a contiguous array of shape (bars, columns)."""
        if self._kernel is None:
            self.prepare()
            return self.run(states, slots, bars, outs)
        results = np.ndarray(len(outs), self._out, outs)
        try:
            bars = np.ascontiguousarray(bars).view(self._bar)
            self._kernel(states, np.ascontiguousarray(slots), bars, self._params, results, outs)
        except Exception as error:  # foreign code, whatever it raises
            raise PluginError(f"{name_of(self)}: its step failed: {type(error).__name__}: {error}") from error

    def run_plain(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """`run` without numba: the reference, equal to the byte."""
        outs.fill(np.nan)
        results, params = outs.view(self._out)[:, 0], _Fields(self._params[0])
        with np.errstate(all="ignore"):
            for i, bar in enumerate(bars.view(self._bar)):
                if not any(math.isnan(bar[name]) for name in self.reads):
                    self.chosen_step(_Fields(states[slots[i]]), _Fields(bar), params, _Fields(results[i]))
        forget_infinite(outs)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """The fold over `data`, each symbol of a (symbol, time) index alone."""
        return over_frame(self, data)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kernel": None}  # compiled code stays in its process


class _Fields:
    """A row's fields as attributes. numpy's own records hide fields called like a method of theirs (mean, max)."""

    def __init__(self, row: Any) -> None:
        object.__setattr__(self, "_row", row)

    def __getattr__(self, name: str) -> Any:
        return self._row[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._row[name] = value


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


def _record(values: dict[str, StepParam]) -> Rows:
    """One row with a field for each value."""
    kinds = {bool: "?", int: "i8", float: "f8"}
    fields = [
        (name, "f8", (len(value),)) if isinstance(value, tuple) else (name, kinds[type(value)])
        for name, value in values.items()
    ]
    return np.array([tuple(values.values())], np.dtype(fields))
