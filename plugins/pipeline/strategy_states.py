"""What a strategy remembers of its symbols on one partition: a row of each array a symbol, by its slot."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import raw
from plugins.pipeline.shadow import ReadyShadow, ShadowRun, ShadowSnapshot
from plugins.strategy.ready import ReadyStrategy

IntArray = NDArray[np.int64]
Rows = NDArray[np.void]

BOOK = np.dtype([("count", "i8"), ("origin_offset", "i8"), ("origin_time", "i8")])
"""What a run remembers of a symbol besides its features' states: bars so far, and the first of them."""


class Kept(NamedTuple):
    """States of `slots`: rows of the book and of each feature's, and the shadow's `beside` them."""

    slots: IntArray
    rows: list[Rows]
    beside: ShadowSnapshot | None


class StrategyStates:
    """The states of a strategy, and of its `shadow` beside them."""

    def __init__(self, strategy: ReadyStrategy, shadow: ReadyShadow | None = None) -> None:
        self.strategy = strategy
        self.shadow = ShadowRun(shadow) if shadow else None
        self.book = np.zeros(0, BOOK)
        self.next_offset = np.zeros(0, np.int64)
        self.member = np.zeros(0, np.bool_)
        self._keepers = strategy.keepers
        self.states: list[Rows] = [keeper.new_states(0) for keeper in self._keepers]

    def exchange(self, strategy: ReadyStrategy) -> None:
        """Goes on with another model on the same states; `ValueError` when they are laid out for something else."""
        if strategy.layout != self.strategy.layout:
            raise ValueError(f"{strategy.name}: the states have another layout")
        self.strategy = strategy
        self._keepers = strategy.keepers

    def keep(self, slots: IntArray) -> Kept:
        """The states of `slots` as they are now, for `put_back`."""
        mine = np.unique(slots)
        beside = self.shadow.keep(mine) if self.shadow else None
        return Kept(mine, [raw(array)[mine] for array in (self.book, *self.states)], beside)

    def put_back(self, kept: Kept) -> None:
        """Undoes what was fed since, of which nothing was taken yet."""
        for array, rows in zip((self.book, *self.states), kept.rows, strict=True):
            raw(array)[kept.slots] = rows
        if self.shadow is not None and kept.beside is not None:
            self.shadow.put_back(kept.slots, kept.beside)

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        more = size - len(self.book)
        self.book = np.concatenate([self.book, np.zeros(more, BOOK)])
        self.next_offset = np.concatenate([self.next_offset, np.zeros(more, np.int64)])
        self.member = np.concatenate([self.member, np.zeros(more, np.bool_)])
        self.states = [
            np.concatenate([states, keeper.new_states(more)])
            for states, keeper in zip(self.states, self._keepers, strict=True)
        ]
        if self.shadow is not None:
            self.shadow.grow(size)

    def unpack(self, slot: int, payload: bytes) -> None:
        """Takes over one symbol's state: its row of the book and of each feature's states; `ValueError` when the
        length is another.
        """
        arrays = [self.book, *self.states]
        if len(payload) != sum(array.dtype.itemsize for array in arrays):
            raise ValueError(f"{len(payload)} bytes of state, expected {sum(a.dtype.itemsize for a in arrays)}")
        first = 0
        for array in arrays:
            array[slot] = np.frombuffer(payload, array.dtype, 1, first)[0]
            first += array.dtype.itemsize
