"""One strategy on one partition: the states of all its symbols, and the way from bars to signals."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.at_work import plugin_at_work
from plugins.bars import with_columns
from plugins.base import FloatArray, name_of
from plugins.gate import FIRST
from plugins.isolation import Failure
from plugins.news_join import BarNews
from plugins.per_symbol import PerSymbolModel
from plugins.requirements import FeatureColumns
from plugins.shadow import ReadyShadow, ShadowKept, ShadowRun
from plugins.sharing import Steps
from plugins.strategy import ReadyStrategy
from plugins.streaming import raw
from plugins.targets import none_if_nan, target_weights
from plugins.universe import LEFT
from schemas.canonical import signal_id
from schemas.cross_sections import Prediction
from schemas.messages import Origin, Provenance, Signal, SignalContent

IntArray = NDArray[np.int64]
Rows = NDArray[np.void]
Told = tuple[int | None, bool]
"""Of a bar's news: the offset of the last score that counts, and whether one was made later, of history."""

BOOK = np.dtype([("count", "i8"), ("origin_offset", "i8"), ("origin_time", "i8")])
"""What a run remembers of a symbol besides its features' states: bars so far, and the first of them."""


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


class Kept(NamedTuple):
    """States of `slots`: rows of the book and of each feature's, and the shadow's `beside` them."""

    slots: IntArray
    rows: list[Rows]
    beside: ShadowKept | None


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _advance(book: Rows, slots: IntArray, offsets: IntArray, times: IntArray, counts: IntArray) -> None:
    for i in range(len(slots)):
        entry = book[slots[i]]
        if entry.count == 0:
            entry.origin_offset = offsets[i]
            entry.origin_time = times[i]
        entry.count += 1
        counts[i] = entry.count


class Run:
    """A strategy at work.

    `begin` is the offset where its fold begins; signals are made for bars at or after offset `publish_from` and time
    `start_time`, from the symbol's membership on; earlier ones are folded silently, and all while it is `paused`. While
    it is `asleep` it wants no symbol: its states are being folded elsewhere. Once it has `failed` it is fed nothing
    more. A `witness` is shown what became of each batch, a `shadow` what was predicted.
    """

    def __init__(self, strategy: ReadyStrategy, source: Source, shadow: ReadyShadow | None = None) -> None:
        self.strategy = strategy
        self.shadow = ShadowRun(shadow) if shadow else None
        self.source = source
        self.begin = 0
        self.publish_from = 0
        self.paused = False
        self.asleep = False
        self.failed: Failure | None = None
        self.sharing = Steps()
        """Shared with the runs whose features may be alike."""
        self.witness: Callable[[Seen], None] | None = None
        start = strategy.config["start"]
        self.start_time = start if isinstance(start, int) else 0
        self.book = np.zeros(0, BOOK)
        self.next_offset = np.zeros(0, np.int64)
        self.member = np.zeros(0, np.bool_)
        self._origins: dict[int, Origin] = {}
        self._predicted: list[Prediction] = []
        self._keepers = strategy.keepers
        self.states: list[Rows] = [keeper.new_states(0) for keeper in self._keepers]

    def exchange(self, strategy: ReadyStrategy) -> None:
        """Goes on with another model on the same states; `ValueError` when they are laid out for something else."""
        if strategy.layout != self.strategy.layout:
            raise ValueError(f"{strategy.name}: the states have another layout")
        for old, new in zip(self.strategy.features, strategy.features, strict=True):
            self.sharing.replace(old.feature, new.feature)
        self.strategy = strategy
        self._keepers = strategy.keepers

    def wants(self, symbol: str) -> bool:
        return not self.asleep and self.strategy.universe.ever(symbol)

    @property
    def at_work(self) -> bool:
        """Are its states folded here?"""
        return not self.asleep and self.failed is None

    def keep(self, slots: IntArray) -> Kept:
        """The states of `slots` as they are now, for `put_back`."""
        mine = np.unique(slots)
        beside = self.shadow.keep(mine) if self.shadow else None
        return Kept(mine, [raw(array)[mine] for array in (self.book, *self.states)], beside)

    def put_back(self, kept: Kept) -> None:
        """Undoes what was fed since, of which nothing was taken yet."""
        for array, rows in zip((self.book, *self.states), kept.rows, strict=True):
            raw(array)[kept.slots] = rows
        if self.shadow is not None and kept.beside is not None:
            self.shadow.put_back(kept.slots, kept.beside)

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
        every = self._predict(values, slots, counts, wanted, symbols)
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
        with plugin_at_work(name_of(strategy.generator), "decide"):
            decisions = strategy.generator.decide(columns)
        execution = strategy.execution
        weights = target_weights(decisions, strategy.generator.scaled, execution.weight, execution.long_only)
        source, interval = self.source, strategy.interval_ms
        places = slots.tolist()
        names = [symbols[slot] for slot in places]
        reasons = self._reasons(decisions.reason, counts, names)
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
        reasons = self._reasons([""] * len(names), counts, names)
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

    def _predict(
        self, values: FloatArray, slots: IntArray, counts: IntArray, wanted: IntArray, symbols: Sequence[str]
    ) -> FloatArray:
        """Predictions for the rows `wanted`, NaN elsewhere and while the features warm up: a tree would make a number
        even of missing values.
        """
        strategy, model = self.strategy, self.strategy.model
        if model is None:
            return values[:, strategy.columns.index(strategy.prediction or "")]
        predictions = np.full(len(values), np.nan)
        for rows, windows in self._windows(values, slots, counts, wanted[counts[wanted] > strategy.warmup]):
            with plugin_at_work(name_of(model), "predict"):
                if isinstance(model, PerSymbolModel):
                    own = [symbols[slot] for slot in slots[rows].tolist()]
                    predictions[rows] = model.predict_symbols(own, windows, strategy.columns)
                else:
                    predictions[rows] = model.predict_windows(windows, strategy.columns)
        return predictions

    def _windows(
        self, values: FloatArray, slots: IntArray, counts: IntArray, warm: IntArray
    ) -> Iterable[tuple[IntArray, FloatArray]]:
        """The windows of the rows `warm`; where the model looks back, all of `values` go into their symbols' rings."""
        ring = self.strategy.ring
        if ring is not None:
            return ring.run(self.states[len(self.strategy.features)], slots, counts, values, warm)
        return [(warm, values[warm, np.newaxis])] if len(warm) else []

    def _reasons(self, reasons: list[str], counts: IntArray, symbols: list[str]) -> list[str]:
        warmup, model = self.strategy.warmup, self.strategy.model
        if isinstance(model, PerSymbolModel):
            reasons = [
                reason if symbol in model.models else f"there is no model for {symbol}"
                for symbol, reason in zip(symbols, reasons, strict=True)
            ]
        if model is None or int(counts.min()) > warmup:
            return reasons
        return [
            f"warming up: bar {count} of {warmup + 1}" if count <= warmup else reason
            for count, reason in zip(counts.tolist(), reasons, strict=True)
        ]

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


def _told(news: BarNews | None, count: int) -> list[Told]:
    if news is None:
        return [(None, False)] * count
    offsets = [offset if offset >= 0 else None for offset in news.offsets.tolist()]
    return list(zip(offsets, news.historical.tolist(), strict=True))
