"""From the bars to the feature rows, once for all strategies that have bars, features and states alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.states.feature_states import FeatureStates, FeatureValues, link
from plugins.pipeline.states.history import BarHistory, OwnBars
from plugins.strategy.ready import ReadyStrategy


@dataclass(slots=True)
class Stepped:
    """Feature rows; with an `error` those of the bars before `failed`, at which a feature failed."""

    features: FeatureRows
    error: BaseException | None = None
    failed: AcceptedBars | None = None


class Lineage:
    """Bars, features and states of a strategy, or of several that have all of that alike."""

    def __init__(self, history: BarHistory, features: Sequence[FeatureStates]) -> None:
        self.history, self.features = history, list(features)
        self._accepted: AcceptedBars | None = None

    @classmethod
    def of(cls, strategy: ReadyStrategy, begin: int) -> "Lineage":
        """Of a strategy that has seen nothing, and takes in no bar before offset `begin`."""
        lineage = cls(BarHistory(strategy, begin), [FeatureStates(bound.feature) for bound in strategy.features])
        lineage.link(strategy)
        return lineage

    def link(self, strategy: ReadyStrategy) -> None:
        """Tells the features where the columns come from that they require."""
        bound = strategy.features
        link(self.features, [one.origins for one in bound], [one.first for one in bound])

    def copy(self, strategy: ReadyStrategy) -> "Lineage":
        """The same states for `strategy` alone."""
        lineage = Lineage(self.history.copy(), [feature.copy() for feature in self.features])
        lineage.link(strategy)
        return lineage

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        self.history.grow(size)
        for part in self.features:
            part.grow(size)

    def step(self, accepted: AcceptedBars) -> Stepped:
        """The next bars with their feature values; the states move on. For the same bars again the same answer."""
        if self._accepted is not accepted:
            self._stepped, self._accepted = self._step(accepted), accepted
        return self._stepped

    def _step(self, accepted: AcceptedBars) -> Stepped:
        own = self.history.take(accepted)
        parts = [feature.step(own) for feature in self.features]
        if not [part for part in parts if part.error is not None]:
            return Stepped(_joined(own, parts))
        count = min(len(part.values) for part in parts)
        error = next(part.error for part in parts if len(part.values) == count)
        known = OwnBars(own.accepted.at(np.arange(count)), own.counts[:count], own.least)
        failed = own.accepted.at(np.arange(count, count + 1))
        return Stepped(_joined(known, [FeatureValues(part.values[:count]) for part in parts]), error, failed)


def _joined(own: OwnBars, parts: Sequence[FeatureValues]) -> FeatureRows:
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts], axis=1)
    return FeatureRows(own.accepted, values, own.counts, own.least)
