"""What a strategy remembers of its symbols on one partition: a row of each array for a symbol, by its slot."""

from typing import NamedTuple

import numpy as np

from plugins.base.streaming import IntArray, Rows, raw
from plugins.pipeline.accepted_bars import FeatureRows
from plugins.pipeline.prediction.model import Windows, single_rows
from plugins.pipeline.prediction.shadow import ReadyShadow, ShadowRun
from plugins.strategy.ready import ReadyStrategy

BOOK = np.dtype([("count", "i8"), ("origin_offset", "i8"), ("origin_time", "i8")])
"""What a run remembers of a symbol besides its features' states: bars so far, and the first of them."""


class SavedStates(NamedTuple):
    """States of `slots`: rows of the book and of each feature, and the shadow's."""

    slots: IntArray
    rows: list[Rows]
    shadow: Rows | None


class StrategyStates:
    """The states of a strategy, and of its `shadow`."""

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

    def windows(self, features: FeatureRows, rows: IntArray) -> Windows:
        """The windows of `rows`; where the model looks back, all feature rows go into their symbols' rings."""
        ring = self.strategy.ring
        if ring is None:
            return single_rows(features, rows)
        states = self.states[len(self.strategy.features)]
        return ring.run(states, features.accepted.slots, features.counts, features.values, rows)

    def save(self, slots: IntArray) -> SavedStates:
        """The states of `slots` as they are now, for `rewind`."""
        own = np.unique(slots)
        shadow = self.shadow.save(own) if self.shadow else None
        return SavedStates(own, [raw(array)[own] for array in (self.book, *self.states)], shadow)

    def rewind(self, saved: SavedStates) -> None:
        """Undoes what was fed since."""
        for array, rows in zip((self.book, *self.states), saved.rows, strict=True):
            raw(array)[saved.slots] = rows
        if self.shadow is not None and saved.shadow is not None:
            self.shadow.rewind(saved.slots, saved.shadow)

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
