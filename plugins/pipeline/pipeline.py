"""The one pure core: bars in, signals out. No clock, no Kafka, no random numbers.

The live worker, the replay, the training and the tests drive this same object, so they cannot differ. A `Pipeline`
holds one partition: a `IntervalGroup` for each interval (gate and slots), and in it a `StrategyRun` for each strategy
(states of all symbols in arrays).
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import BarBatch
from plugins.base.streaming import trial_bars
from plugins.fold import gate
from plugins.news.join import NewsJoin
from plugins.pipeline.failure import stopped
from plugins.pipeline.interval_group import IntervalGroup, Outcome
from plugins.pipeline.shadow import ReadyShadow, ShadowStates
from plugins.pipeline.strategy_run import Source, StrategyRun
from plugins.strategy.ready import ReadyStrategy
from schemas.canonical import sha256_hex
from schemas.wire import Snapshot


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
        self.runs = {
            strategy.name: StrategyRun(strategy, source, shadows.get(strategy.name)) for strategy in strategies
        }
        self.isolated = isolated
        self.lanes: dict[str, IntervalGroup] = {}
        for run in self.runs.values():
            interval = run.strategy.interval
            run.asleep = run.strategy.name in asleep
            self.lanes.setdefault(interval, IntervalGroup(interval, [], news)).runs.append(run)
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
