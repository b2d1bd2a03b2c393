"""`verify` for strategies that decide about all symbols at once: predictions, closings and signals against the bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backtest.replay.logged_cross_sections import Gathered, gathered, logged
from backtest.replay.replay import signals_during
from backtest.replay.stretches import Stretch, strategies_of
from backtest.replay.walk import History
from backtest.sources.bars import Progress, Reading
from backtest.verify.verdict import (
    NEWS_TOPICS,
    REPEATED,
    Difference,
    VerifyResult,
    comparable,
    compare,
    exactly_once_from,
    live_signals,
)
from plugins.pipeline.cross_sections.deciding import Deciders
from schemas.errors import PluginError
from schemas.wire import encode
from schemas.wire.cross_sections import Prediction
from streams.ingest.bar_files import during
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name
from streams.publishing.writer import home
from streams.recovery.cross_section_state import load_cross_sections
from streams.recovery.state import load


@dataclass
class _Bars:
    """What the bars of all partitions come to."""

    predictions: list[Prediction] = field(default_factory=list)
    past: dict[int, list[Stretch]] = field(default_factory=dict)


async def verify_gathered(
    history: History, start: int | None, end: int | None, progress: Progress | None
) -> VerifyResult:
    """Predictions on the log against those of the bars, and signals against what the logged closings make of these."""
    log, ready = history.log, history.ready
    verdict = VerifyResult(ready.name)
    count = await log.partition_count()
    # a worker may run meanwhile, so in this order: what is marked, what was written, and the bars behind that
    marked = {number: (await load(log, number)).published.get(ready.name, 0) for number in range(count)}
    until = (await load_cross_sections(log, home(ready.name, count))).published(ready.name)
    live = [await live_signals(log, ready.name, partition) for partition in range(count)]
    records = await logged(log, ready.name)
    bars = await _bars(history, verdict, progress)
    try:
        past = [one for part in bars.past.values() for one in strategies_of(part)]
        of_log = gathered(records, bars.predictions, Deciders([ready, *past]))
    except PluginError as error:
        verdict.not_reproducible = str(error)
        return verdict
    verdict.differences += _predictions(of_log, bars, marked)
    due = {signal.content.id for offset, signal in of_log.signals if offset < until}
    for partition, one in enumerate(live):
        verdict.foreign += one.foreign
        mine = comparable(verdict, one.signals, bars.past[partition])
        expected = [signal for _, signal in of_log.signals if signal.provenance.partition == partition]
        compare(
            verdict, signals_during(mine, start, end), signals_during(expected, start, end),
            lambda signal: signal.content.id in due, exactly_once_from(bars.past[partition]),
        )  # fmt: skip
    verdict.unpublished += len(of_log.absent)
    verdict.open = int(during((prediction.time for prediction in of_log.open), start, end).sum())
    verdict.differences.sort(key=lambda d: (d.time, d.symbol))
    return verdict


async def _bars(history: History, verdict: VerifyResult, progress: Progress | None) -> _Bars:
    bars, ready, reading = _Bars(), history.ready, Reading(progress, verdict.gaps)
    async for partition in history.partitions():
        verdict.take_past(partition.past, ready)
        for topic in ("bars", "predictions", *(NEWS_TOPICS if ready.uses_news else ())):
            verdict.take_unread(partition, topic)
        bars.past[partition.number] = partition.past
        bars.predictions += (await partition.recomputed(reading)).predictions
    verdict.scattered = scattered(reading.places, topic_name(history.log, "bars"))
    if not any(bars.past.values()):
        verdict.not_reproducible = f"no worker has ever run strategy {ready.name}"
    return bars


def _predictions(of_log: Gathered, bars: _Bars, marked: Mapping[int, int]) -> list[Difference]:
    """What is wrong with the predictions on the log; those of stretches that cannot be recomputed are left out. They
    must be there for the bars before the offset that is `marked` on a partition.
    """
    differences = [
        _difference("extra prediction", computed)
        for computed in of_log.unknown
        if not is_lost(bars.past.get(computed.provenance.partition, []), computed)
    ]
    for again in of_log.repeated:
        since = exactly_once_from(bars.past.get(again.provenance.partition, []))
        if since is not None and again.provenance.offset >= since:
            differences.append(_difference(f"prediction {REPEATED}", again))
    for computed in of_log.absent:
        if computed.provenance.offset < marked[computed.provenance.partition]:
            differences.append(_difference("missing prediction", computed))
    of_log.absent = [m for m in of_log.absent if m.provenance.offset >= marked[m.provenance.partition]]
    for live, computed in of_log.pairs:
        if encode(bare(live)) != encode(bare(computed)):
            ours, theirs = msgspec.to_builtins(bare(live)), msgspec.to_builtins(bare(computed))
            differences += [
                _difference("differs", computed, f"prediction.{name}", ours[name], theirs[name])
                for name in ours
                if ours[name] != theirs[name]
            ]
    return differences


def is_lost(past: Sequence[Stretch], prediction: Prediction) -> bool:
    """Is it of a stretch that cannot be recomputed?"""
    return any(stretch.fault and stretch.begin <= prediction.provenance.offset < stretch.end for stretch in past)


def bare(prediction: Prediction) -> Prediction:
    """Without the version of the worker that wrote it."""
    return msgspec.structs.replace(prediction, provenance=msgspec.structs.replace(prediction.provenance, worker=""))


def _difference(
    kind: str, prediction: Prediction, name: str | None = None, live: Any = None, replayed: Any = None
) -> Difference:
    place = prediction.provenance
    return Difference(
        kind, prediction.strategy, prediction.symbol, prediction.time, place.partition, place.offset,
        name, live, replayed,
    )  # fmt: skip
