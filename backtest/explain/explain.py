"""Where one signal came from: recomputed from its inputs by the pipeline that runs live, and compared to the byte."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from backtest.explain import published
from backtest.explain.first_difference import NOTHING, FirstDifference, first_difference
from backtest.explain.published import Published
from backtest.explain.recomputed import Recomputed, of_file, of_frame, of_topics
from backtest.replay.replay import replay_frame
from backtest.replay.walk import History
from backtest.sources.bars import Progress
from backtest.sources.files import Files
from backtest.sources.log import require_log
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.canonical import config_hash, signal_id
from schemas.configuration import Config
from schemas.errors import BadRecord
from schemas.wire import Signal, SignalContent, decode, encode
from streams.kafka.log import Log
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name
from streams.requests.symbol_places import places_on

_decoder = msgspec.json.Decoder(Signal)


@dataclass
class Explanation:
    """One signal with all its inputs.

    `bars` are the trailing warm-up up to the signal's own bar, of the `folded` ones that its state holds since its
    origin; `columns` are the features (and the generator's own columns) there; `rule` is the generator's reason.
    `section` is there where a signal was decided together with those of other symbols. `scattered`: what is wrong where
    the symbol has bars on several partitions, so that its states know only a part of them.
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
    section: dict[str, Any] | None = None
    fault: str | None = None
    scattered: str | None = None

    def plain(self) -> dict[str, Any]:
        """What is written as JSON."""
        plain = asdict(self)
        return plain if self.scattered else {name: plain[name] for name in plain if name != "scattered"}


def explain_many(
    config: Config,
    ids: Sequence[str],
    file: Path | None = None,
    bars: str | Files | None = None,
    progress: Progress | None = None,
    news: str | None = None,
    source: str = "kafka",
) -> list[Explanation]:
    """Explains signals by their ids (or what these begin with), each once: the log is replayed once for all of them.

    Parameters
    ----------
    file
        JSON lines that `replay` wrote; None: the `signals` topic.
    bars
        The file of bars that the replay read; None: the `bars` topic.
    source
        Where the topics are: ``kafka`` or the folder of an archive.
    news
        The file of scores that it read, if it did.

    Raises
    ------
    ConfigurationError
        For an id that is not there or is ambiguous, or a strategy that cannot be made here.
    """
    return asyncio.run(_explain_many(config, require_log(config, source), ids, file, bars, progress, news))


def explain_frame(ready: ReadyStrategy, bars: pd.DataFrame, identity: str) -> Explanation:
    """One of the signals that `bars` in the normal form lead to, by its id or what that begins with.

    Raises
    ------
    ConfigurationError
        For an id that is not there or is ambiguous.
    """
    signals = {signal.content.id: signal for signal in replay_frame(ready, bars).raw}
    begun = [Published(one, 0, encode(signal)) for one, signal in signals.items() if one.startswith(identity)]
    (one,) = published.chosen([identity], begun, "among the signals of these bars")
    signal = signals[one.id]
    return _explanation(one, signal, [of_frame(ready, bars, list(signals.values()), signal)])


async def _explain_many(
    config: Config,
    log: Log,
    ids: Sequence[str],
    file: Path | None,
    bars: str | Files | None,
    progress: Progress | None,
    news: str | None,
) -> list[Explanation]:
    signals_there = published.in_file(file, ids) if file else await published.on_topic(log, ids)
    where = f"in {file}" if file else f"on {topic_name(log, 'signals')}"
    wanted = published.chosen(ids, signals_there, where)
    decoded = {one.raw: _decoded(one.raw) for one in wanted}
    signals = [signal for signal in decoded.values() if isinstance(signal, Signal)]
    names = _strategies(config, signals, len(signals) < len(decoded))
    here = {
        partition: [s for one in wanted if one.partition == partition and isinstance(s := decoded[one.raw], Signal)]
        for partition in sorted({one.partition for one in wanted})
    }
    result: dict[int, list[Recomputed]] = {partition: [] for partition in here}
    for name in names:
        ready = ready_strategy(name, config.strategy(name))
        if bars is not None:
            ready = _maker(ready, signals)
            recomputed = of_file(config, ready, here, bars, news, progress, _beside(file, ready))
        else:
            recomputed = await of_topics(History(log, config, ready), here, progress)
        for partition, candidates in result.items():
            candidates.append(recomputed.get(partition) or Recomputed(ready))
    explanations = [_explanation(one, decoded[one.raw], result[one.partition]) for one in wanted]
    if bars is None:
        places, topic = await places_on(log), topic_name(log, "bars")
        for one in explanations:
            symbol = one.published["content"]["symbol"] if one.published else ""
            one.scattered = scattered({symbol: places.get(symbol, ())}, topic)
    return explanations


def _maker(ready: ReadyStrategy, signals: Sequence[Signal]) -> ReadyStrategy:
    """`ready` as the version had it that made the signals."""
    known = (ready.as_of(signal.content.config_hash) for signal in signals if signal.content.strategy == ready.name)
    return next(filter(None, known), ready)


def _decoded(raw: bytes) -> Signal | BadRecord:
    try:
        return decode(_decoder, raw)
    except BadRecord as error:
        return error


def _beside(file: Path | None, ready: ReadyStrategy) -> list[Signal]:
    """The signals in the file that may have been decided together with one another."""
    if file is None or not ready.at_once:
        return []
    decoded = map(_decoded, published.lines_of(file))
    return [signal for signal in decoded if isinstance(signal, Signal) and signal.content.strategy == ready.name]


def _strategies(config: Config, signals: Sequence[Signal], damaged: bool) -> list[str]:
    """Those that the signals name; all there are when one cannot be right."""
    contents = [signal.content for signal in signals]
    if damaged or any(c.id != signal_id(c.strategy, c.symbol, c.time) for c in contents):
        return list(config.strategies)
    names = list(dict.fromkeys(content.strategy for content in contents))
    for name in names:
        config.strategy(name)  # says which there are, where this is none
    return names


def _explanation(one: Published, published: Signal | BadRecord, candidates: Sequence[Recomputed]) -> Explanation:
    explanation = Explanation(one.id)
    if isinstance(published, BadRecord):
        explanation.difference = FirstDifference("published", published.reason, NOTHING)
        return explanation
    explanation.published = msgspec.to_builtins(published)
    by_id = [c for c in candidates if one.id in c.signals]
    by_name = [c for c in candidates if c.ready.name == published.content.strategy]
    for candidate in [*by_id, *by_name, *candidates]:
        if signal := candidate.signal_of(one.id, published):
            _fill(explanation, candidate, signal)
            _compare(explanation, candidate, one, published, signal)
            return explanation
    _tell_why_not(explanation, published, (by_name or list(candidates))[0])
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
    if candidate.sections:
        section = candidate.sections.at(content.time)
        explanation.section = section.plain(content.symbol)
        explanation.columns |= candidate.sections.made(section, content.symbol)


def _compare(
    explanation: Explanation, candidate: Recomputed, one: Published, published: Signal, signal: Signal
) -> None:
    """The worker's version in the provenance may differ, nothing else."""
    provenance = msgspec.structs.replace(signal.provenance, worker=published.provenance.worker)
    expected = msgspec.structs.replace(signal, provenance=provenance)
    of_signals = _of_signals(published, expected)
    explanation.difference = _of_section(candidate, signal, published.content if of_signals else None) or of_signals
    explanation.difference = explanation.difference or _of_configuration(candidate, signal)
    if explanation.difference is None and encode(expected) != one.raw:
        explanation.difference = FirstDifference("bytes", one.raw.decode("utf-8", "replace"), encode(expected).decode())
    explanation.reproduced = explanation.difference is None


def _of_signals(published: Signal, expected: Signal) -> FirstDifference | None:
    ours, theirs = msgspec.to_builtins(published), msgspec.to_builtins(expected)
    for part in ("content", "provenance"):
        if difference := first_difference(ours[part], theirs[part], f"{part}."):
            return difference
    return None


def _of_section(candidate: Recomputed, signal: Signal, published: SignalContent | None) -> FirstDifference | None:
    """What the log tells of the cross-section, against what comes out; `published` where the signal is not that."""
    if candidate.sections is None:
        return None
    section = candidate.sections.at(signal.content.time)
    return candidate.sections.difference(section, signal.content.symbol, published)


def _of_configuration(candidate: Recomputed, signal: Signal) -> FirstDifference | None:
    """What the log says was applied, against what the hash in the signal stands for."""
    stretch = candidate.stretch(signal.provenance.offset)
    if stretch is None or stretch.strategy is None:
        return None
    return first_difference(stretch.applied.config, stretch.strategy.config, "configuration.")


def _tell_why_not(explanation: Explanation, published: Signal, candidate: Recomputed) -> None:
    stretch = candidate.stretch(published.provenance.offset)
    sections = candidate.sections
    if sections and not sections.of_file and sections.at(published.content.time).closing is None:
        explanation.difference = FirstDifference("closing", NOTHING, published.content.time)
        explanation.fault = "no closing on the log is of this time, or of a later one: its cross-section is still open"
        return
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


def check_document(document: Mapping[str, Any], explanation: Explanation) -> FirstDifference | None:
    """The first field of an explanation kept as JSON that is not what is recomputed now."""
    return first_difference(dict(document), msgspec.json.decode(encode(explanation.plain())), "")
