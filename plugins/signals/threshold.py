"""`signal.threshold`."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel as Schema
from pydantic import ConfigDict, Field, FiniteFloat, model_validator

from plugins.base import Decisions, FloatArray, Params
from plugins.signals import BaseSignalGenerator, signal_registry
from schemas.errors import PluginError

BoolArray = NDArray[np.bool_]
OPERATORS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


class Condition(Schema):
    """``column op value``; it does not hold where the column is NaN."""

    model_config = ConfigDict(extra="forbid")

    column: str
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: FiniteFloat


class Conditions(Schema):
    """Conditions of which all, or any, must hold; given both, both must be met."""

    model_config = ConfigDict(extra="forbid")

    all: list[Condition] | None = Field(None, min_length=1)
    any: list[Condition] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _not_empty(self) -> "Conditions":
        if self.all is None and self.any is None:
            raise ValueError("give `all` or `any`, a list of {column, op, value}")
        return self


class ThresholdParams(Params):
    buy_threshold: FiniteFloat = 0.7
    sell_threshold: FiniteFloat = -0.7
    prediction_column: str = "prediction"
    conditions: Conditions | None = None
    buy_conditions: Conditions | None = None
    sell_conditions: Conditions | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "ThresholdParams":
        if self.buy_threshold < self.sell_threshold:
            raise ValueError("buy_threshold is below sell_threshold, so one prediction could say both BUY and SELL")
        if self.conditions is not None and (self.buy_conditions is not None or self.sell_conditions is not None):
            raise ValueError("give either `conditions`, for both sides, or `buy_conditions` and `sell_conditions`")
        return self


@signal_registry.register("signal.threshold")
class Threshold(BaseSignalGenerator):
    """BUY above one threshold, SELL below another, else HOLD, which keeps the position.

    Parameters
    ----------
    buy_threshold, sell_threshold
        BUY when the prediction is greater, SELL when it is less (both strict); in the prediction's units.
    prediction_column
        The column that is compared.
    conditions
        ``{all: [{column, op, value}, …]}`` or ``{any: […]}``: what must hold besides, for BUY and for SELL alike.
    buy_conditions, sell_conditions
        The same for one side alone.

    Notes
    -----
    `weight` is +1 for BUY, -1 for SELL (units, which `execution.weight` scales), NaN for HOLD. A NaN prediction is
    HOLD, "no prediction". A condition on a NaN does not hold. What is infinite is taken as NaN. Each row stands alone.

    Examples
    --------
    >>> rows = pd.DataFrame({"prediction": [0.9, 0.1, -0.8, float("nan")]})
    >>> Threshold().generate(rows)[["signal", "weight", "reason"]].values.tolist()[::2]
    [['BUY', 1.0, 'prediction > 0.7'], ['SELL', -1.0, 'prediction < -0.7']]
    """

    Params: ClassVar[type[Schema]] = ThresholdParams
    scaled: ClassVar[bool] = True
    cost = "compiled"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._column: str = self.params["prediction_column"]
        self._buy: float = self.params["buy_threshold"]
        self._sell: float = self.params["sell_threshold"]
        self._sides = [self.params["conditions"] or self.params[side] for side in ("buy_conditions", "sell_conditions")]
        name, buy, sell = self._column, self._buy, self._sell
        unmet = ", but the conditions do not hold"
        self._reasons = np.array(
            [
                f"{sell} <= {name} <= {buy}",
                f"{name} > {buy}",
                f"{name} < {sell}",
                f"{name} > {buy}{unmet}",
                f"{name} < {sell}{unmet}",
                "no prediction" if name == "prediction" else f"no {name}",
            ],
            object,
        )

    def decide(self, columns: Mapping[str, FloatArray]) -> Decisions:
        """Decisions for rows given as arrays by column name; `PluginError` when one that is needed is not there."""
        prediction = _column(self.key, columns, self._column)
        code = np.empty(len(prediction), np.int64)
        _compiled_sides()(np.ascontiguousarray(prediction), self._buy, self._sell, code)
        for side, conditions in enumerate(self._sides, start=1):
            if conditions is not None:
                code[(code == side) & ~_hold(self.key, conditions, columns)] += 2
        return Decisions(_SIGNALS[code].tolist(), _WEIGHTS[code], self._reasons[code].tolist())

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """`predictions` with the columns `signal`, `weight` and `reason`."""
        needed = {self._column} | {test["column"] for side in self._sides if side for test in _tests(side)}
        arrays = {
            name: predictions[name].to_numpy(np.float64, na_value=np.nan) for name in needed if name in predictions
        }
        decisions = self.decide(arrays)
        return predictions.assign(signal=decisions.signal, weight=decisions.weight, reason=decisions.reason)


@cache
def _compiled_sides() -> Callable[[Any, float, float, Any], None]:
    import numba  # not to list plugins

    compiled: Callable[[Any, float, float, Any], None] = numba.njit(cache=True)(_sides)
    return compiled


def _sides(prediction: Any, buy: float, sell: float, code: Any) -> None:
    for i in range(len(prediction)):
        value = prediction[i]
        if not abs(value) < np.inf:
            code[i] = 5
        elif value > buy:
            code[i] = 1
        elif value < sell:
            code[i] = 2
        else:
            code[i] = 0


_SIGNALS = np.array(["HOLD", "BUY", "SELL", "HOLD", "HOLD", "HOLD"], object)
_WEIGHTS = np.array([np.nan, 1.0, -1.0, np.nan, np.nan, np.nan])


def _tests(conditions: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(conditions["all"] or []), *(conditions["any"] or [])]


def _hold(key: str, conditions: dict[str, Any], columns: Mapping[str, FloatArray]) -> BoolArray:
    """Where a side's conditions hold."""
    groups = []
    for join, group in ((np.logical_and, conditions["all"]), (np.logical_or, conditions["any"])):
        if group:
            groups.append(join.reduce([_holds(key, test, columns) for test in group]))
    return np.asarray(np.logical_and.reduce(groups), np.bool_)


def _holds(key: str, test: dict[str, Any], columns: Mapping[str, FloatArray]) -> BoolArray:
    values = _column(key, columns, test["column"])
    return np.asarray(OPERATORS[test["op"]](values, test["value"]) & np.isfinite(values), np.bool_)


def _column(key: str, columns: Mapping[str, FloatArray], name: str) -> FloatArray:
    try:
        return columns[name]
    except KeyError:
        raise PluginError(f"{key}: there is no column {name!r}; there is: {', '.join(columns) or 'none'}") from None
