"""The contract of a signal generator, and what a usable decision is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from plugins.base.feature import BaseFeature
from plugins.base.plugin import FloatArray, Plugin, name_of
from schemas.errors import PluginError

SIGNALS = ("BUY", "SELL", "HOLD", "FLAT")


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
        shown = value.item() if isinstance(value, np.generic) else value
        raise PluginError(f"{key}: the {name} {shown!r} is not a finite number")
    return float(value)
