"""One strategy on one partition: the states of all its symbols, and the way from bars to signals."""

from collections.abc import Mapping

import numba
import numpy as np

from plugins.base import FloatArray, name_of
from plugins.base.bars import with_columns
from plugins.base.plugin_errors import plugin_errors
from plugins.base.streaming import IntArray, Rows
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.outcome import Failure, RunOutcome
from plugins.pipeline.prediction.model import explain, predict
from plugins.pipeline.records import BarsToPublish, Decided, Source, gaps_of, provenances
from plugins.pipeline.run_settings import AS_CONFIGURED, Observation, RunSettings
from plugins.pipeline.states.shared_features import SharedFeatures
from plugins.pipeline.states.strategy_states import StrategyStates
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.requirements import FeatureColumns
from plugins.strategy.target_weights import target_weights
from plugins.strategy.universe import LEFT
from schemas.wire import Origin

__all__ = ["AS_CONFIGURED", "Observation", "RunSettings", "Source", "StrategyRun"]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _advance(book: Rows, slots: IntArray, offsets: IntArray, times: IntArray, counts: IntArray) -> None:
    for i in range(len(slots)):
        entry = book[slots[i]]
        if entry.count == 0:
            entry.origin_offset = offsets[i]
            entry.origin_time = times[i]
        entry.count += 1
        counts[i] = entry.count


class StrategyRun(StrategyStates):
    """A strategy that runs as its `settings` say. Once it has failed, no bar is fed to it any more.

    `shared`: of the runs whose features may be alike.
    """

    def __init__(
        self,
        strategy: ReadyStrategy,
        source: Source,
        settings: RunSettings = AS_CONFIGURED,
        shared: SharedFeatures | None = None,
    ) -> None:
        super().__init__(strategy, settings.shadow)
        self.source = source
        self.failure: Failure | None = None
        self._settings = settings
        self._start_time = strategy.start_time if settings.start_time is None else settings.start_time
        self._paused = settings.paused
        self._asleep = settings.asleep
        self._shared = SharedFeatures() if shared is None else shared
        self._origins: dict[int, Origin] = {}

    @property
    def active(self) -> bool:
        """Are its states folded here?"""
        return not self._asleep and self.failure is None

    def wants(self, symbol: str) -> bool:
        """Does it take in bars of this symbol, now?"""
        return not self._asleep and self.strategy.universe.ever(symbol)

    def exchange(self, strategy: ReadyStrategy) -> None:
        """Goes on with another model on the same states; `ValueError` when they are laid out for something else."""
        before = self.strategy
        super().exchange(strategy)
        for old, new in zip(before.features, strategy.features, strict=True):
            self._shared.replace(old.feature, new.feature)

    def pause(self) -> None:
        """Folds silently from the next bar on."""
        self._paused = True

    def resume(self) -> None:
        """Publishes from the next bar on."""
        self._paused = False

    def wake(self, failure: Failure | None = None) -> None:
        """Its states come here from where they were folded; a `failure` that it met there stands."""
        self._asleep, self.failure = False, failure

    def stop(self, failure: Failure) -> None:
        """No bar is fed to it any more."""
        self.failure = failure

    def feed(self, accepted: AcceptedBars) -> RunOutcome:
        """Steps over the bars in order; the outcome is of those that are to be published.

        Raises
        ------
        PluginError
            A plugin fails. The states are undefined then; `isolation.feed_isolated` takes care of that.
        """
        accepted = self._own(accepted)
        if not len(accepted):
            return RunOutcome()
        features = self.step(accepted)
        published = self._published(accepted)
        columns = self._columns(features, published)
        if (observer := self._settings.observer) is not None:
            observer(Observation(accepted, features.counts, published, columns))
        outcome = RunOutcome()
        if self.shadow is not None:
            predictions, model = columns["prediction"], self.strategy.model_id
            outcome.shadows = self.shadow.feed(features, published, predictions, model)
        if len(published):
            counts = features.counts
            if len(published) < len(accepted):
                accepted, counts = accepted.at(published), counts[published]
            self._publish(accepted, counts, columns, outcome)
        return outcome

    def _own(self, accepted: AcceptedBars) -> AcceptedBars:
        """Without bars of symbols that are none of its own, and those that its states include or never will."""
        if accepted.news is not None and not self.strategy.uses_news:
            accepted = accepted.without_news()
        slots = accepted.slots
        own = self.member[slots] & (
            accepted.offsets >= np.maximum(self.next_offset[slots], self._settings.origin_offset)
        )
        return accepted if own.all() else accepted.at(own)

    def _published(self, accepted: AcceptedBars) -> IntArray:
        """Numbers of the bars about which something is published: from the symbol's membership on."""
        if self._paused:
            return np.zeros(0, np.int64)
        published = (accepted.offsets >= self._settings.publish_from) & (accepted.times >= self._start_time)
        universe = self.strategy.universe
        if universe.changes:
            published &= np.array(list(map(universe.concerns, accepted.names, accepted.times.tolist())), np.bool_)
        return np.flatnonzero(published)

    def step(self, accepted: AcceptedBars) -> FeatureRows:
        """The bars with their feature values; the states move on."""
        bars, slots = accepted.bars, accepted.slots
        counts = np.empty(len(bars), np.int64)
        _advance(self.book, slots, accepted.offsets, np.ascontiguousarray(bars["time"]), counts)
        values = np.empty((len(bars), len(self.strategy.columns)))
        news = accepted.news.columns if accepted.news else {}
        for number in self.strategy.order:
            bound = self.strategy.features[number]
            part = self._run(bound, self.states[number], accepted, values, news)
            values[:, bound.first : bound.first + len(bound.columns)] = part
        return FeatureRows(accepted, values, counts)

    def _run(
        self,
        bound: FeatureColumns,
        states: Rows,
        accepted: AcceptedBars,
        values: FloatArray,
        given: Mapping[str, FloatArray],
    ) -> FloatArray:
        """A feature's values. What it requires and nobody gives is not known: NaN (as the news, where no scorer is
        known to be up).
        """
        bars, slots = accepted.bars, accepted.slots
        if bound.origins:
            unknown = np.full(len(bars), np.nan)
            columns = [values[:, at] if isinstance(at, int) else given.get(at, unknown) for at in bound.origins]
            bars = with_columns(bars, bound.feature.plugin.requires, columns)
        part = np.empty((len(bars), len(bound.columns)))
        self._shared.run(bound.feature, states, slots, bars, part)
        return part

    def _columns(self, features: FeatureRows, published: IntArray) -> dict[str, FloatArray]:
        """What the generator decides by, for the published rows; its fold steps over all of them."""
        strategy, fold = self.strategy, self.strategy.fold
        wanted = published if fold is None else np.arange(len(features))
        predictions = self._predictions(features, wanted)
        values = features.values[published]
        columns = {name: values[:, i] for i, name in enumerate(strategy.columns)}
        if fold is not None:
            news = features.accepted.news
            given = {**(news.columns if news else {}), "prediction": predictions}
            part = self._run(fold, self.states[-1], features.accepted, features.values, given)[published]
            columns |= {name: part[:, i] for i, name in enumerate(fold.columns)}
        return columns | {"prediction": predictions[published]}

    def _predictions(self, features: FeatureRows, wanted: IntArray) -> FloatArray:
        """Of the `wanted` rows that are warm, NaN elsewhere; of all rows where a column is the prediction."""
        strategy = self.strategy
        if strategy.model is None:
            return features.values[:, strategy.columns.index(strategy.prediction or "")]
        windows = self.windows(features, wanted[features.counts[wanted] > strategy.warmup])
        return predict(strategy.model, strategy.columns, features, windows)

    def _publish(
        self, accepted: AcceptedBars, counts: IntArray, columns: Mapping[str, FloatArray], outcome: RunOutcome
    ) -> None:
        """Adds the records of the published bars, which `accepted`, `counts` and `columns` are of."""
        strategy, symbols = self.strategy, accepted.names
        decided = None if strategy.generator.cross_section else self._decide(accepted, symbols, counts, columns)
        origins, own = self._origins, accepted.slots.tolist()
        origins_of_bars = [origins[slot] if slot in origins else self._origin(slot) for slot in own]
        published = BarsToPublish(
            symbols, accepted.times.tolist(), gaps_of(accepted, counts), strategy.validity.until(accepted.times),
            columns["prediction"].tolist(), provenances(self.source, accepted, origins_of_bars),
        )  # fmt: skip
        if decided is not None:
            outcome.signals = published.signals(strategy, decided)
        else:
            reasons = explain(strategy, [""] * len(symbols), counts, symbols)
            outcome.predictions = published.as_predictions(strategy, reasons)

    def _decide(
        self, accepted: AcceptedBars, symbols: list[str], counts: IntArray, columns: Mapping[str, FloatArray]
    ) -> Decided:
        """What the generator says; a symbol that has left the universe is sold."""
        strategy, generator, execution = self.strategy, self.strategy.generator, self.strategy.execution
        with plugin_errors(name_of(generator), "decide"):
            decisions = generator.decide(columns)
        decided = Decided(
            decisions.signal,
            target_weights(decisions, generator.scaled, execution.weight, execution.long_only),
            explain(strategy, decisions.reason, counts, symbols),
        )
        if strategy.universe.changes:
            left = list(map(strategy.universe.left, symbols, accepted.times.tolist()))
            for row in np.flatnonzero(left).tolist():
                decided.signals[row], decided.weights[row], decided.reasons[row] = "FLAT", 0.0, LEFT
        return decided

    def _origin(self, slot: int) -> Origin:
        """Where the symbol's fold began; from now on one object for all its signals."""
        entry = self.book[slot]
        origin = Origin(self.source.partition, int(entry["origin_offset"]), int(entry["origin_time"]))
        self._origins[slot] = origin
        return origin
