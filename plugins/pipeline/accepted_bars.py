"""Bars that the gate accepted, and their feature values: arrays whose rows stay together.

>>> import numpy as np
>>> from plugins.base.streaming import trial_bars
>>> accepted = AcceptedBars(trial_bars(3), np.array([0, 1, 0]), np.arange(7, 10), np.zeros(3, np.int64), ["A", "B"])
>>> accepted.names
['A', 'B', 'A']
>>> accepted.at(accepted.slots == 0).offsets
array([7, 9])
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import IntArray, Rows
from plugins.news.join import BarNews


@dataclass(slots=True)
class AcceptedBars:
    """Bars of one interval that passed the gate, in log order. Row i of every array belongs to bar i.

    Parameters
    ----------
    bars
        Shape (bars,), dtype `plugins.base.bars.BAR`: close time in ms since the epoch (UTC), prices, volume.
    slots
        Shape (bars,): the place of the bar's symbol in `symbols` and in every array of states.
    offsets
        Shape (bars,): the bar's offset in the log.
    gaps
        Shape (bars,): intervals without a bar before this one; `plugins.fold.gate.FIRST` for a symbol's first bar.
    symbols
        The symbol of each slot.
    news
        The news of each bar; None: unknown.
    """

    bars: Rows
    slots: IntArray
    offsets: IntArray
    gaps: IntArray
    symbols: Sequence[str]
    news: BarNews | None = None

    def __len__(self) -> int:
        return len(self.slots)

    def at(self, rows: IntArray | NDArray[np.bool_]) -> "AcceptedBars":
        """The bars of `rows` (numbers, or a mask), as copies."""
        news = None if self.news is None else self.news.at(rows)
        return AcceptedBars(
            self.bars[rows], self.slots[rows], self.offsets[rows], self.gaps[rows], self.symbols, news
        )  # fmt: skip

    def without_news(self) -> "AcceptedBars":
        """The same bars, their news unknown."""
        return AcceptedBars(self.bars, self.slots, self.offsets, self.gaps, self.symbols)

    @property
    def times(self) -> IntArray:
        """Close times in ms since the epoch (UTC)."""
        times: IntArray = self.bars["time"]
        return times

    @property
    def names(self) -> list[str]:
        """The symbol of each bar."""
        symbols = self.symbols
        return [symbols[slot] for slot in self.slots.tolist()]

    def names_at(self, rows: IntArray) -> list[str]:
        """The symbols of the bars `rows`."""
        symbols = self.symbols
        return [symbols[slot] for slot in self.slots[rows].tolist()]

    def describe(self, row: int) -> str:
        """One bar in words, for messages."""
        return f"{self.symbols[int(self.slots[row])]} at time {int(self.bars['time'][row])}"


@dataclass(slots=True)
class FeatureRows:
    """Accepted bars with the values of a strategy's features.

    Parameters
    ----------
    accepted
        The bars.
    values
        Shape (bars, columns), in the order of `ReadyStrategy.columns`; NaN while a feature warms up.
    counts
        Shape (bars,): the bar's number among its symbol's bars, from 1.
    """

    accepted: AcceptedBars
    values: FloatArray
    counts: IntArray

    def __len__(self) -> int:
        return len(self.counts)
