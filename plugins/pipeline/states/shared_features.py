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
from plugins.base.streaming import IntArray, Rows, StreamingFeature, raw
from plugins.fold import FoldFeature


class _Step(NamedTuple):
    """What a feature was given, and what came of it."""

    slots: IntArray
    bars: Rows
    before: bytes
    after: Rows
    values: FloatArray


class SharedFeatures:
    """Results of the features of one batch; `features`: those of all strategies that share.

    A step is a function of the feature (its layout: key, version, parameters), the states before it and the bars, and
    of nothing else. So where all of these are equal to the byte, the values and the states after it are copied,
    whatever the strategies' origins, and whatever became of them before. Compiled features are stepped again: that
    takes no longer than to compare.
    """

    def __init__(self, features: Iterable[StreamingFeature] = ()) -> None:
        layouts = [(feature, feature.layout) for feature in features if not isinstance(feature, FoldFeature)]
        counts = Counter(layout for _, layout in layouts)
        self._shared = {id(feature): (feature, layout) for feature, layout in layouts if counts[layout] > 1}
        self._steps: dict[str, list[_Step]] = {}

    def replace(self, old: StreamingFeature, new: StreamingFeature) -> None:
        """The `new` one has the layout of the old."""
        if shared := self._shared.get(id(old)):
            self._shared[id(new)] = new, shared[1]

    def next_batch(self) -> None:
        """Forgets the results of the batch before."""
        self._steps.clear()

    def run(self, feature: StreamingFeature, states: Rows, slots: IntArray, bars: Rows, outs: FloatArray) -> None:
        """As `StreamingFeature.run`."""
        shared = self._shared.get(id(feature))
        if shared is None:
            feature.run(states, slots, bars, outs)
            return
        touched, rows = np.unique(slots), raw(states)
        before = rows[touched].tobytes()
        steps = self._steps.setdefault(shared[1], [])
        for step in steps:
            if step.before == before and _equal(step.slots, slots) and _equal(step.bars, bars):
                rows[touched], outs[:] = step.after, step.values
                return
        feature.run(states, slots, bars, outs)
        steps.append(_Step(slots, bars, before, rows[touched], outs.copy()))


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one is other or (one.dtype == other.dtype and one.tobytes() == other.tobytes())
