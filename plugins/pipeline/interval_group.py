"""The strategies of one interval, behind the gate that they share."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import BarBatch
from plugins.fold import gate
from plugins.news.join import BarNews, NewsJoin
from plugins.pipeline.failure import Failure
from plugins.pipeline.isolation import feed_apart
from plugins.pipeline.shared_features import SharedFeatures
from plugins.pipeline.strategy_run import StrategyRun
from schemas.wire import ShadowPrediction, Signal, interval_ms
from schemas.wire.cross_sections import Prediction

REFUSED = {
    gate.GateVerdict.CORRECTION: (
        "correction",
        "another bar of this symbol and time was taken before, with other values",
    ),
    gate.GateVerdict.LATE: ("late", "the bar is not newer than the symbol's last one"),
}


@dataclass(frozen=True)
class Refusal:
    """A well-formed bar that cannot be used."""

    offset: int
    kind: str
    reason: str


@dataclass
class Outcome:
    """What a batch came to."""

    signals: list[Signal] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    shadows: list[ShadowPrediction] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """Strategies that stopped."""
    counts: Counter[str] = field(default_factory=Counter)


class IntervalGroup:
    """The strategies of one interval behind one gate; a symbol has the same slot in all their arrays.

    `news` is what they see of the news; None: all of it is unknown. A strategy that fails stops alone.
    """

    def __init__(self, interval: str, runs: list[StrategyRun], news: NewsJoin | None = None) -> None:
        self.interval = interval
        self.news = news
        self.interval_ms = interval_ms(interval)
        self.runs = runs
        self.sharing = SharedFeatures()
        self.slots: dict[str, int] = {}
        self.symbols: list[str] = []
        self.gate = np.zeros(0, gate.STATE)
        self.next_offset = np.zeros(0, np.int64)
        self.dirty = np.zeros(0, np.bool_)

    @property
    def owner(self) -> str:
        """The name under which the gate's snapshots go; no strategy can have it."""
        return self.runs[0].strategy.memory

    def slot(self, symbol: str) -> int:
        """The symbol's slot, -1 when no strategy wants it."""
        found = self.slots.get(symbol)
        if found is None:
            found = self._add(symbol) if any(run.wants(symbol) for run in self.runs) else -1
            self.slots[symbol] = found
        return found

    def _add(self, symbol: str) -> int:
        slot = len(self.symbols)
        self.symbols.append(symbol)
        if slot == len(self.gate):
            more = max(16, slot)
            self.gate = np.concatenate([self.gate, np.zeros(more, gate.STATE)])
            self.next_offset = np.concatenate([self.next_offset, np.zeros(more, np.int64)])
            self.dirty = np.concatenate([self.dirty, np.zeros(more, np.bool_)])
            for run in self.runs:
                run.grow(slot + more)
        for run in self.runs:
            run.member[slot] = run.wants(symbol)
        return slot

    def slot_restored(self, symbol: str) -> int:
        """The same for a symbol whose bars were remembered before: also when a strategy that sleeps will want it."""
        if self.slot(symbol) < 0 and any(run.strategy.universe.ever(symbol) for run in self.runs):
            self.slots[symbol] = self._add(symbol)
        return self.slots[symbol]

    def look_again(self) -> None:
        """A run has woken up: who wants which symbol is asked anew."""
        self.slots = {symbol: slot for symbol, slot in self.slots.items() if slot >= 0}
        for run in self.runs:
            run.member[: len(self.symbols)] = [run.wants(symbol) for symbol in self.symbols]

    def share(self) -> None:
        """Features that are alike are computed once a batch, where their states are."""
        self.sharing.look_for_shared(bound.feature for run in self.runs for bound in run.strategy.features)
        for run in self.runs:
            run.sharing = self.sharing

    def feed(self, batch: BarBatch, outcome: Outcome) -> None:
        slots = np.array([self.slot(symbol) for symbol in batch.symbols], np.int64)
        rows = np.flatnonzero(slots >= 0)
        outcome.counts["outside_universe"] += len(slots) - len(rows)
        rows = rows[batch.offsets[rows] >= self.next_offset[slots[rows]]]
        bars, slots, offsets = batch.bars[rows], slots[rows], batch.offsets[rows]
        last = self.last_closes() if self.news else None
        verdicts, gaps = gate.judge(self.gate, slots, bars, self.interval_ms)
        if verdicts.any():
            self._refuse(offsets, verdicts, outcome)
            taken = verdicts == gate.GateVerdict.ACCEPTED
            bars, slots, offsets, gaps = bars[taken], slots[taken], offsets[taken], gaps[taken]
        outcome.counts["bars"] += len(bars)
        self.dirty[slots] = True
        news = None if last is None else self.news_of(last, bars["time"], slots, offsets)
        self.sharing.begin()
        for run in self.runs:
            if run.failed is not None:
                continue
            outcome.signals += feed_apart(run, bars, slots, offsets, gaps, self.symbols, news)
            outcome.predictions += run.take_predictions()
            if run.shadow is not None:
                outcome.shadows += run.shadow.take()
            if run.failed is not None:
                outcome.failures.append(run.failed)

    def last_closes(self) -> NDArray[np.int64]:
        return np.where(self.gate["count"] > 0, self.gate["close_time"], -1)

    def news_of(
        self, last: NDArray[np.int64], times: NDArray[np.int64], slots: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> BarNews | None:
        """The news of accepted bars, each since the close before it; `last`: every slot's last close before them."""
        if self.news is None:
            return None
        begins = gate.begins(last, slots, times, self.interval_ms)
        return self.news.of_bars([self.symbols[slot] for slot in slots.tolist()], begins, times, offsets)

    @staticmethod
    def _refuse(offsets: NDArray[np.int64], verdicts: NDArray[np.int8], outcome: Outcome) -> None:
        outcome.counts["repeats"] += int((verdicts == gate.GateVerdict.REPEAT).sum())
        for verdict, (kind, reason) in REFUSED.items():
            outcome.refusals += [Refusal(offset, kind, reason) for offset in offsets[verdicts == verdict].tolist()]
