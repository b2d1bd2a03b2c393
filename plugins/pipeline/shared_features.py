"""Features that several strategies of one partition have alike, computed once a batch.

Each may have begun, failed or been exchanged at another bar, so states are compared before values are taken over; the
points of a sweep have all of that in common, and `backtest.replay.shared_features` spares them the comparison and
every step.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import Rows, StreamingFeature, raw
from plugins.fold import FoldFeature


class _Step(NamedTuple):
    """What a feature was given, and what it made of that."""

    slots: NDArray[np.int64]
    bars: Rows
    before: bytes
    after: Rows
    values: FloatArray


class SharedFeatures:
    """What features made of the batch at hand.

    A step is a function of the feature (its layout: key, version, parameters), the states before it and the bars, and
    of nothing else. So where all of these are equal to the byte, the values and the states after it are copied,
    whatever the strategies' origins, and whatever became of them before. Compiled features are stepped again: that
    takes no longer than to compare.
    """

    def __init__(self) -> None:
        self._shared: dict[int, tuple[StreamingFeature, str]] = {}
        self._made: dict[str, list[_Step]] = {}

    def look_for_shared(self, features: Iterable[StreamingFeature]) -> None:
        """Of those of all strategies, the ones that are there twice."""
        found = [(feature, feature.layout) for feature in features if not isinstance(feature, FoldFeature)]
        counts = Counter(layout for _, layout in found)
        self._shared = {id(feature): (feature, layout) for feature, layout in found if counts[layout] > 1}

    def replace(self, old: StreamingFeature, new: StreamingFeature) -> None:
        """The `new` one has the layout of the old."""
        if shared := self._shared.get(id(old)):
            self._shared[id(new)] = new, shared[1]

    def begin(self) -> None:
        """Another batch."""
        self._made.clear()

    def run(
        self, feature: StreamingFeature, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray
    ) -> None:
        """As `StreamingFeature.run`."""
        shared = self._shared.get(id(feature))
        if shared is None:
            feature.run(states, slots, bars, outs)
            return
        touched, rows = np.unique(slots), raw(states)
        before = rows[touched].tobytes()
        made = self._made.setdefault(shared[1], [])
        for step in made:
            if step.before == before and _equal(step.slots, slots) and _equal(step.bars, bars):
                rows[touched], outs[:] = step.after, step.values
                return
        feature.run(states, slots, bars, outs)
        made.append(_Step(slots, bars, before, rows[touched], outs.copy()))


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one is other or (one.dtype == other.dtype and one.tobytes() == other.tobytes())
