"""The gate in front of all strategies of one interval: which bars are new, which repeat, correct or come too late.

Bars of one symbol go forward (rules of time, 4). The gate remembers the open times and hashes of each symbol's last
64 bars; what it lets through is strictly newer than everything before it. A bar of a minute or longer opens at a whole
minute. One that begins within an interval after the last one's end is off the symbol's grid: it would make the two late
that it overlaps. After a longer gap, and by whole hours (summer time), the grid may shift.

>>> from plugins.base.streaming import trial_bars
>>> bars = trial_bars(4)[[0, 1, 1, 3]]
>>> verdicts, gaps = judge(np.zeros(1, STATE), np.zeros(4, np.int64), bars, interval_ms=60_000)
>>> [GateVerdict(verdict).name for verdict in verdicts]
['ACCEPTED', 'ACCEPTED', 'REPEAT', 'ACCEPTED']
>>> gaps[verdicts == GateVerdict.ACCEPTED].tolist()
[-1, 0, 1]
"""

import math
from enum import IntEnum
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import BAR
from schemas.wire.fields import MONTH_MS, MONTH_SLACK_MS, grid_ms

MEMORY = 64
STATE = np.dtype(
    [
        ("count", "i8"),
        ("open_time", "i8"),
        ("close_time", "i8"),
        ("times", "i8", (MEMORY,)),
        ("hashes", "u8", (MEMORY,)),
    ]
)
LAYOUT = f"gate-1-{MEMORY}"
HOUR_MS = 3_600_000
WORDS = BAR.itemsize // 8
"""Of 64 bits in a bar; the first is its close."""
NEVER = -(2**63)
"""The close of the last bar of a symbol that has none; bars may be older than 1970."""
FIRST = -1
"""The gap of a symbol's first bar: there is nothing before it."""


class GateVerdict(IntEnum):
    ACCEPTED = 0
    REPEAT = 1
    CORRECTION = 2
    LATE = 3
    OFF_GRID = 4


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hash(words: NDArray[np.uint64]) -> np.uint64:
    """64-bit mix (splitmix64's finaliser) of a bar's six words."""
    value = np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(words)):
        value = (value ^ words[i]) * np.uint64(0xBF58476D1CE4E5B9)
        value ^= value >> np.uint64(31)
        value *= np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(29)
    return value


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _judge(
    states: NDArray[np.void],
    slots: NDArray[np.int64],
    words: NDArray[np.uint64],
    interval: int,
    grid: int,
    phase: int,
    unit: int,
    verdicts: NDArray[np.int8],
    gaps: NDArray[np.int64],
) -> None:
    for i in range(len(slots)):
        state = states[slots[i]]
        closed = np.int64(words[i, 0])
        opened = closed - interval
        digest = _hash(words[i])
        apart = opened - state.close_time
        if state.count == 0 or apart >= 0:
            if opened % grid != 0 or (state.count > 0 and apart < interval and apart % phase != 0):
                verdicts[i] = 4
                continue
            gaps[i] = apart // unit if state.count > 0 else -1
            verdicts[i] = 0
            state.times[state.count % 64] = opened
            state.hashes[state.count % 64] = digest
            state.count += 1
            state.open_time = opened
            state.close_time = closed
            continue
        verdicts[i] = 3
        for k in range(min(state.count, 64)):
            if state.times[k] == opened:
                verdicts[i] = 1 if state.hashes[k] == digest else 2
                break


def judge(
    states: NDArray[np.void], slots: NDArray[np.int64], bars: NDArray[np.void], interval_ms: int
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Judges bars in order.

    Parameters
    ----------
    states
        One for each slot, of dtype `STATE`; they move on.
    slots
        Shape (bars,): the slot of each bar's symbol.
    bars
        Shape (bars,), of dtype `plugins.base.bars.BAR`.
    interval_ms
        How far the closes of bars in a row are apart (`schemas.wire.fields.spacing_ms`). 0: nobody knows. Each that
        closes after the one before is then new, and nothing is missing between them. Months: each that closes as much
        later as the shortest of them is long is new, and what is missing counts in months.

    Returns
    -------
    tuple
        Two arrays of shape (bars,): the `GateVerdict`, and of an accepted bar the gap before it in intervals (`FIRST`
        for a symbol's first bar).
    """
    verdicts = np.empty(len(bars), np.int8)
    gaps = np.zeros(len(bars), np.int64)
    words = np.ndarray((len(bars), WORDS), np.uint64, np.ascontiguousarray(bars))
    if interval_ms and interval_ms % MONTH_MS == 0:
        shortest = interval_ms - MONTH_SLACK_MS
        _judge(states, slots, words, shortest, 1, 1, 1, verdicts, gaps)
        later = (gaps != FIRST) & (verdicts == GateVerdict.ACCEPTED)
        gaps[later] = np.rint((gaps[later] + shortest) / interval_ms).astype(np.int64) - 1
        return verdicts, gaps
    length = interval_ms or 1
    _judge(states, slots, words, length, *_grid(length), length, verdicts, gaps)
    if not interval_ms:
        np.minimum(gaps, 0, out=gaps)
    return verdicts, gaps


@cache
def _grid(interval_ms: int) -> tuple[int, int]:
    """Where bars may open, and by what the grid may shift."""
    return grid_ms(interval_ms), math.gcd(interval_ms, HOUR_MS)


def begins(
    last: NDArray[np.int64], slots: NDArray[np.int64], times: NDArray[np.int64], interval_ms: int
) -> NDArray[np.int64]:
    """Since when the news of each accepted bar counts.

    Parameters
    ----------
    last
        Close of each slot's last bar, in ms since the epoch (UTC); `NEVER`: none. It moves on.
    slots, times
        Shape (bars,): the slot of each bar's symbol, and its close.

    Returns
    -------
    NDArray
        Shape (bars,): the close of the symbol's bar before; for its first bar, that bar's own opening (its close where
        `interval_ms` is 0: none is known, and no news counts).
    """
    starts = np.empty(len(slots), np.int64)
    _begins(last, slots, np.ascontiguousarray(times), interval_ms, starts)
    return starts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _begins(
    last: NDArray[np.int64],
    slots: NDArray[np.int64],
    times: NDArray[np.int64],
    interval: int,
    starts: NDArray[np.int64],
) -> None:
    for i in range(len(slots)):
        starts[i] = last[slots[i]] if last[slots[i]] != NEVER else times[i] - interval
        last[slots[i]] = times[i]
