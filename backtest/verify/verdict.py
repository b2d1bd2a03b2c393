"""The verdict of `verify`: live signals against recomputed ones, field by field."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backtest.replay.stretches import Stretch
from backtest.replay.walk import PartitionHistory
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import BadRecord
from schemas.wire import Signal, decode_signal, encode
from streams.kafka.gaps import clipped, describe_unread
from streams.kafka.log import Log
from streams.kafka.topics import topic_name
from streams.recovery.state import load

REPEATED = "repeated, though exactly once was in force: does a second consumer group work on these topics?"
NEWS_TOPICS = ("news", "news.scores")
"""Of which strategies that use news may have missed records."""
OUT_OF_ORDER = "out of order: it comes after the signal of a later bar"


@dataclass(frozen=True)
class Difference:
    """One signal that is not what the replay says."""

    kind: str
    strategy: str
    symbol: str
    time: int
    partition: int
    offset: int
    field: str | None = None
    live: Any = None
    replayed: Any = None


@dataclass
class VerifyResult:
    """The result of `verify`; `ok` when live and replay are equal.

    `gaps`: in words, which offsets of the bars the log lacks.

    `unread`: in words, what was deleted before a worker read it.

    `scattered`: what is wrong, where symbols lie on several partitions of the bars.

    `open`: predictions of cross-sections that are not closed at the end of the log, and so have no signals yet.

    `older`: signals from before the state's origin, which lie too far back for the log as it is now. `other`: the
    configuration in force, where that is not the one here; each signal is compared with what was in force for it.
    """

    strategy: str
    signals: int = 0
    equal: int = 0
    repeats: int = 0
    foreign: int = 0
    unpublished: int = 0
    open: int = 0
    older: int = 0
    not_reproducible: str | None = None
    other: str | None = None
    scattered: str | None = None
    gaps: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def take_unread(self, partition: PartitionHistory, topic: str, within: range | None = None) -> None:
        """Records of a partition of `topic` that were deleted before a worker that ran the strategy read them; only
        those `within` these offsets.
        """
        if not partition.past:
            return
        begin = partition.past[0].begin if topic == "bars" else 0
        span, name = within or range(begin, sys.maxsize), topic_name(partition.history.log, topic)
        for place, gaps in partition.stored.unread.items():
            if place.rpartition("/")[0] == name:
                self.unread += describe_unread(place, clipped(gaps, max(begin, span.start), span.stop))

    def take_past(self, past: Sequence[Stretch], ready: ReadyStrategy) -> None:
        """Of one partition: what is in force there, and what of it cannot be recomputed."""
        if past and past[-1].gone:
            self.not_reproducible = self.not_reproducible or past[-1].fault
        if past and ready.as_of(past[-1].applied.config_hash) is None:
            self.other = past[-1].applied.config_hash

    @property
    def ok(self) -> bool:
        faults = self.differences, self.not_reproducible, self.scattered, self.foreign, self.unread
        return not any(faults)


@dataclass
class Live:
    """Signals of one strategy on one partition of the topic; those of bars before offset `until` must all be there."""

    until: int
    signals: list[Signal] = field(default_factory=list)
    foreign: int = 0

    def due(self, signal: Signal) -> bool:
        """Must it be there?"""
        return signal.provenance.offset < self.until


def comparable(verdict: VerifyResult, signals: Sequence[Signal], past: list[Stretch]) -> list[Signal]:
    """Without those of stretches that cannot be recomputed, which are counted or reported."""
    lost = [stretch for stretch in past if stretch.fault]
    kept = []
    for signal in signals:
        stretch = next((stretch for stretch in lost if stretch.covers(signal)), None)
        if stretch is None:
            kept.append(signal)
        elif stretch.gone and stretch is not past[-1]:
            verdict.older += 1
        else:
            verdict.not_reproducible = verdict.not_reproducible or stretch.fault
    return kept


def exactly_once_from(past: Sequence[Stretch]) -> int | None:
    """From which bar on a partition's signals must be there once; None: they may be repeated."""
    return past[-1].applied.exactly_once_from if past else None


async def live_signals(log: Log, strategy: str, partition: int) -> Live:
    live = Live((await load(log, partition)).published.get(strategy, 0))
    async for record in log.records("signals", partition, isolation="read_committed"):
        try:
            signal = decode_signal(record.value)
        except BadRecord:
            live.foreign += 1
            continue
        if signal.content.strategy == strategy:
            live.signals.append(signal)
    return live


def compare(
    verdict: VerifyResult,
    live: Sequence[Signal],
    expected: Sequence[Signal],
    due: Callable[[Signal], bool],
    once_from: int | None = None,
) -> None:
    """Every live signal against the replay's of that id; a replayed one that is `due` must be there, and none may be
    there twice for a bar from offset `once_from` on. Those of a symbol, without what is repeated, must be in the order
    of its bars.
    """
    wanted = {signal.content.id: signal for signal in expected}
    seen: set[str] = set()
    last: dict[str, int] = {}
    for signal in live:
        identity = signal.content.id
        verdict.signals += 1
        repeated = identity in seen
        seen.add(identity)
        replayed = wanted.get(identity)
        differences = [_extra(signal)] if replayed is None else list(_differences(signal, replayed))
        if replayed is not None and not repeated:
            differences += _out_of_order(replayed, last)
        if differences:
            verdict.differences += differences
        elif repeated:
            verdict.repeats += 1
            if once_from is not None and signal.provenance.offset >= once_from:
                verdict.differences.append(_difference(REPEATED, signal))
        else:
            verdict.equal += 1
    for identity, signal in wanted.items():
        if identity not in seen:
            if due(signal):
                verdict.differences.append(_difference("missing", signal))
            else:
                verdict.unpublished += 1


def _difference(
    kind: str, signal: Signal, name: str | None = None, live: Any = None, replayed: Any = None
) -> Difference:
    content, provenance = signal.content, signal.provenance
    return Difference(
        kind,
        content.strategy,
        content.symbol,
        content.time,
        provenance.partition,
        provenance.offset,
        name,
        live,
        replayed,
    )


def _out_of_order(signal: Signal, last: dict[str, int]) -> list[Difference]:
    """Came it after the signal of a later bar? `last`: by symbol, the offset of the newest bar so far."""
    symbol, offset = signal.content.symbol, signal.provenance.offset
    newest = last.get(symbol, -1)
    last[symbol] = max(offset, newest)
    return [_difference(OUT_OF_ORDER, signal)] if offset < newest else []


def _extra(signal: Signal) -> Difference:
    return _difference("extra", signal)


def _differences(live: Signal, replayed: Signal) -> Iterator[Difference]:
    """Field by field; the worker's version in the provenance may differ."""
    if encode(live.content) == encode(replayed.content) and _place(live) == _place(replayed):
        return
    ours, theirs = msgspec.to_builtins(live.content), msgspec.to_builtins(replayed.content)
    for name in ours:
        if encode(ours[name]) != encode(theirs[name]):
            yield _difference("differs", replayed, name, ours[name], theirs[name])
    for name, (a, b) in {n: (_place(live)[n], _place(replayed)[n]) for n in _place(live)}.items():
        if a != b:
            yield _difference("differs", replayed, f"provenance.{name}", a, b)


def _place(signal: Signal) -> dict[str, Any]:
    place: dict[str, Any] = msgspec.to_builtins(signal.provenance)
    del place["worker"]
    return place
