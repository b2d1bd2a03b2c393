"""Lines that stop and reverse: the parabolic ones, and the bands of the true range."""

import math
from typing import Any

from plugins.features.ta.folds.arithmetic import fma
from plugins.features.ta.folds.averages import averages
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.features.ta.folds.wilder import average_range
from plugins.fold import Field, StepParam


def parabolic(state: Any, bar: Any, params: Any) -> Any:
    """The stop of a bar, with the side as its sign; NaN for the first bar. It is set for the next one."""
    state.bars += 1
    if state.bars == 1:
        state.high, state.low = bar.high, bar.low
        return math.nan
    if state.bars == 2:
        _begin(state, bar, params)
    side = 1.0 if state.long > 0 else -1.0
    near, far = (bar.low, bar.high) if side > 0.0 else (bar.high, bar.low)
    if side * (near - state.stop) <= 0.0:
        state.long = 1 - state.long
        stop = _beyond(state.extreme, state, bar, -side)
        if params.offset != 0.0:
            stop += side * (stop * params.offset)
        shown = -side * stop
        state.extreme = near
        state.acceleration = params.first_short if side > 0.0 else params.first_long
        side = -side
    else:
        stop = state.stop
        shown = side * stop
        if side * (far - state.extreme) > 0.0:
            state.extreme = far
            step, most = (params.long, params.most_long) if side > 0.0 else (params.short, params.most_short)
            state.acceleration = min(state.acceleration + step, most)
    stop = fma(state.acceleration, state.extreme - stop, stop)
    state.stop = _beyond(stop, state, bar, side)
    state.high, state.low = bar.high, bar.low
    return shown


def _begin(state: Any, bar: Any, params: Any) -> None:
    """The side of the second bar and its stop; the first bar's range counts as the second's from here on."""
    up, down = bar.high - state.high, state.low - bar.low
    state.long = 0 if down > 0.0 and down > up else 1
    if params.begin != 0.0:
        state.long = 1 if params.begin > 0.0 else 0
    state.stop = state.low if state.long > 0 else state.high
    if params.begin != 0.0:
        state.stop = abs(params.begin)
    state.extreme = bar.high if state.long > 0 else bar.low
    state.acceleration = params.first_long if state.long > 0 else params.first_short
    state.high, state.low = bar.high, bar.low


def _beyond(stop: Any, state: Any, bar: Any, side: Any) -> Any:
    """`stop`, but not inside of this bar's range and the one's before."""
    if side > 0.0:
        return min(stop, state.low, bar.low)
    return max(stop, state.high, bar.high)


def _sar(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = abs(parabolic(state, bar, params))


def _sarext(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = parabolic(state, bar, params)


def _supertrend(state: Any, bar: Any, params: Any, out: Any) -> None:
    before = state.before
    size = average_range(state, 0, bar, params.timeperiod)
    if math.isnan(size):
        return
    middle, width = (bar.high + bar.low) / 2.0, params.multiplier * size
    upper, lower = middle + width, middle - width
    if state.trend == 0.0:
        state.upper, state.lower, state.trend = upper, lower, 1.0
    else:
        if upper < state.upper or before > state.upper:
            state.upper = upper
        if lower > state.lower or before < state.lower:
            state.lower = lower
        if state.trend > 0.0 and bar.close < state.lower:
            state.trend = -1.0
        elif state.trend < 0.0 and bar.close > state.upper:
            state.trend = 1.0
    out.supertrend, out.trend = state.lower if state.trend > 0.0 else state.upper, state.trend


def _state(params: Params) -> list[Field]:
    names = ("high", "low", "stop", "extreme", "acceleration")
    return [("bars", "i8"), ("long", "i8"), *((name, "f8") for name in names)]


def _same(params: Params) -> dict[str, StepParam]:
    step, most = min(params["acceleration"], params["maximum"]), params["maximum"]
    sides = {f"{name}_{side}": value for side in ("long", "short") for name, value in (("first", step), ("most", most))}
    return {"begin": 0.0, "offset": 0.0, "long": step, "short": step, **sides}


def _sides(params: Params) -> dict[str, StepParam]:
    told: dict[str, StepParam] = {"begin": params["startvalue"], "offset": params["offsetonreverse"]}
    for side in ("long", "short"):
        most = params[f"accelerationmax{side}"]
        told |= {
            f"first_{side}": min(params[f"accelerationinit{side}"], most),
            side: min(params[f"acceleration{side}"], most),
            f"most_{side}": most,
        }
    return told


REVERSAL = {
    "SAR": Recursion(_sar, _state, lambda params: 1, _same),
    "SAREXT": Recursion(_sarext, _state, lambda params: 1, _sides),
    "SUPERTREND": Recursion(
        _supertrend,
        lambda params: averages(1, "before", "upper", "lower", "trend"),
        lambda params: params["timeperiod"],
    ),
}
