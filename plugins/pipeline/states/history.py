"""Which of the accepted bars a strategy takes in, and how many of each symbol it has had."""

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np

from plugins.base.streaming import IntArray
from plugins.pipeline.accepted_bars import AcceptedBars, Least
from plugins.strategy.ready import ReadyStrategy
from schemas.canonical import canonical_json

BOOK = np.dtype([("count", "i8"), ("origin_offset", "i8"), ("origin_time", "i8")])
"""What is remembered of a symbol besides its features' states: bars so far, and the first of them."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _take(symbols: Any, bars: Any, rows: Any, counts: Any) -> Any:
    book, member, next_offset = symbols
    slots, offsets, times = bars
    taken, fewest, earliest = 0, 2**63 - 1, 2**63 - 1
    for i in range(len(slots)):
        slot = slots[i]
        if not member[slot] or offsets[i] < next_offset[slot]:
            continue
        entry = book[slot]
        if entry.count == 0:
            entry.origin_offset = offsets[i]
            entry.origin_time = times[i]
        entry.count += 1
        rows[taken], counts[taken] = i, entry.count
        fewest, earliest = min(fewest, entry.count), min(earliest, times[i])
        taken += 1
    return taken, fewest, earliest


@dataclass(slots=True)
class OwnBars:
    """The bars that are taken in; `counts`: of each its number among its symbol's bars, from 1."""

    accepted: AcceptedBars
    counts: IntArray
    least: Least
    touched: IntArray = field(init=False)
    """Their slots, each once."""

    def __post_init__(self) -> None:
        slots = self.accepted.slots
        self.touched = slots if len(slots) == 1 else np.unique(slots)


class BarHistory:
    """The bars of one partition that strategies take in alike: of which symbols, from which offsets on.

    Parameters
    ----------
    strategy
        Whose symbols are taken in; it says whether the bars' news is.
    begin
        Offset before which no bar is taken in.
    """

    def __init__(self, strategy: ReadyStrategy, begin: int) -> None:
        self.begin = begin
        self.book = np.zeros(0, BOOK)
        self.next_offset = np.zeros(0, np.int64)
        self.member = np.zeros(0, np.bool_)
        self._accepted: AcceptedBars | None = None
        self.follow(strategy)

    def follow(self, strategy: ReadyStrategy) -> None:
        """From now on it is as `strategy` wants it."""
        self.key, self.uses_news = _key(strategy), strategy.uses_news

    def is_of(self, strategy: ReadyStrategy) -> bool:
        """Is it as `strategy` wants it?"""
        return self.key == _key(strategy)

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        more = size - len(self.book)
        if more > 0:
            self.book = np.concatenate([self.book, np.zeros(more, BOOK)])
            self.next_offset = np.concatenate([self.next_offset, np.full(more, self.begin)])
            self.member = np.concatenate([self.member, np.zeros(more, np.bool_)])

    def include(self, slot: int, offset: int) -> None:
        """The symbol's state includes all bars before `offset`."""
        self.next_offset[slot] = max(offset, self.begin)

    def take(self, accepted: AcceptedBars) -> OwnBars:
        """Of the next bars those that are taken in; for the same bars again the same answer."""
        if self._accepted is not accepted:
            self._own, self._accepted = self._taken(accepted), accepted
        return self._own

    def _taken(self, accepted: AcceptedBars) -> OwnBars:
        if accepted.news is not None and not self.uses_news:
            accepted = accepted.without_news()
        rows, counts = np.empty((2, len(accepted)), np.int64)
        bars = accepted.slots, accepted.offsets, np.ascontiguousarray(accepted.times)  # as one bar is: compiled once
        taken, *least = _take((self.book, self.member, self.next_offset), bars, rows, counts)
        if taken < len(rows):
            accepted, counts = accepted.at(rows[:taken]), counts[:taken]
        return OwnBars(accepted, counts, Least(*least))

    def equals(self, other: "BarHistory", position: int) -> bool:
        """Do both take in the same bars from offset `position` on, after the same ones?"""
        return (
            self.key == other.key
            and np.array_equal(self.member, other.member)
            and np.array_equal(np.maximum(self.next_offset, position), np.maximum(other.next_offset, position))
            and self.book.tobytes() == other.book.tobytes()
        )

    def copy(self) -> "BarHistory":
        other = object.__new__(BarHistory)
        vars(other).update(vars(self))
        other.book, other.next_offset, other.member = self.book.copy(), self.next_offset.copy(), self.member.copy()
        return other


def _key(strategy: ReadyStrategy) -> bytes:
    return canonical_json([strategy.universe.resolved, strategy.uses_news])
