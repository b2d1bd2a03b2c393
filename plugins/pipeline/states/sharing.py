"""Which strategies of a partition go on together.

A step is a function of the feature (key, version, parameters), of the states before it and of the bars, and of nothing
else. So strategies whose bars, features and states are equal to the byte go on with the same ones, whatever became of
them before, and each feature is stepped once for all of them. A strategy that is given another state, or wants other
bars, goes on with copies of its own until all is equal again.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from plugins.pipeline.states.feature_states import FeatureStates
from plugins.pipeline.states.history import BarHistory
from plugins.pipeline.states.lineage import Lineage
from plugins.pipeline.states.strategy_states import StrategyStates

T = TypeVar("T")


def share(strategies: Sequence[StrategyStates], position: int) -> None:
    """From offset `position` on, all that is equal is one."""
    histories: list[BarHistory] = []
    features: dict[int, list[FeatureStates]] = defaultdict(list)
    lineages: dict[tuple[int, ...], Lineage] = {}
    rings: list[StrategyStates] = []
    for one in strategies:
        history = _first(histories, one.lineage.history, lambda known, new: known.equals(new, position))
        lineage = Lineage(history, one.lineage.features)
        for number in one.strategy.order:  # each after those that it requires
            lineage.link(one.strategy)
            lineage.features[number] = _first(features[id(history)], lineage.features[number], FeatureStates.equals)
        lineage = lineages.setdefault(tuple(map(id, (history, *lineage.features))), lineage)
        one.join(lineage)
        one.ring_rows = _first(rings, one, StrategyStates.has_ring_of).ring_rows


def _first(known: list[T], new: T, equal: Callable[[T, T], bool]) -> T:
    """The one that equals `new`, else that itself, which is `known` from now on."""
    for one in known:
        if one is new or equal(one, new):
            return one
    known.append(new)
    return new
