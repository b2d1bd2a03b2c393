"""What is published about bars: what a strategy decided or predicted, where it comes from, and until when it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import IntArray
from plugins.fold.gate import FIRST
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan
from schemas.canonical import signal_id
from schemas.wire import LeaveOut, Origin, Provenance, Signal, SignalContent
from schemas.wire.cross_sections import Prediction

Values = dict[str, float | None]
"""Of columns, by name; None: unknown."""


@dataclass(frozen=True)
class Source:
    """Where the bars come from, for the provenance; by offset, which of them are in no state."""

    topic: str
    partition: int
    worker: str
    left_out: Mapping[int, LeaveOut] = field(default_factory=dict, hash=False)


@dataclass(slots=True)
class Decided:
    """A strategy's decisions, one entry a bar: signal, target weight (NaN: it stays as it is), and the reason."""

    signals: list[str | float]
    weights: FloatArray
    reasons: list[str]

    def at(self, rows: IntArray) -> "Decided":
        """The decisions of `rows`."""
        numbers = rows.tolist()
        signals, reasons = ([column[row] for row in numbers] for column in (self.signals, self.reasons))
        return Decided(signals, self.weights[rows], reasons)


@dataclass(slots=True)
class BarsToPublish:
    """Bars about which something is published, one entry a bar.

    Parameters
    ----------
    gaps
        Intervals without a bar before this one; `plugins.fold.gate.FIRST` for a symbol's first bar.
    valid_until
        In ms since the epoch (UTC).
    predictions
        NaN where there is none.
    origin_offsets, origin_times
        Where the fold of the bar's symbol began.
    """

    source: Source
    accepted: AcceptedBars
    gaps: IntArray
    valid_until: IntArray
    predictions: FloatArray
    origin_offsets: IntArray
    origin_times: IntArray

    def __len__(self) -> int:
        return len(self.gaps)

    def at(self, rows: IntArray) -> "BarsToPublish":
        """The bars of `rows`."""
        return BarsToPublish(
            self.source, self.accepted.at(rows), self.gaps[rows], self.valid_until[rows], self.predictions[rows],
            self.origin_offsets[rows], self.origin_times[rows],
        )  # fmt: skip

    def signals(self, strategy: ReadyStrategy, decided: Decided) -> list[Signal]:
        """One struct a bar."""
        name, model, digest, changes = strategy.name, strategy.model_id, strategy.config_hash, strategy.changes
        return [
            Signal(
                SignalContent(
                    signal_id(name, symbol, time), name, symbol, time, signal, none_if_nan(weight), reason,
                    none_if_nan(prediction), model, digest, gap, until,
                    time + changes.heartbeat_ms if changes else None,
                ),
                provenance,
            )
            for symbol, time, gap, until, prediction, provenance, signal, weight, reason in zip(
                *self._columns(), decided.signals, decided.weights.tolist(), decided.reasons, strict=True
            )
        ]  # fmt: skip

    def as_predictions(
        self, strategy: ReadyStrategy, reasons: Sequence[str], values: Sequence[Values | None] | None = None
    ) -> list[Prediction]:
        """One prediction a bar, for a decision about all symbols at once; a reason only where there is no value.
        `values`: the columns of each, where the prediction is made of them later.
        """
        name, model, digest = strategy.name, strategy.model_id, strategy.config_hash
        return [
            Prediction(
                name, symbol, time, none_if_nan(value), None if value == value else reason or None, model, digest, gap,
                until, provenance, UNSET if shown is None else shown,
            )
            for symbol, time, gap, until, value, provenance, reason, shown in zip(
                *self._columns(), reasons, values or repeat(None, len(self)), strict=True
            )
        ]  # fmt: skip

    def _columns(
        self,
    ) -> tuple[list[str], list[int], list[int | None], list[int], list[float], list[Provenance]]:
        return (
            self.accepted.names, self.accepted.times.tolist(),
            [None if gap == FIRST else gap for gap in self.gaps.tolist()], self.valid_until.tolist(),
            self.predictions.tolist(), self._provenances(),
        )  # fmt: skip

    def _provenances(self) -> list[Provenance]:
        source, offsets = self.source, self.accepted.offsets.tolist()
        lasts, historical = self.news()
        topic, partition, worker = source.topic, source.partition, source.worker
        return [
            Provenance(topic, partition, offset, last if last >= 0 else None, origin, worker, late)
            for offset, last, origin, late in zip(
                offsets, lasts.tolist(), self._origins(), historical.tolist(), strict=True
            )
        ]

    def news(self) -> tuple[IntArray, NDArray[np.bool_]]:
        """Of each bar the offset of the last score counted (-1: none), and whether one of them is historical."""
        news = self.accepted.news
        if news is None:
            return np.full(len(self), -1), np.zeros(len(self), np.bool_)
        return news.offsets, news.historical

    def _origins(self) -> list[Origin]:
        """One object for all bars of a symbol."""
        places = list(zip(self.origin_offsets.tolist(), self.origin_times.tolist(), strict=True))
        known = {place: Origin(self.source.partition, *place) for place in set(places)}
        return [known[place] for place in places]


def gaps_of(features: FeatureRows) -> IntArray:
    """Intervals without a bar before each bar. A strategy that began later than the gate knows of no bar before its
    own first one.
    """
    gaps = features.accepted.gaps
    return gaps if features.least.number > 1 else np.where(features.counts == 1, FIRST, gaps)
