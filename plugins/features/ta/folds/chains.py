"""Averages of other things than a price, and averages that adapt."""

import math
from typing import Any

from plugins.features.ta.folds.arithmetic import fma
from plugins.features.ta.folds.averages import averages, exponential, period, share, share_of, smoothed
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.fold import Field, StepParam, column_of


def lagged(state: Any, value: Any, length: Any) -> Any:
    """The value `length` values ago, out of the ring, which takes in this one; NaN while there is none."""
    if length == 0:
        return value
    place = state.known % length
    before = state.ring[place] if state.known >= length else math.nan
    state.ring[place] = value
    state.known += 1
    return before


def _zlema(state: Any, bar: Any, params: Any, out: Any) -> None:
    price = column_of(bar, params.price)
    before = lagged(state, price, params.lag)
    if params.timeperiod == 1:
        out.real = price
    else:
        out.real = exponential(state, 0, fma(2.0, price, -before), params.timeperiod, params.share)


def _eri(state: Any, bar: Any, params: Any, out: Any) -> None:
    average = exponential(state, 0, bar.close, params.timeperiod, params.share)
    out.bullpower, out.bearpower = bar.high - average, bar.low - average


def _efi(state: Any, bar: Any, params: Any, out: Any) -> None:
    if state.bars > 0:
        force = (bar.close - state.before) * bar.volume
        out.real = exponential(state, 0, force, params.timeperiod, params.share)
    state.bars, state.before = 1, bar.close


def _kc(state: Any, bar: Any, params: Any, out: Any) -> None:
    typical = (bar.high + bar.low + bar.close) / 3.0
    early = typical if state.bars >= params.late else math.nan
    middle = exponential(state, 1, early, params.timeperiod, params.share)
    size = math.nan
    if state.bars >= params.late_range:
        state.started += 1
        if state.started > 1:
            low, high = abs(state.before - bar.low), abs(state.before - bar.high)
            size = smoothed(state, 0, max(bar.high - bar.low, high, low), params.atrperiod)
    state.bars += 1
    state.before = bar.close
    if not math.isnan(size) and not math.isnan(middle):
        width = size * params.nbdev
        out.upperband, out.middleband, out.lowerband = middle + width, middle, middle - width


def _cvi(state: Any, bar: Any, params: Any, out: Any) -> None:
    average = exponential(state, 0, bar.high - bar.low, params.timeperiod, params.share)
    if math.isnan(average):
        return
    before = lagged(state, average, params.rocperiod)
    if not math.isnan(before):
        out.real = 100.0 * ((average - before) / before) if before != 0.0 else 0.0


def _massi(state: Any, bar: Any, params: Any, out: Any) -> None:
    once = exponential(state, 0, bar.high - bar.low, params.fastperiod, params.share)
    twice = exponential(state, 1, once, params.fastperiod, params.share)
    if math.isnan(twice):
        return
    ratio = once / twice if twice != 0.0 else 1.0
    if state.known >= params.slowperiod:
        state.before -= state.ring[state.known % params.slowperiod]
    lagged(state, ratio, params.slowperiod)
    state.before += ratio
    if state.known >= params.slowperiod:
        out.real = state.before


def _tsi(state: Any, bar: Any, params: Any, out: Any) -> None:
    price = column_of(bar, params.price)
    change = price - state.before
    first, state.bars, state.before = state.bars == 0, 1, price
    if first:
        return
    size = exponential(state, 0, abs(change), params.firstperiod, params.first_share)
    change = exponential(state, 1, change, params.firstperiod, params.first_share)
    size = exponential(state, 2, size, params.secondperiod, params.second_share)
    change = exponential(state, 3, change, params.secondperiod, params.second_share)
    if not math.isnan(change):
        out.real = 100.0 * change / size if size > 0.0 else 0.0


def _smi(state: Any, bar: Any, params: Any, out: Any) -> None:
    """Where the close is in the range of the last bars, and the size of that range, each averaged twice."""
    ranged(state, bar, params.timeperiod)
    if state.known < params.timeperiod:
        return
    highest, lowest = highest_of(state, params.timeperiod), lowest_of(state, params.timeperiod)
    size = exponential(state, 0, highest - lowest, params.slowperiod, params.slow_share)
    place = exponential(state, 1, bar.close - (highest + lowest) * 0.5, params.slowperiod, params.slow_share)
    size = exponential(state, 2, size, params.fastperiod, params.fast_share)
    place = exponential(state, 3, place, params.fastperiod, params.fast_share)
    if math.isnan(place):
        return
    half = 0.5 * size
    line = 100.0 * place / half if half > 0.0 else 0.0
    signal = exponential(state, 4, line, params.signalperiod, params.signal_share)
    if not math.isnan(signal):
        out.smi, out.smisignal = line, signal


def ranged(state: Any, bar: Any, length: Any) -> None:
    """Takes the bar into the rings of highs and lows."""
    state.highs[state.known % length], state.lows[state.known % length] = bar.high, bar.low
    state.known += 1


def highest_of(state: Any, length: Any) -> Any:
    highest = state.highs[0]
    for place in range(1, length):
        highest = max(highest, state.highs[place])
    return highest


def lowest_of(state: Any, length: Any) -> Any:
    lowest = state.lows[0]
    for place in range(1, length):
        lowest = min(lowest, state.lows[place])
    return lowest


def _kdj(state: Any, bar: Any, params: Any, out: Any) -> None:
    ranged(state, bar, params.fastk_period)
    if state.known < params.fastk_period:
        return
    lowest, highest = lowest_of(state, params.fastk_period), highest_of(state, params.fastk_period)
    flat = highest - lowest <= 1e-14 * (abs(highest) + abs(lowest))
    fast = 0.0 if flat else (bar.close - lowest) / (highest - lowest) * 100.0
    k = smoothed(state, 0, fast, params.slowk_period)
    d = smoothed(state, 1, k, params.slowd_period)
    if not math.isnan(d):
        out.k, out.d, out.j = k, d, 3.0 * k - 2.0 * d


def _kama(state: Any, bar: Any, params: Any, out: Any) -> None:
    """The efficiency of the way from the close `timeperiod` bars ago decides the share of a new close."""
    price, n = column_of(bar, params.price), params.timeperiod
    if n == 1:
        out.real = price
        return
    if state.bars > n:
        state.way -= abs(state.leaving - state.ring[state.known % n])
    if state.bars > 0:
        state.way += abs(price - state.before)
    before = lagged(state, price, n)
    if state.bars >= n:
        state.average = state.before if state.bars == n else state.average
        moved = price - before
        efficiency = 1.0
        if not (state.way <= moved or abs(state.way) < 1e-14):
            efficiency = abs(moved / state.way)
        slowest = 2.0 / (30.0 + 1.0)
        part = fma(efficiency, 2.0 / (2.0 + 1.0) - slowest, slowest)
        part *= part
        state.average = fma(price - state.average, part, state.average)
        state.leaving = before
        out.real = state.average
    state.bars += 1
    state.before = price


def _ring(length: int, *more: str) -> list[Field]:
    return [*averages(2, "before", *more), ("known", "i8"), ("ring", "f8", (length,))]


def _changes(params: Params) -> list[Field]:
    return averages(4, "before")


def _ranges(count: int, length: int) -> list[Field]:
    return [*averages(count), ("known", "i8"), ("highs", "f8", (length,)), ("lows", "f8", (length,))]


def _smi_shares(params: Params) -> dict[str, StepParam]:
    return {f"{name}_share": share_of(params[f"{name}period"]) for name in ("slow", "fast", "signal")}


def _tsi_shares(params: Params) -> dict[str, StepParam]:
    return {f"{name}_share": share_of(params[f"{name}period"]) for name in ("first", "second")}


def _kc_shares(params: Params) -> dict[str, StepParam]:
    """Of both averages the one with the shorter way to its first value begins later."""
    ahead = params["atrperiod"] - (period(params) - 1)
    return {"share": share_of(period(params)), "late": max(ahead, 0), "late_range": max(-ahead, 0)}


CHAINS = {
    "ZLEMA": Recursion(
        _zlema,
        lambda params: _ring((period(params) - 1) // 2),
        lambda params: (period(params) - 1) // 2 + period(params) - 1,
        lambda params: {**share(params), "lag": (period(params) - 1) // 2},
    ),
    "ERI": Recursion(_eri, _changes, lambda params: period(params) - 1, share),
    "EFI": Recursion(_efi, _changes, period, share),
    "KC": Recursion(
        _kc,
        lambda params: [*_changes(params), ("started", "i8")],
        lambda params: max(period(params) - 1, params["atrperiod"]),
        _kc_shares,
    ),
    "CVI": Recursion(
        _cvi,
        lambda params: _ring(params["rocperiod"]),
        lambda params: period(params) - 1 + params["rocperiod"],
        share,
    ),
    "MASSI": Recursion(
        _massi,
        lambda params: _ring(params["slowperiod"]),
        lambda params: 2 * (params["fastperiod"] - 1) + params["slowperiod"] - 1,
        lambda params: {"share": share_of(params["fastperiod"])},
    ),
    "TSI": Recursion(_tsi, _changes, lambda params: params["firstperiod"] + params["secondperiod"] - 1, _tsi_shares),
    "SMI": Recursion(
        _smi,
        lambda params: _ranges(5, period(params)),
        lambda params: period(params) + sum(params[f"{name}period"] for name in ("slow", "fast", "signal")) - 4,
        _smi_shares,
    ),
    "KDJ": Recursion(
        _kdj,
        lambda params: _ranges(2, params["fastk_period"]),
        lambda params: params["fastk_period"] + params["slowk_period"] + params["slowd_period"] - 3,
        averages=(13,),
    ),
    "KAMA": Recursion(
        _kama,
        lambda params: _ring(period(params), "way", "leaving", "average"),
        lambda params: period(params) if period(params) > 1 else 0,
    ),
}
