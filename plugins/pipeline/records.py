"""The records of published bars: what a strategy decided or predicted, where it comes from, and until when it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugins.base.streaming import IntArray
from plugins.fold.gate import FIRST
from plugins.pipeline.accepted_bars import AcceptedBars
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan
from schemas.canonical import signal_id
from schemas.wire import Origin, Provenance, Signal, SignalContent
from schemas.wire.cross_sections import Prediction


@dataclass(frozen=True)
class Source:
    """Where the bars come from, for the provenance."""

    topic: str
    partition: int
    worker: str


@dataclass(slots=True)
class Decided:
    """A strategy's decisions, one entry a bar: signal, target weight (None: it stays as it is), and the reason."""

    signals: list[str | float]
    weights: list[float | None]
    reasons: list[str]


def provenances(source: Source, accepted: AcceptedBars, origins: Sequence[Origin]) -> list[Provenance]:
    """Of each bar; `origins`: where the fold of its symbol began."""
    topic, partition, worker, offsets = source.topic, source.partition, source.worker, accepted.offsets.tolist()
    if (news := accepted.news) is None:
        return [
            Provenance(topic, partition, offset, None, origin, worker, False)
            for offset, origin in zip(offsets, origins, strict=True)
        ]
    return [
        Provenance(topic, partition, offset, last if last >= 0 else None, origin, worker, historical)
        for offset, last, origin, historical in zip(
            offsets, news.offsets.tolist(), origins, news.historical.tolist(), strict=True
        )
    ]


@dataclass(slots=True)
class BarsToPublish:
    """Bars about which something is published, one entry a bar; `gaps`: None for a symbol's first bar."""

    symbols: list[str]
    times: list[int]
    gaps: list[int | None]
    valid_until: list[int]
    predictions: list[float]
    provenances: list[Provenance]

    def signals(self, strategy: ReadyStrategy, decided: Decided) -> list[Signal]:
        """One signal a bar."""
        name, model, digest = strategy.name, strategy.model_id, strategy.config_hash
        return [
            Signal(
                SignalContent(
                    signal_id(name, symbol, time), name, symbol, time, signal, weight, reason, none_if_nan(prediction),
                    model, digest, gap, until,
                ),
                provenance,
            )
            for symbol, time, gap, until, prediction, provenance, signal, weight, reason in zip(
                self.symbols, self.times, self.gaps, self.valid_until, self.predictions, self.provenances,
                decided.signals, decided.weights, decided.reasons, strict=True,
            )
        ]  # fmt: skip

    def as_predictions(self, strategy: ReadyStrategy, reasons: Sequence[str]) -> list[Prediction]:
        """One prediction a bar, for a decision about all symbols at once; a reason only where there is no value."""
        name, model, digest = strategy.name, strategy.model_id, strategy.config_hash
        return [
            Prediction(
                name, symbol, time, none_if_nan(value), None if value == value else reason or None, model, digest, gap,
                until, provenance,
            )
            for symbol, time, gap, until, value, provenance, reason in zip(
                self.symbols, self.times, self.gaps, self.valid_until, self.predictions, self.provenances, reasons,
                strict=True,
            )
        ]  # fmt: skip


def gaps_of(accepted: AcceptedBars, counts: IntArray) -> list[int | None]:
    """Intervals without a bar before each bar. A strategy that began later than the gate knows of no bar before its
    own first one.
    """
    gaps = np.where(counts == 1, FIRST, accepted.gaps)
    if gaps.min() > FIRST:
        known: list[int | None] = gaps.tolist()
        return known
    return [None if gap == FIRST else gap for gap in gaps.tolist()]
