"""One strategy on one partition: the states of all its symbols, and the way from bars to signals."""

from collections.abc import Mapping

import numpy as np

from plugins.base import FloatArray, name_of
from plugins.base.plugin_errors import plugin_errors
from plugins.base.streaming import IntArray
from plugins.fold.changes import Changes, DecidedBars
from plugins.pipeline.accepted_bars import AcceptedBars, Asked, FeatureRows
from plugins.pipeline.outcome import Failure, RunOutcome
from plugins.pipeline.prediction.model import explain, predict
from plugins.pipeline.records.published import BarsToPublish, Decided, Source, Values, gaps_of
from plugins.pipeline.records.rendering import SignalTexts
from plugins.pipeline.records.signals import SignalColumns, Signals
from plugins.pipeline.run_settings import AS_CONFIGURED, Observation, RunSettings
from plugins.pipeline.states.strategy_states import StrategyStates
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan, target_weights
from plugins.strategy.universe import LEFT

__all__ = ["AS_CONFIGURED", "Observation", "RunSettings", "Source", "StrategyRun"]


class StrategyRun(StrategyStates):
    """A strategy that runs as its `settings` say. Once it has failed, no bar is fed to it any more."""

    def __init__(
        self,
        strategy: ReadyStrategy,
        source: Source,
        settings: RunSettings = AS_CONFIGURED,
    ) -> None:
        super().__init__(strategy, settings.shadow, settings.origin_offset)
        self.source = source
        self.failure: Failure | None = None
        self._settings = settings
        self._start_time = strategy.start_time if settings.start_time is None else settings.start_time
        self._paused = settings.paused
        self._asleep = settings.asleep
        self._in_force_from = settings.in_force_from
        self.lap = settings.lap
        self._texts = SignalTexts()

    @property
    def active(self) -> bool:
        """Are its states folded here?"""
        return not self._asleep and self.failure is None

    def wants(self, symbol: str) -> bool:
        """Does it take in bars of this symbol, now?"""
        return not self._asleep and self.strategy.universe.ever(symbol)

    def put_in_force(self, offset: int) -> None:
        """What it is told now counts from this offset on."""
        self._in_force_from = offset

    def pause(self) -> None:
        """Folds silently from the next bar on."""
        self._paused = True

    def resume(self) -> None:
        """Publishes from the next bar on."""
        self._paused = False

    def wake(self, failure: Failure | None = None) -> None:
        """Its states come here from where they were folded; a `failure` that it met there stands."""
        self._asleep, self.failure, self.unsettled = False, failure, True

    def stop(self, failure: Failure) -> None:
        """No bar is fed to it any more."""
        self.failure = failure

    def feed(self, features: FeatureRows) -> RunOutcome:
        """Decides on bars with their feature values, in order; the outcome is of those that are to be published.

        Raises
        ------
        PluginError
            A plugin fails. Its own states are undefined then; `isolation.feed_isolated` takes care of that.
        """
        outcome, accepted = RunOutcome(), features.accepted
        if not len(accepted):
            return outcome
        decided = self._decided(features)
        columns = self._columns(features, decided)
        silent = self._silent(accepted.offsets[decided])
        published, of_published = decided[silent:], {name: column[silent:] for name, column in columns.items()}
        if (observer := self._settings.observer) is not None:
            observer(Observation(accepted, features.counts, published, of_published))
        if self.shadow is not None:
            predictions, model = of_published["prediction"], self.strategy.model_id
            outcome.shadows = self.shadow.feed(features, published, predictions, model)
        if len(decided):
            self._publish(features if decided is features.rows else features.at(decided), columns, outcome)
        return outcome

    def _decided(self, features: FeatureRows) -> IntArray:
        """Numbers of the bars about which there is a decision: from the symbol's membership on. They are published, but
        for those that a strategy that publishes changes decides again, to know what it said last.
        """
        if self._paused:
            return features.rows[:0]
        first, universe = self._settings.publish_from, self.strategy.universe
        if self.strategy.changes is not None:
            first = min(first, self._in_force_from)
        decided = features.since(first, self._start_time)
        if not universe.changes:
            return decided
        names, times = features.accepted.names_at(decided), features.accepted.times[decided].tolist()
        return decided[np.array(list(map(universe.concerns, names, times)), np.bool_)]

    def _silent(self, offsets: IntArray) -> int:
        """How many of the first of these bars are published already."""
        return 0 if self.strategy.changes is None else int((offsets < self._settings.publish_from).sum())

    def _columns(self, features: FeatureRows, published: IntArray) -> dict[str, FloatArray]:
        """What the generator decides by, for the published rows, as copies: it may be foreign code; its fold steps over
        all rows.
        """
        strategy, fold = self.strategy, self.strategy.fold
        wanted = published if fold is None else features.rows
        predictions = np.full(len(features), np.nan) if strategy.section else self._predictions(features, wanted)
        columns = dict(zip(strategy.columns, features.values_at(published).T, strict=True))
        if fold is not None:
            part = self.fold(features, predictions)[published]
            columns |= {name: part[:, i] for i, name in enumerate(fold.columns)}
        columns["prediction"] = predictions[published]
        return columns

    def _predictions(self, features: FeatureRows, wanted: IntArray) -> FloatArray:
        """Of the `wanted` rows that are warm, NaN elsewhere; of all rows where a column is the prediction.

        Strategies of one lineage that have the same model ask it once for the same rows.
        """
        strategy = self.strategy
        if strategy.model is None:
            return features.values[:, strategy.columns.index(strategy.prediction or "")]
        rows = features.warm(wanted, strategy.warmup)
        asked = Asked(strategy.model, strategy.columns, self.ring_rows if strategy.ring else None, rows)
        known = features.answer_to(asked)
        windows = self.windows(features, rows if known is None else rows[:0])
        if known is not None:
            for _ in windows:  # its ring takes in the rows all the same
                pass
            return known
        with self.lap("model", len(rows)):
            predictions = predict(strategy.model, strategy.columns, features, windows)
        features.note(asked, predictions)
        return predictions

    def _publish(self, features: FeatureRows, columns: Mapping[str, FloatArray], outcome: RunOutcome) -> None:
        """Adds the records of the published bars, which `features` and `columns` are of."""
        accepted = features.accepted
        strategy, book = self.strategy, self.book[accepted.slots]
        published = BarsToPublish(
            self.source, accepted, gaps_of(features), strategy.validity.until(accepted.times),
            columns["prediction"], book["origin_offset"], book["origin_time"],
        )  # fmt: skip
        if strategy.at_once:
            reasons = explain(strategy, [""] * len(accepted), features)
            values = self._shown(features, columns) if strategy.section else None
            outcome.predictions = published.as_predictions(strategy, reasons, values)
        else:
            decided = self._decide(features, columns)
            published.predictions = published.predictions.copy()  # the generator may keep what it was given
            if strategy.changes is not None:
                rows = self._news(strategy.changes, accepted, decided)
                published, decided = published.at(rows), decided.at(rows)
            if len(published):
                outcome.signals = Signals([SignalColumns(published, strategy, decided, self._texts)])

    def _shown(self, features: FeatureRows, columns: Mapping[str, FloatArray]) -> list[Values | None]:
        """Of each bar the columns of which those of the cross-section are made; None while its symbol warms up."""
        names, warm = self.strategy.columns, (features.counts > self.strategy.warmup).tolist()
        rows = zip(*(map(none_if_nan, columns[name].tolist()) for name in names), strict=True)
        shown = (dict(zip(names, row, strict=True)) for row in rows)
        return [each if is_warm else None for each, is_warm in zip(shown, warm, strict=True)]

    def _news(self, changes: Changes, accepted: AcceptedBars, decided: Decided) -> IntArray:
        """Numbers of the decisions that say something new, and are not published yet."""
        bars = DecidedBars(accepted.slots, accepted.offsets, accepted.times)
        rows = changes.news(self.states[-1], bars, decided.signals, decided.weights, self._in_force_from)
        return rows[self._silent(accepted.offsets[rows]) :]

    def _decide(self, features: FeatureRows, columns: Mapping[str, FloatArray]) -> Decided:
        """What the generator says; a symbol that has left the universe is sold."""
        strategy, generator, execution = self.strategy, self.strategy.generator, self.strategy.execution
        with plugin_errors(name_of(generator), "decide"):
            decisions = generator.decide(columns)
        decided = Decided(
            list(decisions.signal),
            target_weights(decisions, generator.scaled, execution.weight, execution.long_only),
            list(explain(strategy, decisions.reason, features)),
        )
        if strategy.universe.changes:
            accepted = features.accepted
            left = list(map(strategy.universe.left, accepted.names, accepted.times.tolist()))
            for row in np.flatnonzero(left).tolist():
                decided.signals[row], decided.weights[row], decided.reasons[row] = "FLAT", 0.0, LEFT
        return decided
