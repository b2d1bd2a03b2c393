"""Running totals of prices and volumes, and candles out of candles."""

import math
from typing import Any

from plugins.features.ta.folds.arithmetic import fma
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.fold import Field, column_of


def _ad(state: Any, bar: Any, params: Any, out: Any) -> None:
    size = bar.high - bar.low
    if size > 0.0:
        share = ((bar.close - bar.low) - (bar.high - bar.close)) / size
        state.total += share * bar.volume
    out.real = state.total


def _adosc(state: Any, bar: Any, params: Any, out: Any) -> None:
    """The fast average of the line less the slow one; both begin with its first value."""
    size = bar.high - bar.low
    if size > 0.0:
        share = ((bar.close - bar.low) - (bar.high - bar.close)) / size
        state.total += share * bar.volume
    if state.bars == 0:
        state.fast, state.slow = state.total, state.total
    else:
        state.fast = fma(1.0 - params.fast_share, state.fast, params.fast_share * state.total)
        state.slow = fma(1.0 - params.slow_share, state.slow, params.slow_share * state.total)
    state.bars += 1
    if state.bars >= max(params.fastperiod, params.slowperiod):
        out.real = state.fast - state.slow


def _cumsum(state: Any, bar: Any, params: Any, out: Any) -> None:
    state.total += column_of(bar, params.price)
    out.real = state.total


def _obv(state: Any, bar: Any, params: Any, out: Any) -> None:
    price = column_of(bar, params.price)
    if state.bars == 0:
        state.total = bar.volume
    elif price > state.before:
        state.total += bar.volume
    elif price < state.before:
        state.total -= bar.volume
    state.bars, state.before = 1, price
    out.real = state.total


def _index(state: Any, bar: Any, out: Any, moves: Any) -> None:
    """An index from 1000 on that takes part in the close's changes at the bars that `moves` says."""
    if state.bars == 0:
        state.total = 1000.0
    elif moves and state.before != 0.0:
        moved = state.total + (bar.close - state.before) / state.before * state.total
        if math.isfinite(moved):
            state.total = moved
    state.bars, state.before, state.volume = 1, bar.close, bar.volume
    out.real = state.total


def _nvi(state: Any, bar: Any, params: Any, out: Any) -> None:
    _index(state, bar, out, bar.volume < state.volume)


def _pvi(state: Any, bar: Any, params: Any, out: Any) -> None:
    _index(state, bar, out, bar.volume > state.volume)


def _pvt(state: Any, bar: Any, params: Any, out: Any) -> None:
    if state.bars > 0 and state.before != 0.0:
        state.total += (bar.close - state.before) / state.before * bar.volume
    state.bars, state.before = 1, bar.close
    out.real = state.total


def _wad(state: Any, bar: Any, params: Any, out: Any) -> None:
    before = state.before
    if state.bars > 0 and bar.close > before:
        state.total += bar.close - (before if before < bar.low else bar.low)
    elif state.bars > 0 and bar.close < before:
        state.total += bar.close - (before if before > bar.high else bar.high)
    state.bars, state.before = 1, bar.close
    out.real = state.total


def _vwap(state: Any, bar: Any, params: Any, out: Any) -> None:
    traded = (bar.high + bar.low + bar.close) / 3.0 * bar.volume
    if math.isfinite(traded):
        state.total += traded
        state.volume += bar.volume
    if state.volume > 0.0:
        state.before = state.total / state.volume
    out.real = state.before


def _ha(state: Any, bar: Any, params: Any, out: Any) -> None:
    opened = (bar.open + bar.close) / 2.0 if state.bars == 0 else (state.before + state.total) / 2.0
    closed = (((bar.open + bar.high) + bar.low) + bar.close) / 4.0
    state.bars, state.before, state.total = 1, opened, closed
    out.haopen, out.haclose = opened, closed
    out.hahigh = max(bar.high, opened, closed)
    out.halow = min(bar.low, opened, closed)


def _totals(params: Params) -> list[Field]:
    return [("bars", "i8"), *((name, "f8") for name in ("total", "before", "volume"))]


def _oscillator(params: Params) -> list[Field]:
    return [("bars", "i8"), *((name, "f8") for name in ("total", "fast", "slow"))]


def _now(params: Params) -> int:
    return 0


RUNNING = {
    "AD": Recursion(_ad, _totals, _now),
    "ADOSC": Recursion(
        _adosc,
        _oscillator,
        lambda params: max(params["fastperiod"], params["slowperiod"]) - 1,
        lambda params: {f"{name}_share": 2.0 / (params[f"{name}period"] + 1) for name in ("fast", "slow")},
    ),
    "CUMSUM": Recursion(_cumsum, _totals, _now),
    "HA": Recursion(_ha, _totals, _now),
    "NVI": Recursion(_nvi, _totals, _now),
    "OBV": Recursion(_obv, _totals, _now),
    "PVI": Recursion(_pvi, _totals, _now),
    "PVT": Recursion(_pvt, _totals, _now),
    "VWAP": Recursion(_vwap, _totals, _now),
    "WAD": Recursion(_wad, _totals, _now),
}
