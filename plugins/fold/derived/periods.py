"""Bars of a longer interval out of a symbol's bars, one after another; compiled, many symbols at once.

A longer bar ``(begin, end]`` is complete when a bar closes at its end. If the first one after it closes later, the last
part is missing: the longer bar is complete before that bar is looked at, and partial.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from plugins.base import FloatArray
from plugins.base.bars import BAR, COLUMNS
from plugins.base.streaming import IntArray, Rows
from plugins.fold.derived.clock import Clock
from plugins.fold.kernel import compile_function

PERIOD = np.dtype(
    [("end", "i8"), ("bars", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8")]
)
"""The longer bar that is forming, of so many bars; none of 0."""
Completed = tuple[IntArray, Rows, FloatArray]
"""Of each longer bar that is complete now: the row of the bar with which it is, itself, and is it partial (1)?"""


def fold_periods(
    states: Rows, held: FloatArray, slots: IntArray, bars: Rows, clock: Clock, reads: "np.ndarray[Any, Any]",
    outs: FloatArray,
) -> Completed:  # fmt: skip
    """Steps over `bars` in order.

    Parameters
    ----------
    states
        One of `PERIOD` for each slot; they move on.
    held
        By slot, what is known of the last longer bar; a row of `outs` gets it as it is before.
    reads
        Which of `COLUMNS` are needed. A bar with NaN in one of them is passed over, and its row of `outs` is NaN.
    """
    rows, partial = np.empty(2 * len(slots), np.int64), np.empty(2 * len(slots))
    made, count = np.empty(2 * len(slots), BAR), np.zeros(1, np.int64)
    _compiled()(
        states, held, slots, bars, reads, clock.length_ms, clock.opens, clock.closes, outs, rows, made, partial, count
    )
    known = int(count[0])
    return rows[:known], made[:known], partial[:known]


def hold(
    held: FloatArray, slots: IntArray, bars: Rows, reads: "np.ndarray[Any, Any]", rows: IntArray, new: FloatArray,
    outs: FloatArray,
) -> None:  # fmt: skip
    """From row `rows[k]` on, the symbol's `held` and its rows of `outs` are what is `new[k]`."""
    _compiled_hold()(held, slots, bars, reads, rows, new, outs)


def reads_of(columns: tuple[str, ...]) -> "np.ndarray[Any, Any]":
    return np.array([name in columns for name in COLUMNS])


def unknown(bar: Any, reads: Any) -> bool:
    """Has it NaN where a number is needed?"""
    return (
        (reads[0] and math.isnan(bar.open))
        or (reads[1] and math.isnan(bar.high))
        or (reads[2] and math.isnan(bar.low))
        or (reads[3] and math.isnan(bar.close))
        or (reads[4] and math.isnan(bar.volume))
    )


def end_of(time: int, length: int, opens: Any, closes: Any) -> int:
    """End of the period in which a bar closes at `time`; -1: in none."""
    if len(closes) == 0:
        return -(-time // length) * length
    low, high = 0, len(closes)
    while low < high:
        middle = (low + high) // 2
        if closes[middle] < time:
            low = middle + 1
        else:
            high = middle
    if low < len(closes) and opens[low] < time:
        return closes[low]  # type: ignore[no-any-return]
    return -1


def complete(state: Any, made: Any) -> None:
    """The longer bar is made; none is forming."""
    made.time, made.open, made.high = state.end, state.open, state.high
    made.low, made.close, made.volume = state.low, state.close, state.volume
    state.bars = 0


def take_in(state: Any, bar: Any, reads: Any) -> None:
    """One more bar of the longer one that is forming; what is not read is not kept."""
    if state.bars == 0:
        state.open, state.high, state.low, state.volume = bar.open, bar.high, bar.low, bar.volume
    else:
        if reads[1] and bar.high > state.high:
            state.high = bar.high
        if reads[2] and bar.low < state.low:
            state.low = bar.low
        if reads[4]:
            state.volume += bar.volume
    state.close = bar.close
    state.bars += 1


def _fold(
    states: Any, held: Any, slots: Any, bars: Any, reads: Any, length: int, opens: Any, closes: Any, outs: Any,
    rows: Any, made: Any, partial: Any, count: Any,
) -> None:  # fmt: skip
    known = 0
    for i in range(len(slots)):
        state, bar = states[slots[i]], bars[i]
        if unknown(bar, reads):
            for column in range(outs.shape[1]):
                outs[i, column] = math.nan
            continue
        for column in range(outs.shape[1]):
            outs[i, column] = held[slots[i], column]
        if state.bars > 0 and bar.time > state.end:
            complete(state, made[known])
            rows[known], partial[known] = i, 1.0
            known += 1
        if state.bars == 0:
            state.end = end_of(bar.time, length, opens, closes)
        if state.end < 0:
            continue
        take_in(state, bar, reads)
        if bar.time == state.end:
            complete(state, made[known])
            rows[known], partial[known] = i, 0.0
            known += 1
    count[0] = known


def _hold(held: Any, slots: Any, bars: Any, reads: Any, rows: Any, new: Any, outs: Any) -> None:
    known = 0
    for i in range(rows[0], len(slots)):
        slot = slots[i]
        while known < len(rows) and rows[known] == i:
            for column in range(outs.shape[1]):
                held[slot, column] = new[known, column]
            known += 1
        if not unknown(bars[i], reads):
            for column in range(outs.shape[1]):
                outs[i, column] = held[slot, column]


def _examples() -> tuple[Any, ...]:
    """Arrays as they may come: parts of others, not to be written to."""
    states, held = np.zeros(4, PERIOD)[::2], np.zeros((4, 4))[::2, ::2]
    slots, bars, reads = np.zeros(1, np.int64), np.zeros(1, BAR), np.zeros(len(COLUMNS), np.bool_)
    for array in (slots, bars, reads):
        array.flags.writeable = False
    return states, held, slots, bars, reads


@cache
def _compiled() -> Any:
    states, held, slots, bars, reads = _examples()
    return compile_function(
        _fold, states, held, slots, bars, reads, 1, slots, slots, held, np.zeros(1, np.int64), np.zeros(1, BAR),
        np.zeros(1), np.zeros(1, np.int64),
    )  # fmt: skip


@cache
def _compiled_hold() -> Any:
    _, held, slots, bars, reads = _examples()
    return compile_function(_hold, held, slots, bars, reads, slots, np.zeros((1, 1)), held)


def prepare() -> None:
    _compiled()
    _compiled_hold()
