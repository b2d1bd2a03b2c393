"""Wilder's indicators: strength, true range, directional movement."""

import math
from typing import Any

from plugins.features.ta.folds.averages import averages, period, smoothed
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.fold import Field, column_of


def true_range(bar: Any, close: Any) -> Any:
    """Of a bar after one that closed at `close`."""
    greatest = bar.high - bar.low
    up, down = abs(close - bar.high), abs(close - bar.low)
    if up > greatest:
        greatest = up
    return down if down > greatest else greatest


def parts_of(total: Any, n: Any, inverse: Any) -> Any:
    """One part in `n` of a total: divided, or by the inverse, as the library does in RSI alone."""
    return total * inverse if inverse > 0.0 else total / n


def gain_and_loss(state: Any, value: Any, params: Any, inverse: Any) -> Any:
    """Adds the change to the averages of gains and losses (`state.averages`); is there a value?"""
    state.bars += 1
    change = value - state.before
    state.before = value
    if state.bars == 1:
        return False
    n = params.timeperiod
    gain, loss = (change, 0.0) if change >= 0.0 else (0.0, -change)
    if state.bars <= n + 1:
        state.averages[0] += gain
        state.averages[1] += loss
        if state.bars == n + 1:
            state.averages[0] = parts_of(state.averages[0], n, inverse)
            state.averages[1] = parts_of(state.averages[1], n, inverse)
    else:
        state.averages[0] = parts_of(state.averages[0] * (n - 1) + gain, n, inverse)
        state.averages[1] = parts_of(state.averages[1] * (n - 1) + loss, n, inverse)
    return state.bars > n


def _rsi(state: Any, bar: Any, params: Any, out: Any) -> None:
    if gain_and_loss(state, column_of(bar, params.price), params, 1.0 / params.timeperiod):
        total = state.averages[0] + state.averages[1]
        out.real = 100.0 * (state.averages[0] / total) if total > 0.0 else 0.0


def _cmo(state: Any, bar: Any, params: Any, out: Any) -> None:
    if gain_and_loss(state, column_of(bar, params.price), params, 0.0):
        total = state.averages[0] + state.averages[1]
        out.real = 100.0 * ((state.averages[0] - state.averages[1]) / total) if total > 0.0 else 0.0


def _stochrsi(state: Any, bar: Any, params: Any, out: Any) -> None:
    """Where the strength is in its range of the last bars, and the mean of the last of these."""
    if not gain_and_loss(state, column_of(bar, params.price), params, 1.0 / params.timeperiod):
        return
    total = state.averages[0] + state.averages[1]
    value = 100.0 * (state.averages[0] / total) if total > 0.0 else 0.0
    n, m = params.fastk_period, params.fastd_period
    state.ring[state.known % n] = value
    state.known += 1
    if state.known < n:
        return
    lowest, highest = value, value
    for place in range(n):
        lowest, highest = min(lowest, state.ring[place]), max(highest, state.ring[place])
    size = highest - lowest
    fast = (value - lowest) / size * 100.0 if size > 1e-14 * (abs(highest) + abs(lowest)) else 0.0
    number = state.known - n
    state.sum += fast
    state.fasts[number % m] = fast
    if number >= m - 1:
        out.fastk, out.fastd = fast, state.sum / m
        state.sum -= state.fasts[(number + 1) % m]


def _atr(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = average_range(state, 0, bar, params.timeperiod)


def average_range(state: Any, number: int, bar: Any, n: Any) -> Any:
    """The average true range as average `number` of a state, which keeps the last close."""
    state.bars += 1
    value = math.nan
    if state.bars > 1:
        value = smoothed(state, number, true_range(bar, state.before), n)
    state.before = bar.close
    return value


def _natr(state: Any, bar: Any, params: Any, out: Any) -> None:
    value = average_range(state, 0, bar, params.timeperiod)
    if not math.isnan(value):
        if params.timeperiod > 1:
            value = value / bar.close * 100.0 if bar.close != 0.0 else 0.0
        out.real = value


def _changes(params: Params) -> list[Field]:
    return averages(2, "before")


def _ranges(params: Params) -> list[Field]:
    return averages(1, "before")


WILDER = {
    "RSI": Recursion(_rsi, _changes, period),
    "STOCHRSI": Recursion(
        _stochrsi,
        lambda params: [
            *averages(2, "before", "sum"),
            ("known", "i8"),
            ("ring", "f8", (params["fastk_period"],)),
            ("fasts", "f8", (params["fastd_period"],)),
        ],
        lambda params: period(params) + params["fastk_period"] + params["fastd_period"] - 2,
        averages=(0,),
    ),
    "CMO": Recursion(_cmo, _changes, period),
    "ATR": Recursion(_atr, _ranges, period),
    "NATR": Recursion(_natr, _ranges, period),
}
