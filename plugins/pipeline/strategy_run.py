"""One strategy on one partition: the states of all its symbols, and the way from bars to signals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np

from plugins.base import FloatArray, name_of
from plugins.base.bars import with_columns
from plugins.base.plugin_errors import plugin_errors
from plugins.fold.gate import FIRST
from plugins.news.join import BarNews
from plugins.pipeline.failure import Failure
from plugins.pipeline.prediction import explained, predict
from plugins.pipeline.shadow import ReadyShadow
from plugins.pipeline.shared_features import SharedFeatures
from plugins.pipeline.strategy_states import IntArray, Rows, StrategyStates
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.requirements import FeatureColumns
from plugins.strategy.target_weights import none_if_nan, target_weights
from plugins.strategy.universe import LEFT
from schemas.canonical import signal_id
from schemas.wire import Origin, Provenance, Signal, SignalContent
from schemas.wire.cross_sections import Prediction

Told = tuple[int | None, bool]
"""Of a bar's news: the offset of the last score that counts, and whether one was made later, of history."""


@dataclass(frozen=True)
class Source:
    """Where the bars come from, for the provenance."""

    topic: str
    partition: int
    worker: str


@dataclass(frozen=True)
class Seen:
    """What a run made of some bars: `columns` (features, the generator's fold, prediction) are of the rows `loud`."""

    bars: Rows
    slots: IntArray
    offsets: IntArray
    loud: IntArray
    columns: Mapping[str, FloatArray]
    counts: IntArray


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
    """A strategy at work.

    `begin` is the offset where its fold begins; signals are made for bars at or after offset `publish_from` and time
    `start_time`, from the symbol's membership on; earlier ones are folded silently, and all while it is `paused`. While
    it is `asleep` it wants no symbol: its states are being folded elsewhere. Once it has `failed` it is fed nothing
    more. A `witness` is shown what became of each batch, a `shadow` what was predicted.
    """

    def __init__(self, strategy: ReadyStrategy, source: Source, shadow: ReadyShadow | None = None) -> None:
        super().__init__(strategy, shadow)
        self.source = source
        self.begin = 0
        self.publish_from = 0
        self.paused = False
        self.asleep = False
        self.failed: Failure | None = None
        self.sharing = SharedFeatures()
        """Shared with the runs whose features may be alike."""
        self.witness: Callable[[Seen], None] | None = None
        start = strategy.config["start"]
        self.start_time = start if isinstance(start, int) else 0
        self._origins: dict[int, Origin] = {}
        self._predicted: list[Prediction] = []

    def exchange(self, strategy: ReadyStrategy) -> None:
        before = self.strategy
        super().exchange(strategy)
        for old, new in zip(before.features, strategy.features, strict=True):
            self.sharing.replace(old.feature, new.feature)

    def wants(self, symbol: str) -> bool:
        return not self.asleep and self.strategy.universe.ever(symbol)

    @property
    def at_work(self) -> bool:
        """Are its states folded here?"""
        return not self.asleep and self.failed is None

    def feed(
        self,
        bars: Rows,
        slots: IntArray,
        offsets: IntArray,
        gaps: IntArray,
        symbols: Sequence[str],
        news: BarNews | None = None,
    ) -> list[Signal]:
        """Steps over `bars` in order; the signals of those that are to be published."""
        if not self.strategy.uses_news:
            news = None
        mine = self.member[slots] & (offsets >= np.maximum(self.next_offset[slots], self.begin))
        if not mine.all():
            bars, slots, offsets, gaps = bars[mine], slots[mine], offsets[mine], gaps[mine]
            news = news and news.at(mine)
        if not len(bars):
            return []
        values, counts = self.step(bars, slots, offsets, news)
        # a strategy that began later than the gate knows of no bar before its own first one
        gaps = np.where(counts == 1, FIRST, gaps)
        audible = (offsets >= self.publish_from) & (bars["time"] >= self.start_time)
        if self.strategy.universe.changes:
            names = [symbols[slot] for slot in slots.tolist()]
            audible &= np.array(list(map(self.strategy.universe.concerns, names, bars["time"].tolist())), np.bool_)
        loud = np.flatnonzero(audible & (not self.paused))
        columns = self._columns(bars, slots, values, counts, loud, symbols, news)
        if self.witness is not None:
            self.witness(Seen(bars, slots, offsets, loud, columns, counts))
        if self.shadow is not None:
            predictions, times = columns["prediction"], bars["time"]
            model = self.strategy.model_id
            self.shadow.feed(times, slots, offsets, counts, values, loud, predictions, model, symbols)
        if not len(loud):
            return []
        rows = bars["time"][loud], slots[loud], offsets[loud], gaps[loud]
        told = _told(news and news.at(loud), len(loud))
        if self.strategy.generator.cross_section:
            self._predicted += self._predictions(*rows, columns["prediction"], counts[loud], symbols, told)
            return []
        return self._signals(*rows, columns, counts[loud], symbols, told)

    def take_predictions(self) -> list[Prediction]:
        """What was predicted since this was last asked, of a strategy that decides about all symbols at once: its
        `feed` gives no signals.
        """
        taken, self._predicted = self._predicted, []
        return taken

    def step(
        self, bars: Rows, slots: IntArray, offsets: IntArray, news: BarNews | None = None
    ) -> tuple[FloatArray, IntArray]:
        """Feature values (bars x columns) and each bar's number among its symbol's bars, from 1."""
        counts = np.empty(len(bars), np.int64)
        _advance(self.book, slots, offsets, np.ascontiguousarray(bars["time"]), counts)
        values = np.empty((len(bars), len(self.strategy.columns)))
        for number in self.strategy.order:
            bound = self.strategy.features[number]
            part = self._run(bound, self.states[number], bars, slots, values, news.columns if news else {})
            values[:, bound.first : bound.first + len(bound.columns)] = part
        return values, counts

    def _run(
        self,
        bound: FeatureColumns,
        states: Rows,
        bars: Rows,
        slots: IntArray,
        values: FloatArray,
        given: Mapping[str, FloatArray],
    ) -> FloatArray:
        """A feature's values for `bars`. What it requires and nobody gives is not known: NaN (as the news, where no
        scorer is known to be up).
        """
        unknown = np.full(len(bars), np.nan) if bound.origins else np.empty(0)
        columns = [values[:, at] if isinstance(at, int) else given.get(at, unknown) for at in bound.origins]
        part = np.empty((len(bars), len(bound.columns)))
        self.sharing.run(bound.feature, states, slots, with_columns(bars, bound.feature.plugin.requires, columns), part)
        return part

    def _columns(
        self,
        bars: Rows,
        slots: IntArray,
        values: FloatArray,
        counts: IntArray,
        loud: IntArray,
        symbols: Sequence[str],
        news: BarNews | None,
    ) -> dict[str, FloatArray]:
        """What the generator decides by, for the bars `loud`; its fold steps over all of them."""
        strategy, fold = self.strategy, self.strategy.fold
        wanted = loud if fold is None else np.arange(len(values))
        every = predict(self, values, slots, counts, wanted, symbols)
        if fold is None:
            more = {}
        else:
            given = {**(news.columns if news else {}), "prediction": every}
            part = self._run(fold, self.states[-1], bars, slots, values, given)[loud]
            more = {name: part[:, i] for i, name in enumerate(fold.columns)}
        values, predictions = values[loud], every[loud]
        return {name: values[:, i] for i, name in enumerate(strategy.columns)} | more | {"prediction": predictions}

    def _signals(
        self,
        times: IntArray,
        slots: IntArray,
        offsets: IntArray,
        gaps: IntArray,
        columns: Mapping[str, FloatArray],
        counts: IntArray,
        symbols: Sequence[str],
        told: Sequence[Told],
    ) -> list[Signal]:
        strategy, predictions = self.strategy, columns["prediction"]
        with plugin_errors(name_of(strategy.generator), "decide"):
            decisions = strategy.generator.decide(columns)
        execution = strategy.execution
        weights = target_weights(decisions, strategy.generator.scaled, execution.weight, execution.long_only)
        source, interval = self.source, strategy.interval_ms
        places = slots.tolist()
        names = [symbols[slot] for slot in places]
        reasons = explained(self, decisions.reason, counts, names)
        if strategy.universe.changes:
            for row in np.flatnonzero(list(map(strategy.universe.left, names, times.tolist()))).tolist():
                decisions.signal[row], weights[row], reasons[row] = "FLAT", 0.0, LEFT
        signals = []
        for symbol, origin, time, offset, gap, prediction, signal, weight, reason, (news_offset, historical) in zip(
            names, [self._origin(slot) for slot in places], times.tolist(),
            offsets.tolist(), gaps.tolist(), predictions.tolist(), decisions.signal, weights, reasons, told,
            strict=True,
        ):  # fmt: skip
            content = SignalContent(
                signal_id(strategy.name, symbol, time), strategy.name, symbol, time, signal, weight, reason,
                none_if_nan(prediction), strategy.model_id, strategy.config_hash, None if gap == FIRST else gap,
                time + interval,
            )  # fmt: skip
            provenance = Provenance(
                source.topic, source.partition, offset, news_offset, origin, source.worker, historical
            )
            signals.append(Signal(content, provenance))
        return signals

    def _predictions(
        self,
        times: IntArray,
        slots: IntArray,
        offsets: IntArray,
        gaps: IntArray,
        predictions: FloatArray,
        counts: IntArray,
        symbols: Sequence[str],
        told: Sequence[Told],
    ) -> list[Prediction]:
        strategy, source, interval = self.strategy, self.source, self.strategy.interval_ms
        names = [symbols[slot] for slot in slots.tolist()]
        reasons = explained(self, [""] * len(names), counts, names)
        return [
            Prediction(
                strategy.name, symbol, time, none_if_nan(value), None if value == value else reason or None,
                strategy.model_id, strategy.config_hash, None if gap == FIRST else gap, time + interval,
                Provenance(
                    source.topic, source.partition, offset, news_offset, self._origin(slot), source.worker, historical
                ),
            )
            for symbol, slot, time, offset, gap, value, reason, (news_offset, historical) in zip(
                names, slots.tolist(), times.tolist(), offsets.tolist(), gaps.tolist(), predictions.tolist(), reasons,
                told, strict=True,
            )
        ]  # fmt: skip

    def _origin(self, slot: int) -> Origin:
        """Where the symbol's fold began; one object for all its signals."""
        origin = self._origins.get(slot)
        if origin is None:
            entry = self.book[slot]
            origin = Origin(self.source.partition, int(entry["origin_offset"]), int(entry["origin_time"]))
            self._origins[slot] = origin
        return origin


def _told(news: BarNews | None, count: int) -> list[Told]:
    if news is None:
        return [(None, False)] * count
    offsets = [offset if offset >= 0 else None for offset in news.offsets.tolist()]
    return list(zip(offsets, news.historical.tolist(), strict=True))
