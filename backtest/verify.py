"""Live signals on the topic against a replay, field by field."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backtest.history import Stretch, recompute, stretches
from backtest.offsets import Offsets, check_offsets, signals_within
from backtest.replay import signals_during
from backtest.sources import Progress, gaps
from plugins.strategy import ReadyStrategy, ready_strategy
from schemas.config import Config, Kafka
from schemas.errors import BadRecord
from schemas.messages import Signal, decode, encode
from streams.clients import read_partition_to_end
from streams.state import load
from streams.topics import partition_count, topic_name

_decoder = msgspec.json.Decoder(Signal)


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
class Verdict:
    """What `verify` found; `ok` when live and replay are one.

    `gaps`: in words, which offsets of the bars the log lacks.

    `older`: signals from before the state's origin, which lie too far back for the log as it is now. `other`: the
    configuration in force, where that is not the one here; each signal is compared with what was in force for it.
    """

    strategy: str
    signals: int = 0
    equal: int = 0
    repeats: int = 0
    foreign: int = 0
    unpublished: int = 0
    older: int = 0
    not_reproducible: str | None = None
    other: str | None = None
    gaps: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences and self.not_reproducible is None and self.foreign == 0


@dataclass
class Live:
    """Signals of one strategy on one partition of the topic; those of bars before offset `until` must all be there."""

    until: int
    signals: list[Signal] = field(default_factory=list)
    foreign: int = 0


def verify(
    config: Config,
    name: str,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
) -> Verdict:
    """Compares all signals of strategy `name` for bars that close in [start, end), at these `offsets` (None: any),
    with a replay of the same log.
    """
    ready = ready_strategy(name, config.strategy(name))
    if offsets is not None:
        asyncio.run(check_offsets(config.kafka, offsets))
    return asyncio.run(verify_topic(config, ready, start, end, progress, offsets))


async def verify_topic(
    config: Config,
    ready: ReadyStrategy,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
) -> Verdict:
    kafka = config.kafka
    verdict = Verdict(ready.name)
    # a worker may be at work meanwhile: first what it says is published, then that, then the bars it was made of
    count = await partition_count(kafka)
    live = [await _live(kafka, ready.name, partition) for partition in range(count)]
    ran = False
    for partition, found in enumerate(live):
        stored = await load(kafka, partition)
        past = await stretches(stored, partition, ready, config)
        if past and past[-1].gone:
            verdict.not_reproducible = verdict.not_reproducible or past[-1].fault
        if past and past[-1].applied.config_hash != ready.config_hash:
            verdict.other = past[-1].applied.config_hash
        ran = ran or bool(past)
        verdict.gaps += await gaps(kafka, partition, past[0].applied.origin.offset) if past else []
        expected = await recompute(kafka, stored, partition, count, past, progress)
        verdict.foreign += found.foreign
        published, expected = (
            signals_within(signals_during(some, start, end), offsets) for some in (found.signals, expected)
        )
        _compare(verdict, _comparable(verdict, published, past), expected, found.until)
    if not ran:
        verdict.not_reproducible = f"no worker has ever run strategy {ready.name} on {topic_name(kafka, 'bars')}"
    verdict.differences.sort(key=lambda d: (d.time, d.symbol))
    return verdict


def _comparable(verdict: Verdict, signals: list[Signal], past: list[Stretch]) -> list[Signal]:
    """Without those of stretches that cannot be recomputed, which are counted or told."""
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


async def _live(kafka: Kafka, strategy: str, partition: int) -> Live:
    marker = (await load(kafka, partition)).marker
    live = Live(marker.published.get(strategy, 0) if marker else 0)
    async for record in read_partition_to_end(
        kafka, topic_name(kafka, "signals"), partition, isolation="read_committed"
    ):
        try:
            signal = decode(_decoder, record.value)
        except BadRecord:
            live.foreign += 1
            continue
        if signal.content.strategy == strategy:
            live.signals.append(signal)
    return live


def _compare(verdict: Verdict, live: list[Signal], expected: list[Signal], until: int) -> None:
    """Every live signal against the replay's of that id; a replayed one below the marker must be there."""
    wanted = {signal.content.id: signal for signal in expected}
    seen: set[str] = set()
    for signal in live:
        identity = signal.content.id
        verdict.signals += 1
        repeated = identity in seen
        seen.add(identity)
        replayed = wanted.get(identity)
        differences = [_extra(signal)] if replayed is None else list(_differences(signal, replayed))
        if differences:
            verdict.differences += differences
        elif repeated:
            verdict.repeats += 1
        else:
            verdict.equal += 1
    for identity, signal in wanted.items():
        if identity not in seen:
            if signal.provenance.offset < until:
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
