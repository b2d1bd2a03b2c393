"""Where one signal came from: recomputed from its inputs by the pipeline that runs live, and compared to the byte."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from backtest import published
from backtest.evidence import Evidence, Witness
from backtest.history import Stretch, recompute, stretches
from backtest.news import file_news
from backtest.published import Published
from backtest.replay import check_news, replay_file
from backtest.sources import Progress
from plugins.strategy import ReadyStrategy, ready_strategy
from schemas.canonical import canonical_json, config_hash, signal_id
from schemas.config import Config
from schemas.errors import BadRecord
from schemas.messages import Signal, decode, encode
from streams.state import load
from streams.topics import partition_count, topic_name

_decoder = msgspec.json.Decoder(Signal)
NOTHING = "nothing"
"""Stands for a field that one side does not have."""


@dataclass(frozen=True)
class FirstDifference:
    """The first field in which what was told is not what comes out."""

    field: str
    told: Any
    recomputed: Any


@dataclass
class Explanation:
    """One signal with all that it was made of.

    `bars` are the trailing warm-up up to the signal's own bar, of the `folded` ones that its state holds since its
    origin; `columns` are the features (and the generator's own columns) there; `rule` is the generator's reason.
    """

    id: str
    reproduced: bool = False
    difference: FirstDifference | None = None
    published: Any = None
    recomputed: Any = None
    bars: list[dict[str, Any]] = field(default_factory=list)
    folded: int = 0
    columns: dict[str, float | None] = field(default_factory=dict)
    prediction: float | None = None
    model: Any = None
    rule: str | None = None
    config_hash: str | None = None
    configuration: Any = None
    in_force_from: int | None = None
    fault: str | None = None

    def plain(self) -> dict[str, Any]:
        """What is written as JSON."""
        return asdict(self)


@dataclass
class Recomputed:
    """What one strategy says on one partition."""

    ready: ReadyStrategy
    past: list[Stretch] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    evidence: dict[int, Evidence] = field(default_factory=dict)

    def stretch(self, offset: int) -> Stretch | None:
        return next((stretch for stretch in self.past if stretch.begin <= offset < stretch.end), None)

    def signal_of(self, one: Published, told: Signal | None) -> Signal | None:
        """That of the same id, else that of the bar which it says it comes from."""
        if one.id in self.signals or told is None:
            return self.signals.get(one.id)
        place = told.provenance.offset
        return next((signal for signal in self.signals.values() if signal.provenance.offset == place), None)


def explain_many(
    config: Config,
    ids: Sequence[str],
    file: Path | None = None,
    bars: str | None = None,
    progress: Progress | None = None,
    news: str | None = None,
) -> list[Explanation]:
    """Explains signals by their ids (or what these begin with), each once: the log is replayed once for all of them.

    Parameters
    ----------
    file
        JSON lines that `replay` wrote; None: the `signals` topic.
    bars
        The file of bars that the replay read; None: the `bars` topic.
    news
        The file of scores that it read, if it did.

    Raises
    ------
    ConfigurationError
        For an id that is not there or is ambiguous, or a strategy that cannot be made here.
    """
    return asyncio.run(_explain_many(config, ids, file, bars, progress, news))


async def _explain_many(
    config: Config,
    ids: Sequence[str],
    file: Path | None,
    bars: str | None,
    progress: Progress | None,
    news: str | None,
) -> list[Explanation]:
    found = published.in_file(file, ids) if file else await published.on_topic(config.kafka, ids)
    where = f"in {file}" if file else f"on {topic_name(config.kafka, 'signals')}"
    wanted = published.chosen(ids, found, where)
    told = {one.raw: _decoded(one) for one in wanted}
    signals = [signal for signal in told.values() if isinstance(signal, Signal)]
    names = _strategies(config, signals, len(signals) < len(told))
    result: dict[int, list[Recomputed]] = {}
    for partition in sorted({one.partition for one in wanted}):
        here = [s for one in wanted if one.partition == partition and isinstance(s := told[one.raw], Signal)]
        result[partition] = [await _recomputed(config, name, partition, here, bars, progress, news) for name in names]
    return [_explanation(one, told[one.raw], result[one.partition]) for one in wanted]


def _decoded(one: Published) -> Signal | BadRecord:
    try:
        return decode(_decoder, one.raw)
    except BadRecord as error:
        return error


def _strategies(config: Config, signals: Sequence[Signal], damaged: bool) -> list[str]:
    """Those that the signals name; all there are when one cannot be right."""
    contents = [signal.content for signal in signals]
    if damaged or any(c.id != signal_id(c.strategy, c.symbol, c.time) for c in contents):
        return list(config.strategies)
    names = list(dict.fromkeys(content.strategy for content in contents))
    for name in names:
        config.strategy(name)  # says which there are, where this is none
    return names


async def _recomputed(
    config: Config,
    name: str,
    partition: int,
    signals: Sequence[Signal],
    bars: str | None,
    progress: Progress | None,
    news: str | None,
) -> Recomputed:
    ready = ready_strategy(name, config.strategy(name))
    result = Recomputed(ready)
    offsets, times = {s.provenance.offset for s in signals}, {s.content.time for s in signals}

    def witness(strategy: ReadyStrategy, stretch: Stretch | None = None) -> Witness:
        counts = (lambda offset: True) if stretch is None else (lambda at: stretch.begin <= at < stretch.end)
        return Witness(offsets, times, strategy.warmup + 1, counts, result.evidence)

    if bars is not None:
        check_news(ready, news, of_topics=False)
        join = file_news(news, config.news, ready.joining) if news else None
        made = replay_file(ready, bars, progress, witness(ready), join).raw
    else:
        stored = await load(config.kafka, partition)
        result.past = await stretches(stored, partition, ready, config)
        count = await partition_count(config.kafka)

        def watch(stretch: Stretch) -> Witness:
            assert stretch.strategy is not None
            return witness(stretch.strategy, stretch)

        made = await recompute(config.kafka, stored, partition, count, result.past, progress, watch)
    result.signals = {s.content.id: s for s in made if s.provenance.offset in result.evidence}
    return result


def _explanation(one: Published, told: Signal | BadRecord, candidates: Sequence[Recomputed]) -> Explanation:
    explanation = Explanation(one.id)
    if isinstance(told, BadRecord):
        explanation.difference = FirstDifference("published", told.reason, NOTHING)
        return explanation
    explanation.published = msgspec.to_builtins(told)
    by_id = [c for c in candidates if one.id in c.signals]
    by_name = [c for c in candidates if c.ready.name == told.content.strategy]
    for candidate in [*by_id, *by_name, *candidates]:
        if signal := candidate.signal_of(one, told):
            _fill(explanation, candidate, signal)
            _compare(explanation, candidate, one, told, signal)
            return explanation
    _tell_why_not(explanation, told, (by_name or list(candidates))[0])
    return explanation


def _fill(explanation: Explanation, candidate: Recomputed, signal: Signal) -> None:
    content, offset = signal.content, signal.provenance.offset
    evidence, stretch = candidate.evidence[offset], candidate.stretch(offset)
    strategy = stretch.strategy if stretch and stretch.strategy else candidate.ready
    explanation.recomputed = msgspec.to_builtins(signal)
    explanation.bars, explanation.folded = evidence.bars, evidence.folded
    explanation.columns = {name: value for name, value in evidence.columns.items() if name != "prediction"}
    explanation.prediction, explanation.rule = content.prediction, content.reason
    explanation.model = explanation.recomputed["content"]["model"]
    explanation.config_hash, explanation.configuration = content.config_hash, strategy.config
    explanation.in_force_from = stretch.applied.offset if stretch else None


def _compare(explanation: Explanation, candidate: Recomputed, one: Published, told: Signal, signal: Signal) -> None:
    """The worker's version in the provenance may differ, nothing else."""
    provenance = msgspec.structs.replace(signal.provenance, worker=told.provenance.worker)
    expected = msgspec.structs.replace(signal, provenance=provenance)
    explanation.difference = _of_signals(told, expected) or _of_configuration(candidate, signal)
    if explanation.difference is None and encode(expected) != one.raw:
        explanation.difference = FirstDifference("bytes", one.raw.decode("utf-8", "replace"), encode(expected).decode())
    explanation.reproduced = explanation.difference is None


def _of_signals(told: Signal, expected: Signal) -> FirstDifference | None:
    ours, theirs = msgspec.to_builtins(told), msgspec.to_builtins(expected)
    for part in ("content", "provenance"):
        if difference := first_difference(ours[part], theirs[part], f"{part}."):
            return difference
    return None


def _of_configuration(candidate: Recomputed, signal: Signal) -> FirstDifference | None:
    """What the log says was applied, against what the hash in the signal stands for."""
    stretch = candidate.stretch(signal.provenance.offset)
    if stretch is None or stretch.strategy is None:
        return None
    return first_difference(stretch.applied.config, stretch.strategy.config, "configuration.")


def _tell_why_not(explanation: Explanation, told: Signal, candidate: Recomputed) -> None:
    stretch = candidate.stretch(told.provenance.offset)
    if stretch is None or stretch.fault is None:
        explanation.difference = FirstDifference("content.id", explanation.id, NOTHING)
        explanation.fault = "the replay makes no signal of this id, nor any for the bar that it names"
        return
    explanation.fault = stretch.fault
    explanation.configuration, explanation.config_hash = stretch.applied.config, stretch.applied.config_hash
    if not stretch.gone:
        here = candidate.ready.config
        explanation.difference = first_difference(stretch.applied.config, here, "configuration.")
        if explanation.difference is None or config_hash(stretch.applied.config) == stretch.applied.config_hash:
            return
        explanation.fault = f"the configuration on the log is not the one that its hash stands for: {stretch.fault}"


def check_document(told: Mapping[str, Any], found: Explanation) -> FirstDifference | None:
    """The first field of an explanation kept as JSON that is not what is recomputed now."""
    return first_difference(dict(told), msgspec.json.decode(encode(found.plain())), "")


def first_difference(told: Any, recomputed: Any, place: str = "") -> FirstDifference | None:
    """Depth first, in the order of `recomputed`'s fields; equal is what has equal bytes as JSON (1 is not 1.0)."""
    return next(_differences(told, recomputed, place), None)


def _differences(told: Any, recomputed: Any, place: str) -> Iterator[FirstDifference]:
    if isinstance(told, dict) and isinstance(recomputed, dict):
        for name in [*recomputed, *(name for name in told if name not in recomputed)]:
            yield from _differences(told.get(name, NOTHING), recomputed.get(name, NOTHING), f"{place}{name}.")
    elif isinstance(told, list) and isinstance(recomputed, list) and len(told) == len(recomputed):
        for number, (ours, theirs) in enumerate(zip(told, recomputed, strict=True)):
            yield from _differences(ours, theirs, f"{place.removesuffix('.')}[{number}].")
    elif canonical_json(told) != canonical_json(recomputed):
        yield FirstDifference(place.removesuffix("."), told, recomputed)
