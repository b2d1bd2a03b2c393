"""The strategies of one interval, behind the gate that they share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import BarBatch, without
from plugins.base.streaming import IntArray
from plugins.fold import gate
from plugins.pipeline.accepted_bars import AcceptedBars
from plugins.pipeline.isolation import feed_isolated
from plugins.pipeline.outcome import Outcome, Refusal
from plugins.pipeline.states.sharing import share
from plugins.pipeline.strategy_run import StrategyRun
from plugins.side_inputs.news.join import NewsJoin
from plugins.side_inputs.references import ReferenceJoin, Wanted
from schemas.wire import bar_length, spacing_ms

REFUSED = {
    gate.GateVerdict.CORRECTION: (
        "correction",
        "another bar of this symbol and time was taken before, with other values",
    ),
    gate.GateVerdict.LATE: ("late", "the bar is not newer than the symbol's last one"),
    gate.GateVerdict.OFF_GRID: (
        "off_grid",
        "the bar opens at no whole minute, or within an interval after the symbol's last one: off the grid, it would"
        " make the bars late that it overlaps",
    ),
}

LEFT_OUT = "left_out", "an operator left the bar out (`alphawire state leave-out`)"
AGAIN = "correction", "another bar of this symbol and time was taken before, and left out by an operator since"


class IntervalGroup:
    """The strategies of one interval behind one gate; a symbol has the same slot in all their arrays.

    `news` is what they see of the news; None: all of it is unknown. A strategy that fails stops alone.
    """

    def __init__(
        self,
        interval: str,
        runs: Sequence[StrategyRun],
        news: NewsJoin | None = None,
    ) -> None:
        self.interval = interval
        self.interval_ms, self.spacing_ms = bar_length(interval), spacing_ms(interval)
        self.news = news
        self.runs = runs
        self.references: ReferenceJoin | None = None
        """The bars of other symbols, up to where all bars that are fed are decided; None: unknown."""
        own = {each.label: each for run in runs for each in run.strategy.references}
        self.wanted = tuple(own.values())
        """Whose bars stand beside those of the symbols."""
        self.slots: dict[str, int] = {}
        self.symbols: list[str] = []
        self.gate = np.zeros(0, gate.STATE)
        self.next_offset = np.zeros(0, np.int64)
        self.dirty = np.zeros(0, np.bool_)
        self._included = 0

    @property
    def owner(self) -> str:
        """The name under which the gate's snapshots go; no strategy can have it."""
        return self.runs[0].strategy.memory

    def slot(self, symbol: str) -> int:
        """The symbol's slot, -1 when no strategy wants it."""
        slot = self.slots.get(symbol)
        if slot is None:
            slot = self._add(symbol) if any(run.wants(symbol) for run in self.runs) else -1
            self.slots[symbol] = slot
        return slot

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

    def restore(self, symbol: str, state: bytes, offset: int) -> None:
        """The gate's state of the symbol, which includes all bars before `offset`."""
        if (slot := self._slot_restored(symbol)) >= 0:
            self.gate[slot] = np.frombuffer(state, gate.STATE)[0]
            self.next_offset[slot] = offset
            self._included = max(self._included, offset)

    def _slot_restored(self, symbol: str) -> int:
        """The same for a symbol whose bars were remembered before: also when a strategy that sleeps will want it."""
        if self.slot(symbol) < 0 and any(run.strategy.universe.ever(symbol) for run in self.runs):
            self.slots[symbol] = self._add(symbol)
        return self.slots[symbol]

    def renew_members(self) -> None:
        """A run has woken up: who wants which symbol is asked anew."""
        self.slots = {symbol: slot for symbol, slot in self.slots.items() if slot >= 0}
        for run in self.runs:
            run.member[: len(self.symbols)] = [run.wants(symbol) for symbol in self.symbols]

    def feed(self, batch: BarBatch, outcome: Outcome) -> None:
        """The next bars, in log order; what comes of them is added to `outcome`."""
        accepted = self.accept(batch, outcome)
        if not len(accepted):
            return
        active = [run for run in self.runs if run.active]
        if any(run.unsettled for run in active):
            share(active, int(accepted.offsets[0]))
        for run in active:
            result = feed_isolated(run, accepted)
            outcome.add(result)
            if result.failure is not None:
                run.stop(result.failure)

    def accept(self, batch: BarBatch, outcome: Outcome) -> AcceptedBars:
        """The bars of the batch that pass the gate, with their news. The others are counted, repeats among them, and
        what cannot be used is added to the refusals.
        """
        if left_out := self.runs[0].source.left_out:
            batch, out, again = without(batch, left_out)
            outcome.refusals += [Refusal(offset, *LEFT_OUT) for offset in out.tolist()]
            outcome.refusals += [Refusal(offset, *AGAIN) for offset in again.tolist()]
        bars, offsets = batch.bars, batch.offsets
        if not (bars.flags.carray and offsets.flags.carray):  # for others the compiled code would be compiled anew
            bars, offsets = bars.copy(), offsets.copy()
        places = [self.slot(symbol) for symbol in batch.symbols]
        slots = np.array(places, np.int64)
        if not places or min(places) < 0 or offsets[0] < self._included:
            rows = np.flatnonzero(slots >= 0)
            outcome.counts["outside_universe"] += len(slots) - len(rows)
            rows = rows[offsets[rows] >= self.next_offset[slots[rows]]]
            bars, slots, offsets = bars[rows], slots[rows], offsets[rows]
        last = self.last_closes() if self.news else None
        verdicts, gaps = gate.judge(self.gate, slots, bars, self.spacing_ms)
        accepted = AcceptedBars(bars, slots, offsets, gaps, self.symbols)
        if np.count_nonzero(verdicts):
            self._refuse(offsets, verdicts, outcome)
            accepted = accepted.at(verdicts == gate.GateVerdict.ACCEPTED)
        outcome.counts["bars"] += len(accepted)
        self.dirty[accepted.slots] = True
        if self.news is not None and last is not None:
            begins = gate.begins(last, accepted.slots, accepted.times, self.interval_ms)
            accepted.news = self.news.of_bars(accepted.names, begins, accepted.times, accepted.offsets)
        if self.references is not None and self.wanted:
            wanted = Wanted(self.symbols, accepted.slots, np.ascontiguousarray(accepted.times), accepted.offsets)
            accepted.beside = self.references.columns(self.interval, self.wanted, wanted)
        return accepted

    def last_closes(self) -> IntArray:
        """Close of each slot's last bar, in ms since the epoch (UTC); `gate.NEVER`: none."""
        return np.where(self.gate["count"] > 0, self.gate["close_time"], gate.NEVER)

    @staticmethod
    def _refuse(offsets: IntArray, verdicts: NDArray[np.int8], outcome: Outcome) -> None:
        outcome.counts["repeats"] += int((verdicts == gate.GateVerdict.REPEAT).sum())
        for verdict, (kind, reason) in REFUSED.items():
            outcome.refusals += [Refusal(offset, kind, reason) for offset in offsets[verdicts == verdict].tolist()]
