"""Bars that the gate accepted, and their feature values: arrays whose rows stay together.

>>> import numpy as np
>>> from plugins.base.streaming import trial_bars
>>> accepted = AcceptedBars(trial_bars(3), np.array([0, 1, 0]), np.arange(7, 10), np.zeros(3, np.int64), ["A", "B"])
>>> accepted.names
['A', 'B', 'A']
>>> accepted.at(accepted.slots == 0).offsets
array([7, 9])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseModel, FloatArray
from plugins.base.streaming import IntArray, Rows
from plugins.side_inputs.news.join import BarNews


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
    beside
        By name, columns of references.
    """

    bars: Rows
    slots: IntArray
    offsets: IntArray
    gaps: IntArray
    symbols: Sequence[str]
    news: BarNews | None = None
    beside: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.slots)

    def at(self, rows: IntArray | NDArray[np.bool_]) -> "AcceptedBars":
        """The bars of `rows` (numbers, or a mask), as copies."""
        news = None if self.news is None else self.news.at(rows)
        beside = {name: values[rows] for name, values in self.beside.items()}
        return AcceptedBars(
            self.bars[rows], self.slots[rows], self.offsets[rows], self.gaps[rows], self.symbols, news, beside
        )  # fmt: skip

    def without_news(self) -> "AcceptedBars":
        """The same bars, their news unknown."""
        return replace(self, news=None)

    def given(self, name: str) -> FloatArray:
        """A column that no feature gives; what is not known is NaN."""
        news = self.news.columns if self.news else {}
        found = news.get(name, self.beside.get(name))
        return np.full(len(self), np.nan) if found is None else found

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


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a model was asked: about which rows, and, where it looks back, after which (`before`)."""

    model: BaseModel
    columns: list[str]
    before: object
    rows: IntArray

    def equals(self, other: "Asked") -> bool:
        """Is the answer the same?"""
        if self.model is not other.model or self.before is not other.before or self.columns != other.columns:
            return False
        return self.rows is other.rows or np.array_equal(self.rows, other.rows)


class Least(NamedTuple):
    """Of some bars, or a bound below: the number among its symbol's bars, and the close in ms since the epoch (UTC)."""

    number: int
    time: int


class FeatureRows:
    """Accepted bars with the values of a strategy's features; strategies may share them, so nobody writes to them.

    Parameters
    ----------
    accepted
        The bars.
    values
        Shape (bars, columns), in the order of `ReadyStrategy.columns`; NaN while a feature warms up.
    counts
        Shape (bars,): the bar's number among its symbol's bars, from 1.
    least
        What no bar is below.
    """

    def __init__(self, accepted: AcceptedBars, values: FloatArray, counts: IntArray, least: Least) -> None:
        self.accepted, self.values, self.counts, self.least = accepted, values, counts, least
        self.rows: IntArray = np.arange(len(counts))
        """The numbers of all rows."""
        self._predictions: list[tuple[Asked, FloatArray]] = []

    def __len__(self) -> int:
        return len(self.counts)

    def at(self, rows: IntArray) -> "FeatureRows":
        """The same for the bars `rows`, as copies."""
        return FeatureRows(self.accepted.at(rows), self.values[rows], self.counts[rows], self.least)

    def since(self, offset: int, time: int) -> IntArray:
        """Numbers of the bars from this offset on that close then or later."""
        if int(self.accepted.offsets[0]) >= offset and self.least.time >= time:
            return self.rows
        return np.flatnonzero((self.accepted.offsets >= offset) & (self.accepted.times >= time))

    def warm(self, rows: IntArray, warmup: int) -> IntArray:
        """Those of `rows` that are after the first `warmup` of their symbols."""
        return rows if self.least.number > warmup else rows[self.counts[rows] > warmup]

    def values_at(self, rows: IntArray) -> FloatArray:
        """The values of the bars `rows`, as a copy."""
        return self.values.copy() if rows is self.rows else self.values[rows]

    def answer_to(self, asked: Asked) -> FloatArray | None:
        """The predictions, if that was asked before."""
        return next((predictions for known, predictions in self._predictions if known.equals(asked)), None)

    def note(self, asked: Asked, predictions: FloatArray) -> None:
        """For those who will ask the same."""
        self._predictions.append((asked, predictions))
