"""What a strategy remembers of its symbols on one partition: a row of each array for a symbol, by its slot."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.bars import with_columns
from plugins.base.streaming import IntArray, Rows, raw
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.prediction.model import Windows, single_rows
from plugins.pipeline.prediction.shadow import ReadyShadow, ShadowRun
from plugins.pipeline.states.lineage import Lineage, Stepped
from plugins.strategy.ready import ReadyStrategy


class SavedStates(NamedTuple):
    """States of `slots` that a strategy has alone: of its model's rows and its generator's fold, and the shadow's."""

    slots: IntArray
    rows: list[Rows]
    shadow: Rows | None


class StrategyStates:
    """The states of a strategy, and of its `shadow`.

    Bars and features (`lineage`) may be those of other strategies, too; the last rows of a sequence model and the
    generator's fold are its own. It takes in no bar before offset `begin`.
    """

    def __init__(self, strategy: ReadyStrategy, shadow: ReadyShadow | None = None, begin: int = 0) -> None:
        self.strategy = strategy
        self.shadow = ShadowRun(shadow) if shadow else None
        self.lineage = Lineage.of(strategy, begin)
        self.alone = True
        """Has certainly nobody else its lineage, or a part of it?"""
        self.unsettled = True
        """May it have become equal to others since it was looked?"""
        self.ring_rows = object()
        """The same for strategies whose models' last rows are equal, and will be as long as their lineage is one."""
        self._keepers = strategy.keepers[len(strategy.features) :]
        self._own: list[Rows] = [keeper.new_states(0) for keeper in self._keepers]

    @property
    def book(self) -> Rows:
        """Of each symbol its bars so far, and the first of them."""
        return self.lineage.history.book

    @property
    def member(self) -> NDArray[np.bool_]:
        """By slot: are the symbol's bars taken in?"""
        return self.lineage.history.member

    @property
    def states(self) -> list[Rows]:
        """Of each symbol, in the order of the snapshot: features, the model's rows, the fold, what was said last."""
        return [*(feature.rows for feature in self.lineage.features), *self._own]

    def exchange(self, strategy: ReadyStrategy) -> None:
        """Goes on with another model on the same states; `ValueError` when they are laid out for something else."""
        if strategy.layout != self.strategy.layout:
            raise ValueError(f"{strategy.name}: the states have another layout")
        if not self.lineage.history.is_of(strategy):
            self.part()
            self.lineage.history.follow(strategy)
        self.strategy = strategy
        self._keepers = strategy.keepers[len(strategy.features) :]

    def join(self, lineage: Lineage) -> None:
        """Goes on with one that is equal to its own, and of which others may have parts."""
        self.lineage, self.alone, self.unsettled = lineage, False, False

    def part(self) -> None:
        """Goes on with copies of its own."""
        if not self.alone:
            self.lineage, self.alone = self.lineage.copy(self.strategy), True
        self.ring_rows, self.unsettled = object(), True

    def has_ring_of(self, other: "StrategyStates") -> bool:
        """Are the last rows equal that the models of both look back on?"""
        ring = self.strategy.ring
        if ring is None or other.strategy.ring is None or self.lineage is not other.lineage:
            return False
        return ring.layout == other.strategy.ring.layout and self._own[0].tobytes() == other._own[0].tobytes()

    def step(self, accepted: AcceptedBars) -> Stepped:
        """The next bars that are its own, with their feature values; bars and features move on."""
        return self.lineage.step(accepted)

    def windows(self, features: FeatureRows, rows: IntArray) -> Windows:
        """The windows of `rows`; where the model looks back, all feature rows go into their symbols' rings."""
        ring = self.strategy.ring
        if ring is None:
            return single_rows(features, rows)
        return ring.run(self._own[0], features.accepted.slots, features.counts, features.values, rows)

    def fold(self, features: FeatureRows, predictions: FloatArray) -> FloatArray:
        """The values of the generator's fold, which steps over all rows. What nobody gives is not known: NaN."""
        bound, news = self.strategy.fold, features.accepted.news
        assert bound is not None
        given = {**(news.columns if news else {}), "prediction": predictions}
        unknown = np.full(len(features), np.nan)
        columns = [features.values[:, at] if isinstance(at, int) else given.get(at, unknown) for at in bound.origins]
        bars = with_columns(features.accepted.bars, bound.feature.plugin.requires, columns)
        part = np.empty((len(bars), len(bound.columns)))
        bound.feature.run(self._own[int(self.strategy.ring is not None)], features.accepted.slots, bars, part)
        return part

    def save(self, slots: IntArray) -> SavedStates | None:
        """The states of `slots` that are its own, as they are now, for `rewind`; None where there are none."""
        if not self._own and self.shadow is None:
            return None
        own = np.unique(slots)
        shadow = self.shadow.save(own) if self.shadow else None
        return SavedStates(own, [raw(array)[own] for array in self._own], shadow)

    def rewind(self, saved: SavedStates | None) -> None:
        """Undoes what was decided since."""
        if saved is None:
            return
        for array, rows in zip(self._own, saved.rows, strict=True):
            raw(array)[saved.slots] = rows
        if self.shadow is not None and saved.shadow is not None:
            self.shadow.rewind(saved.slots, saved.shadow)

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        self.lineage.grow(size)
        self._own = [
            np.concatenate([states, keeper.new_states(size - len(states))])
            for states, keeper in zip(self._own, self._keepers, strict=True)
        ]
        if self.shadow is not None:
            self.shadow.grow(size)

    def unpack(self, slot: int, payload: bytes, offset: int) -> None:
        """Takes over one symbol's state, which includes all bars before `offset`: its row of the book and of each
        state; `ValueError` when the length is another.
        """
        self.part()
        arrays = [self.book, *self.states]
        if len(payload) != sum(array.dtype.itemsize for array in arrays):
            raise ValueError(f"{len(payload)} bytes of state, expected {sum(a.dtype.itemsize for a in arrays)}")
        first = 0
        for array in arrays:
            array[slot] = np.frombuffer(payload, array.dtype, 1, first)[0]
            first += array.dtype.itemsize
        self.lineage.history.include(slot, offset)
