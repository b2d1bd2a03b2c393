"""Exponential averages and what is made of them alone."""

import math
from typing import Any

from plugins.features.ta.folds.arithmetic import fma
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.fold import Field, StepParam, column_of


def exponential(state: Any, number: int, value: Any, period: Any, share: Any) -> Any:
    """The next value of exponential average `number` of a state: the mean of its first `period` values, then moved
    towards each new one by its `share`; NaN before, and for NaN.
    """
    if math.isnan(value):
        return value
    count = state.counts[number]
    if count >= period:
        if period == 1:
            return value
        state.averages[number] = fma(value - state.averages[number], share, state.averages[number])
        return state.averages[number]
    state.counts[number] = count + 1
    state.averages[number] += value
    if count + 1 < period:
        return math.nan
    state.averages[number] /= period
    return state.averages[number]


def smoothed(state: Any, number: int, value: Any, period: Any) -> Any:
    """The same by Wilder: a new value's share is one part in `period`."""
    if math.isnan(value):
        return value
    if state.counts[number] >= period:
        kept = (period - 1) / period
        state.averages[number] = fma(kept, state.averages[number], (1.0 - kept) * value)
        return state.averages[number]
    return exponential(state, number, value, period, 0.0)


def share_of(period: int) -> float:
    """Of a new value, in an exponential average."""
    return 2.0 / (period + 1)


def averages(count: int, *more: str) -> list[Field]:
    """Fields of a state: `count` averages, and more numbers."""
    return [("bars", "i8"), ("counts", "i8", (count,)), ("averages", "f8", (count,)), *((name, "f8") for name in more)]


def share(params: Params) -> dict[str, StepParam]:
    return {"share": share_of(params["timeperiod"])}


def period(params: Params) -> int:
    return int(params["timeperiod"])


def _ema(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = exponential(state, 0, column_of(bar, params.price), params.timeperiod, params.share)


def _rma(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = smoothed(state, 0, column_of(bar, params.price), params.timeperiod)


def _dema(state: Any, bar: Any, params: Any, out: Any) -> None:
    once = exponential(state, 0, column_of(bar, params.price), params.timeperiod, params.share)
    out.real = 2.0 * once - exponential(state, 1, once, params.timeperiod, params.share)


def _tema(state: Any, bar: Any, params: Any, out: Any) -> None:
    once = exponential(state, 0, column_of(bar, params.price), params.timeperiod, params.share)
    twice = exponential(state, 1, once, params.timeperiod, params.share)
    thrice = exponential(state, 2, twice, params.timeperiod, params.share)
    out.real = thrice + (3.0 * once - 3.0 * twice)


def _trix(state: Any, bar: Any, params: Any, out: Any) -> None:
    value, before = column_of(bar, params.price), state.averages[2]
    for number in range(3):
        value = exponential(state, number, value, params.timeperiod, params.share)
    if not math.isnan(value):
        if params.timeperiod == 1:
            before, state.averages[2] = state.averages[2], value
        if state.bars > 0:
            out.real = (value / before - 1.0) * 100.0 if before != 0.0 else 0.0
        state.bars = 1


def _t3(state: Any, bar: Any, params: Any, out: Any) -> None:
    value = column_of(bar, params.price)
    if params.timeperiod == 1:
        out.real = value
        return
    kept = 1.0 - params.share
    for number in range(6):
        count = state.counts[number]
        if count >= params.timeperiod:
            state.averages[number] = fma(kept, state.averages[number], params.share * value)
        else:
            state.counts[number] = count + 1
            state.averages[number] += value
            if count + 1 < params.timeperiod:
                return
            state.averages[number] /= params.timeperiod
        value = state.averages[number]
    v = params.vfactor
    square = v * v
    first = -(square * v)
    second = 3.0 * (square - first)
    third = -6.0 * square - 3.0 * (v - first)
    fourth = fma(3.0, square, fma(3.0, v, 1.0) - first)
    e = state.averages
    out.real = fma(fourth, e[2], fma(third, e[3], fma(first, e[5], second * e[4])))


def _macd(state: Any, bar: Any, params: Any, out: Any) -> None:
    """Both averages begin with means that end at the same bar."""
    state.bars += 1
    price = column_of(bar, params.price)
    late = price if state.bars > params.slow - params.fast else math.nan
    fast = exponential(state, 0, late, params.fast, params.fast_share)
    line = fast - exponential(state, 1, price, params.slow, params.slow_share)
    signal = exponential(state, 2, line, params.signalperiod, params.signal_share)
    if not math.isnan(signal):
        out.macd, out.macdsignal, out.macdhist = line, signal, line - signal


def _line(state: Any, value: Any, params: Any) -> Any:
    """The fast average less the slow one; both begin with the first bar."""
    fast = exponential(state, 0, value, params.fast, params.fast_share)
    return fast - exponential(state, 1, value, params.slow, params.slow_share)


def _apo(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = _line(state, column_of(bar, params.price), params)


def _percent(state: Any, value: Any, params: Any) -> Any:
    line = _line(state, value, params)
    slow = value if params.slow == 1 else state.averages[1]
    if math.isnan(line):
        return line
    return line / slow * 100.0 if slow != 0.0 else 0.0


def _ppo(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = _percent(state, column_of(bar, params.price), params)


def _pvo(state: Any, bar: Any, params: Any, out: Any) -> None:
    out.real = _percent(state, bar.volume, params)


def _two(params: Params) -> dict[str, StepParam]:
    fast, slow = sorted((params["fastperiod"], params["slowperiod"]))
    shares = {"fast_share": share_of(fast), "slow_share": share_of(slow)}
    return {"fast": fast, "slow": slow, "signal_share": share_of(params.get("signalperiod", 1)), **shares}


def _fixed(params: Params) -> dict[str, StepParam]:
    return {
        "fast": 12, "slow": 26, "fast_share": 0.15, "slow_share": 0.075,
        "signal_share": share_of(params["signalperiod"]),
    }  # fmt: skip


def _slow(params: Params) -> int:
    return int(max(params["fastperiod"], params["slowperiod"])) - 1


AVERAGES = {
    "EMA": Recursion(_ema, lambda params: averages(1), lambda params: period(params) - 1, share),
    "RMA": Recursion(_rma, lambda params: averages(1), lambda params: period(params) - 1),
    "DEMA": Recursion(_dema, lambda params: averages(2), lambda params: 2 * (period(params) - 1), share),
    "TEMA": Recursion(_tema, lambda params: averages(3), lambda params: 3 * (period(params) - 1), share),
    "TRIX": Recursion(_trix, lambda params: averages(3), lambda params: 3 * (period(params) - 1) + 1, share),
    "T3": Recursion(_t3, lambda params: averages(6), lambda params: 6 * (period(params) - 1), share),
    "MACD": Recursion(
        _macd, lambda params: averages(3), lambda params: _slow(params) + params["signalperiod"] - 1, _two
    ),
    "MACDFIX": Recursion(_macd, lambda params: averages(3), lambda params: 24 + params["signalperiod"], _fixed),
    "APO": Recursion(_apo, lambda params: averages(2), _slow, _two, (1,)),
    "PPO": Recursion(_ppo, lambda params: averages(2), _slow, _two, (1,)),
    "PVO": Recursion(_pvo, lambda params: averages(2), _slow, _two, (1,)),
}
