"""A feature on one partition: the states of all symbols, and its values for the bars at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugins.base import FloatArray
from plugins.base.bars import with_columns
from plugins.base.plugin_errors import is_ours
from plugins.base.streaming import IntArray, Rows, StreamingFeature, raw
from plugins.pipeline.states.history import OwnBars


@dataclass(slots=True)
class FeatureValues:
    """Shape (bars, columns): as many bars as there are before the one at which a feature failed, by `error`."""

    values: FloatArray
    error: BaseException | None = None


class FeatureStates:
    """States of `feature`, whose values are computed once for the same bars, however many strategies ask."""

    def __init__(self, feature: StreamingFeature) -> None:
        self.feature = feature
        self.inputs: tuple[tuple[FeatureStates, int] | str, ...] = ()
        """Columns that it requires: which one of another feature's, or the name of what the pipeline itself gives."""
        self.rows: Rows = feature.new_states(0)
        self._width = len(feature.columns)
        self._raw = raw(self.rows)
        self._own: OwnBars | None = None

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        if size > len(self.rows):
            self.rows = np.concatenate([self.rows, self.feature.new_states(size - len(self.rows))])
            self._raw = raw(self.rows)

    def equals(self, other: "FeatureStates") -> bool:
        """Does it make the same values of the same bars, after the same states?"""
        return self._key == other._key and self.rows.tobytes() == other.rows.tobytes()

    @property
    def _key(self) -> tuple[object, ...]:
        inputs = tuple(one if isinstance(one, str) else (id(one[0]), one[1]) for one in self.inputs)
        return type(self.feature), type(self.feature.plugin), self.feature.layout, inputs

    def copy(self) -> "FeatureStates":
        other = object.__new__(FeatureStates)
        vars(other).update(vars(self))
        other.rows = self.rows.copy()
        other._raw = raw(other.rows)
        return other

    def step(self, own: OwnBars) -> FeatureValues:
        """Its values for the next bars; the states move on. For the same bars again the same answer."""
        if self._own is not own:
            if self.inputs:
                self._values = self._with_inputs(own)
            else:
                self._values = self._valued(own.accepted.slots, own.touched, own.accepted.bars)
            self._own = own
        return self._values

    def _with_inputs(self, own: OwnBars) -> FeatureValues:
        """What it requires and nobody gives is not known: NaN (as the news, where no scorer is known to be up)."""
        bars, slots, touched = own.accepted.bars, own.accepted.slots, own.touched
        given = [one[0].step(own) if not isinstance(one, str) else None for one in self.inputs]
        count = min((len(one.values) for one in given if one), default=len(bars))
        if count < len(bars):
            bars, slots, touched = bars[:count], slots[:count], np.unique(slots[:count])
        columns = [self._column(one, part, own)[:count] for one, part in zip(self.inputs, given, strict=True)]
        made = self._valued(slots, touched, with_columns(bars, self.feature.plugin.requires, columns))
        if made.error is None:
            made.error = next((one.error for one in given if one and len(one.values) == count), None)
        return made

    def _valued(self, slots: IntArray, touched: IntArray, bars: Rows) -> FeatureValues:
        values = np.empty((len(bars), self._width))
        known, error = self._run(slots, touched, bars, values)
        return FeatureValues(values if error is None else values[:known], error)

    @staticmethod
    def _column(source: "tuple[FeatureStates, int] | str", part: FeatureValues | None, own: OwnBars) -> FloatArray:
        if isinstance(source, tuple):
            assert part is not None
            return part.values[:, source[1]]
        return own.accepted.given(source)

    def _run(
        self, slots: IntArray, touched: IntArray, bars: Rows, values: FloatArray
    ) -> tuple[int, BaseException | None]:
        """How many bars it took in before the one at which it failed, and by what; foreign code may raise anything."""
        saved = self._raw[touched]
        try:
            self.feature.run(self.rows, slots, bars, values)
            return len(bars), None
        except BaseException as error:
            if is_ours(error):
                raise
            self._raw[touched] = saved
            if len(bars) == 1:
                return 0, error
        return self._run_up_to_failure(slots, bars, values)

    def _run_up_to_failure(
        self, slots: IntArray, bars: Rows, values: FloatArray
    ) -> tuple[int, BaseException | None]:  # fmt: skip
        """By halves: what fails on many bars may have failed at any of them."""
        middle = len(bars) // 2
        for begin, end in ((0, middle), (middle, len(bars))):
            part = slots[begin:end]
            known, error = self._run(part, np.unique(part), bars[begin:end], values[begin:end])
            if error is not None:
                return begin + known, error
        return len(bars), None


def link(features: Sequence[FeatureStates], origins: Sequence[Sequence[int | str]], firsts: Sequence[int]) -> None:
    """Tells each of a strategy's features where the columns come from that it requires.

    Parameters
    ----------
    origins
        By feature: places among the strategy's columns, or names of what the pipeline itself gives.
    firsts
        By feature, the place of its first column.
    """
    for feature, wanted in zip(features, origins, strict=True):
        feature.inputs = tuple(one if isinstance(one, str) else _input(one, features, firsts) for one in wanted)


def _input(place: int, features: Sequence[FeatureStates], firsts: Sequence[int]) -> tuple[FeatureStates, int]:
    number = max(number for number, first in enumerate(firsts) if first <= place)
    return features[number], place - firsts[number]
