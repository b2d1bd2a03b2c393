"""Which decisions of a symbol say something new: for strategies that publish changes only.

A decision is new when its signal or its weight differs from the last one that was published of its symbol. One that is
not is published all the same when the last one is a heartbeat old, by the bars' own times, so that silence never lasts
longer than that while bars come; and when something else is in force since then (another model, the end of a pause).

>>> bars = DecidedBars(np.zeros(5, np.int64), np.arange(5), 60_000 * np.arange(5))
>>> weights = np.array([1.0, 1.0, np.nan, np.nan, np.nan])
>>> Changes(180_000).news(new_states(1), bars, ["BUY", "BUY", "HOLD", "HOLD", "HOLD"], weights)
array([0, 2])
>>> Changes(120_000).news(new_states(1), bars, ["BUY"] * 5, np.ones(5))
array([0, 2, 4])
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import IntArray, Rows

STATE = np.dtype([("era", "i8"), ("time", "i8"), ("word", "i8"), ("number", "f8"), ("weight", "f8")])
"""Of the last published decision: what was in force (0: none was published), the bar's close (ms), and what it said."""
LAYOUT = "changes-1"
WORDS = {"BUY": 1, "SELL": 2, "HOLD": 3, "FLAT": 4}
"""Every other signal is a number."""


def new_states(size: int) -> Rows:
    """Of symbols about which nothing is published yet."""
    return np.zeros(size, STATE)


@dataclass(frozen=True)
class DecidedBars:
    """Bars about which there is a decision: slot, offset and close (ms) of each."""

    slots: IntArray
    offsets: IntArray
    times: IntArray


@dataclass(frozen=True)
class Changes:
    """What is published of a strategy that publishes changes; `heartbeat_ms`: the longest silence."""

    heartbeat_ms: int

    def new_states(self, size: int) -> Rows:
        return new_states(size)

    def news(
        self,
        states: Rows,
        bars: DecidedBars,
        signals: Sequence[str | float],
        weights: FloatArray,
        in_force_from: int = 0,
    ) -> IntArray:
        """Numbers of the decisions that are published; `states` move on.

        Parameters
        ----------
        signals, weights
            The decisions, one a bar (NaN: no weight), each symbol's in the order of its bars.
        in_force_from
            Offset from which on what decided is in force: the first bar of each symbol from there on is published.
        """
        words = np.array([WORDS.get(signal, 0) if isinstance(signal, str) else 0 for signal in signals], np.int64)
        numbers = np.array([0.0 if isinstance(signal, str) else signal for signal in signals], np.float64)
        eras = np.where(bars.offsets >= in_force_from, in_force_from + 2, 1)
        new = np.zeros(len(signals), np.bool_)
        _step(
            states, bars.slots, eras, np.ascontiguousarray(bars.times), words, numbers, weights, self.heartbeat_ms, new
        )
        return np.flatnonzero(new)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _step(
    states: Rows,
    slots: IntArray,
    eras: IntArray,
    times: IntArray,
    words: IntArray,
    numbers: FloatArray,
    weights: FloatArray,
    heartbeat_ms: int,
    new: NDArray[np.bool_],
) -> None:
    for i in range(len(slots)):
        last = states[slots[i]]
        kept = last.weight == weights[i] or (np.isnan(last.weight) and np.isnan(weights[i]))
        same = last.era == eras[i] and last.word == words[i] and last.number == numbers[i] and kept
        if not same or times[i] - last.time >= heartbeat_ms:
            last.era, last.time = eras[i], times[i]
            last.word, last.number, last.weight = words[i], numbers[i], weights[i]
            new[i] = True
