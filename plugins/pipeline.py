"""The one pure core: bars in, signals out. No clock, no Kafka, no random numbers.

The live worker, the replay, the training and the tests drive this same object, so they cannot differ. A `Pipeline`
holds one partition: a `Lane` for each interval (gate and slots), and in it a `Run` for each strategy (states of all
symbols in arrays).
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from plugins import gate
from plugins.bars import BarBatch
from plugins.isolation import Failure, feed_apart, stopped
from plugins.news_join import BarNews, NewsJoin
from plugins.run import Run, Source
from plugins.shadow import ReadyShadow, ShadowStates
from plugins.sharing import Steps
from plugins.strategy import ReadyStrategy
from plugins.streaming import trial_bars
from schemas.canonical import sha256_hex
from schemas.cross_sections import Prediction
from schemas.messages import ShadowPrediction, Signal, Snapshot, interval_ms

REFUSED = {
    gate.Verdict.CORRECTION: ("correction", "another bar of this symbol and time was taken before, with other values"),
    gate.Verdict.LATE: ("late", "the bar is not newer than the symbol's last one"),
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


class Lane:
    """The strategies of one interval behind one gate; a symbol has the same slot in all their arrays.

    `news` is what they see of the news; None: all of it is unknown. `isolated`: one that fails stops alone.
    """

    def __init__(self, interval: str, runs: list[Run], news: NewsJoin | None = None, isolated: bool = False) -> None:
        self.interval = interval
        self.isolated = isolated
        self.news = news
        self.interval_ms = interval_ms(interval)
        self.runs = runs
        self.sharing = Steps()
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
            taken = verdicts == gate.Verdict.ACCEPTED
            bars, slots, offsets, gaps = bars[taken], slots[taken], offsets[taken], gaps[taken]
        outcome.counts["bars"] += len(bars)
        self.dirty[slots] = True
        news = None if last is None else self.news_of(last, bars["time"], slots, offsets)
        self.sharing.begin()
        for run in self.runs:
            if run.failed is not None:
                continue
            if self.isolated:
                outcome.signals += feed_apart(run, bars, slots, offsets, gaps, self.symbols, news)
            else:
                outcome.signals += run.feed(bars, slots, offsets, gaps, self.symbols, news)
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
        outcome.counts["repeats"] += int((verdicts == gate.Verdict.REPEAT).sum())
        for verdict, (kind, reason) in REFUSED.items():
            outcome.refusals += [Refusal(offset, kind, reason) for offset in offsets[verdicts == verdict].tolist()]


@dataclass(frozen=True)
class _Copy:
    """One owner's rows at the moment of a capture."""

    owner: str
    layout: str
    counts: NDArray[np.int64]
    pack: "list[NDArray[np.void]]"
    beside: ShadowStates | None = None


class Capture:
    """The changed states of a partition at one offset, copied at once and turned into snapshots at leisure.

    The gate's snapshots come last: on the log no gate is ever ahead of a strategy behind it.
    """

    def __init__(self, pipeline: "Pipeline", offset: int) -> None:
        self.offset = offset
        self.strategies = sorted(name for name, run in pipeline.runs.items() if run.at_work)
        self.counts = pipeline.counts()
        self._partition = pipeline.source.partition
        self._parts: list[tuple[list[str], list[_Copy]]] = []
        for lane in pipeline.lanes.values():
            slots = np.flatnonzero(lane.dirty)
            lane.dirty[:] = False
            copies = [
                _Copy(
                    run.strategy.name,
                    run.strategy.layout,
                    run.book["count"][slots],
                    [a[slots] for a in (run.book, *run.states)],
                    run.shadow.copy(slots) if run.shadow else None,
                )
                for run in lane.runs
                if run.at_work
            ]
            copies.append(_Copy(lane.owner, gate.LAYOUT, lane.gate["count"][slots], [lane.gate[slots]]))
            self._parts.append(([lane.symbols[slot] for slot in slots], copies))

    def snapshots(self) -> Iterator[Snapshot]:
        for symbols, copies in self._parts:
            for copy in copies:
                for row, symbol in enumerate(symbols):
                    if count := int(copy.counts[row]):
                        payload = b"".join(array[row].tobytes() for array in copy.pack)
                        yield Snapshot(
                            copy.owner,
                            symbol,
                            self._partition,
                            self.offset,
                            count,
                            copy.layout,
                            sha256_hex(payload),
                            payload,
                            copy.beside[row] if copy.beside else None,
                        )


class Pipeline:
    """All strategies on one partition of the bars, some with a shadow (by the strategy's name); those in `asleep` wait
    until another pipeline brings their states (`take_in`). `news`: scores up to where all bars that are fed are
    decided. `isolated`: a strategy that fails on a bar stops there, and the others go on; else `feed` raises a
    `PluginError` that names the strategy and the bar.
    """

    def __init__(
        self,
        strategies: Iterable[ReadyStrategy],
        source: Source,
        asleep: Container[str] = (),
        shadows: Mapping[str, ReadyShadow] = MappingProxyType({}),
        news: NewsJoin | None = None,
        isolated: bool = False,
    ) -> None:
        self.source = source
        self.news = news
        self.runs = {strategy.name: Run(strategy, source, shadows.get(strategy.name)) for strategy in strategies}
        self.isolated = isolated
        self.lanes: dict[str, Lane] = {}
        for run in self.runs.values():
            interval = run.strategy.interval
            run.asleep = run.strategy.name in asleep
            self.lanes.setdefault(interval, Lane(interval, [], news, isolated=True)).runs.append(run)
        for lane in self.lanes.values():
            lane.share()

    def feed(self, batches: Mapping[str, BarBatch]) -> Outcome:
        """Steps over new bars, one batch an interval, each in log order; deterministic, whatever the cut into
        batches.
        """
        outcome = Outcome()
        for interval, batch in batches.items():
            lane = self.lanes.get(interval)
            if lane is None:
                outcome.counts["other_interval"] += len(batch)
            else:
                lane.feed(batch, outcome)
        if outcome.failures and not self.isolated:
            raise stopped(outcome.failures[0])
        return outcome

    def counts(self) -> dict[str, int]:
        """Bars in each state, by the key of its snapshot: ``owner/symbol``."""
        found: dict[str, int] = {}
        for lane in self.lanes.values():
            owners = [(run.strategy.name, run.book["count"]) for run in lane.runs if run.at_work]
            owners.append((lane.owner, lane.gate["count"]))
            for owner, counts in owners:
                values = counts[: len(lane.symbols)].tolist()
                found |= {
                    f"{owner}/{symbol}": count for symbol, count in zip(lane.symbols, values, strict=True) if count
                }
        return found

    def restore(self, snapshots: Sequence[Snapshot]) -> None:
        """Takes over states; `ValueError` when one is damaged or of another layout. Bars before a state's offset are
        then skipped.
        """
        for snapshot in snapshots:
            if sha256_hex(snapshot.payload) != snapshot.sha256:
                raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} is damaged")
            if snapshot.owner.startswith(":"):
                self._restore_gate(snapshot)
            else:
                self._restore_run(snapshot)

    def forget_news(self, offset: int) -> None:
        """Lets go of scores that no bar from `offset` on can need, when there are many."""
        if self.news is None or not self.news.full:
            return
        closes: dict[str, int] = {}
        for lane in self.lanes.values():
            for symbol, close in zip(lane.symbols, lane.last_closes().tolist(), strict=False):
                closes[symbol] = min(close, closes.get(symbol, close))
        self.news.forget(closes, offset)

    def knows(self, interval: str, symbol: str) -> bool:
        """Has this memory of repeats seen a bar of the symbol?"""
        lane = self.lanes.get(interval)
        slot = lane.slots.get(symbol, -1) if lane else -1
        return lane is not None and slot >= 0 and bool(lane.gate["count"][slot])

    def take_in(self, other: "Pipeline", offset: int) -> None:
        """The strategies of `other`, which sleep here, go on here; both pipelines stand at `offset`.

        The memory of repeats stays as it is for symbols that it knows: on them the two agree.
        """
        for name, run in other.runs.items():
            self.runs[name].asleep, self.runs[name].failed = False, run.failed
        for lane in self.lanes.values():
            lane.look_again()
        for snapshot in Capture(other, offset).snapshots():
            is_gate = snapshot.owner.startswith(":")
            lane = self.lanes[_interval(snapshot.owner) if is_gate else self.runs[snapshot.owner].strategy.interval]
            if not (is_gate and self.knows(lane.interval, snapshot.symbol)):
                self.restore([snapshot])
            lane.dirty[lane.slot(snapshot.symbol)] = True

    def _restore_gate(self, snapshot: Snapshot) -> None:
        lane = self.lanes[_interval(snapshot.owner)]
        slot = lane.slot_restored(snapshot.symbol)
        if snapshot.layout != gate.LAYOUT or len(snapshot.payload) != gate.STATE.itemsize:
            raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} has another layout")
        if slot >= 0:
            lane.gate[slot] = np.frombuffer(snapshot.payload, gate.STATE)[0]
            lane.next_offset[slot] = snapshot.offset

    def _restore_run(self, snapshot: Snapshot) -> None:
        run = self.runs[snapshot.owner]
        slot = self.lanes[run.strategy.interval].slot(snapshot.symbol)
        if snapshot.layout != run.strategy.layout:
            raise ValueError(f"the snapshot {snapshot.owner}/{snapshot.symbol} has another layout")
        if slot >= 0:
            run.unpack(slot, snapshot.payload)
            if run.shadow is not None:
                run.shadow.restore(slot, snapshot.shadow)
            run.next_offset[slot] = snapshot.offset


def _interval(memory: str) -> str:
    """Of a gate, by the name under which its snapshots go."""
    return memory.split(":")[1]


def prepare(strategies: Iterable[ReadyStrategy]) -> None:
    """Loads or compiles all that the first bar would otherwise wait for, by stepping over one bar in a pipeline of
    its own.
    """
    ready = list(strategies)
    pipeline = Pipeline(ready, Source("", 0, ""))
    bars = trial_bars(1)
    for strategy in ready:
        symbol = min(strategy.universe.symbols or {"X"})
        pipeline.feed({strategy.interval: BarBatch([symbol], bars, np.zeros(1, np.int64))})
        if strategy.model is not None:
            shape = (1, strategy.model.lookback, len(strategy.columns))
            strategy.model.predict_windows(np.zeros(shape), strategy.columns)
