"""Wilder's directional movement."""

import math
from typing import Any

from plugins.features.ta.folds.averages import period
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.features.ta.folds.wilder import true_range
from plugins.fold import Field


def movement(state: Any, bar: Any) -> Any:
    """How far the bar goes up and down out of the one before it; one of both is 0."""
    up, down = bar.high - state.high, state.low - bar.low
    state.high, state.low = bar.high, bar.low
    return (up if up > 0.0 and up > down else 0.0), (down if down > 0.0 and down > up else 0.0)


def less(sum_: Any, n: Any) -> Any:
    """A sum less one part in `n`."""
    return sum_ - sum_ / n


def directional(state: Any, bar: Any, params: Any) -> Any:
    """Adds a bar to the sums of movements up and down and of true ranges (`state.sums`); are they complete?"""
    state.bars += 1
    n = params.timeperiod
    up, down = movement(state, bar)
    if state.bars > 1:
        size = true_range(bar, state.before)
        if n == 1:
            state.sums[0], state.sums[1], state.sums[2] = up, down, size
        elif state.bars <= n:
            state.sums[0] += up
            state.sums[1] += down
            state.sums[2] += size
        else:
            state.sums[0] = less(state.sums[0], n) + up
            state.sums[1] = less(state.sums[1], n) + down
            state.sums[2] = less(state.sums[2], n) + size
    state.before = bar.close
    return state.bars > n


def movements(state: Any, bar: Any, params: Any) -> Any:
    """The same without the true ranges; the first sums are complete one bar earlier."""
    state.bars += 1
    n = params.timeperiod
    up, down = movement(state, bar)
    if state.bars > 1:
        if n == 1:
            state.sums[0], state.sums[1] = up, down
        elif state.bars <= n:
            state.sums[0] += up
            state.sums[1] += down
        else:
            state.sums[0] = less(state.sums[0], n) + up
            state.sums[1] = less(state.sums[1], n) + down
    return state.bars >= max(n, 2)


def _plus_dm(state: Any, bar: Any, params: Any, out: Any) -> None:
    if movements(state, bar, params):
        out.real = state.sums[0]


def _minus_dm(state: Any, bar: Any, params: Any, out: Any) -> None:
    if movements(state, bar, params):
        out.real = state.sums[1]


def part(state: Any, number: int, params: Any) -> Any:
    """A movement as a part of the true range, in percent."""
    if state.sums[2] <= 0.0:
        return 0.0
    value = state.sums[number] / state.sums[2]
    return value if params.timeperiod == 1 else 100.0 * value


def _plus_di(state: Any, bar: Any, params: Any, out: Any) -> None:
    if directional(state, bar, params):
        out.real = part(state, 0, params)


def _minus_di(state: Any, bar: Any, params: Any, out: Any) -> None:
    if directional(state, bar, params):
        out.real = part(state, 1, params)


def index(state: Any) -> Any:
    """The directional index; NaN where nothing moved."""
    if state.sums[2] <= 0.0:
        return math.nan
    up, down = 100.0 * (state.sums[0] / state.sums[2]), 100.0 * (state.sums[1] / state.sums[2])
    total = up + down
    return 100.0 * (abs(down - up) / total) if abs(total) >= 1e-14 else math.nan


def _dx(state: Any, bar: Any, params: Any, out: Any) -> None:
    if directional(state, bar, params):
        value = index(state)
        state.dx = state.dx if math.isnan(value) else value
        out.real = state.dx


def average_index(state: Any, bar: Any, params: Any) -> Any:
    """The average directional index."""
    if not directional(state, bar, params):
        return math.nan
    n, value = params.timeperiod, index(state)
    if state.bars < 2 * n:
        state.dx += 0.0 if math.isnan(value) else value
        return math.nan
    if state.bars == 2 * n:
        state.dx += 0.0 if math.isnan(value) else value
        state.dx /= n
    elif not math.isnan(value):
        state.dx = (state.dx * (n - 1) + value) / n
    return state.dx


def _adx(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = average_index(state, bar, params)


def _adxr(state: Any, bar: Any, params: Any, out: Any) -> None:
    value = average_index(state, bar, params)
    if math.isnan(value):
        return
    length = params.timeperiod - 1
    place = state.known % length
    if state.known >= length:
        out.real = (value + state.ring[place]) / 2.0
    state.ring[place] = value
    state.known += 1


def _sums(params: Params) -> list[Field]:
    names = ("high", "low", "before", "dx")
    return [("bars", "i8"), ("sums", "f8", (3,)), *((name, "f8") for name in names)]


DIRECTIONAL = {
    "PLUS_DM": Recursion(_plus_dm, _sums, lambda params: max(period(params) - 1, 1)),
    "MINUS_DM": Recursion(_minus_dm, _sums, lambda params: max(period(params) - 1, 1)),
    "PLUS_DI": Recursion(_plus_di, _sums, period),
    "MINUS_DI": Recursion(_minus_di, _sums, period),
    "DX": Recursion(_dx, _sums, period),
    "ADX": Recursion(_adx, _sums, lambda params: 2 * period(params) - 1),
    "ADXR": Recursion(
        _adxr,
        lambda params: [*_sums(params), ("known", "i8"), ("ring", "f8", (period(params) - 1,))],
        lambda params: 3 * period(params) - 2,
    ),
}
