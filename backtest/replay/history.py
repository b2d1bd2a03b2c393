"""What was in force for a strategy on a partition, stretch by stretch, and the signals that each demands."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backtest.sources.bars import Progress, topic_steps
from plugins.base.bars import BarBatch, between
from plugins.models.artifacts.manifest import MANIFEST, read_manifest
from plugins.news.join import Joining, NewsJoin
from plugins.pipeline.interval_group import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Seen, Source
from plugins.strategy.model_exchange import artifact_folder
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Config, Kafka, Strategy
from schemas.errors import AlphawireError, ArtifactError
from schemas.wire import Applied, Signal
from streams.consuming.news_scores import joins
from streams.kafka.clients import offset_range
from streams.kafka.topics import topic_name
from streams.recovery.state import StoredState

VERSION = "replay"


@dataclass(frozen=True)
class Stretch:
    """Bars from offset `begin` up to, not including, `end`, for which one `applied` was in force; no signals where that
    says paused.

    `strategy` recomputes them; without one, `fault` says why they cannot be: `gone` when that is because the log no
    longer reaches their origin.
    """

    begin: int
    end: int
    applied: Applied
    strategy: ReadyStrategy | None
    fault: str | None = None
    gone: bool = False

    def covers(self, signal: Signal) -> bool:
        return self.begin <= signal.provenance.offset < self.end


async def stretches(
    stored: StoredState, partition: int, ready: ReadyStrategy, config: Config, whole: bool = True
) -> list[Stretch]:
    """The past of a strategy on a partition; `ready` is what it is here, by `config`. `whole`: what the log no longer
    holds from its origin on cannot be recomputed.
    """
    entries = stored.history.get(ready.name, [])
    if not entries:
        return []
    oldest, _ = await offset_range(config.kafka, topic_name(config.kafka, "bars"), partition) if whole else (0, 0)
    ends = [entry.offset for entry in entries[1:]] + [sys.maxsize]
    made: dict[str, ReadyStrategy | None] = {ready.config_hash: ready}
    for entry in entries:
        if made.get(entry.config_hash) is None:
            made[entry.config_hash] = recreated(entry, config)
    return [
        _stretch(entry, end, oldest, made[entry.config_hash], ready)
        for entry, end in zip(entries, ends, strict=True)
        if end > entry.offset
    ]


def _stretch(entry: Applied, end: int, oldest: int, strategy: ReadyStrategy | None, ready: ReadyStrategy) -> Stretch:
    if oldest > entry.origin.offset:
        fault = (
            f"{entry.topic}/{entry.partition} begins at offset {oldest} now,"
            f" after the origin {entry.origin.offset} of the state"
        )
        return Stretch(entry.offset, end, entry, None, fault, gone=True)
    if strategy is not None:
        return Stretch(entry.offset, end, entry, strategy)
    fault = (
        f"{entry.topic}/{entry.partition} ran configuration {entry.config_hash} from offset {entry.offset} on,"
        f" which cannot be made here{_lacking(entry)}; here it is {ready.config_hash}"
    )
    return Stretch(entry.offset, end, entry, None, fault)


def _lacking(entry: Applied) -> str:
    if entry.model is None:
        return ""
    return f": it needs the model {entry.artifact or entry.model.key} of SHA-256 {entry.model.sha256}"


def recreated(entry: Applied, config: Config) -> ReadyStrategy | None:
    """The strategy that `entry` describes, when its plugins and its model are here in the same versions, else None."""
    given = config.strategy(entry.strategy)
    plain = {name: value for name, value in entry.config.items() if name not in ("features", "model", "signal")}
    if isinstance(plain["universe"], dict) and "history" in plain["universe"]:  # its digest stands for the file
        plain["universe"] = given.universe
    plain["features"] = [_use(feature) for feature in entry.config["features"]]
    plain["signal"] = {"key": entry.config["signal"]["key"], "params": entry.config["signal"]["params"]}
    try:
        if entry.config["model"] is not None:
            if given.model is None:
                return None
            plain["model"] = given.model.model_dump() | {"key": entry.config["model"]["key"]}
            plain["model"]["artifact"] = _artifact(given, entry)
        strategy = ready_strategy(entry.strategy, Strategy.model_validate(plain), Path())
    except (AlphawireError, ValueError):
        return None
    return strategy if strategy.config_hash == entry.config_hash else None


def _artifact(given: Strategy, entry: Applied) -> Path:
    """The folder that the wish named, else the configured one, else one beside it that holds the model now."""
    assert given.model is not None
    if entry.artifact is not None:
        return artifact_folder(given, entry.artifact)
    configured = given.model.artifact
    beside = (path.parent for path in sorted(configured.absolute().parent.glob(f"*/{MANIFEST}")))
    wanted = entry.model.sha256 if entry.model else ""
    return next((folder for folder in (configured, *beside) if _sha256(folder) == wanted), configured)


def _sha256(folder: Path) -> str | None:
    try:
        return read_manifest(folder).sha256
    except ArtifactError:
        return None


def _use(feature: dict[str, Any]) -> dict[str, Any]:
    """A feature as the configuration names it: its columns tell the alias."""
    from plugins.features import feature_registry
    from plugins.fold.windowed import streaming

    own = streaming(feature_registry.create(feature["key"], **feature["params"])).columns
    columns = feature["columns"]
    alias = None if tuple(columns) == tuple(own) else columns[0].removesuffix(f".{own[0]}")
    return {"key": feature["key"], "params": feature["params"], "alias": alias}


Watch = Callable[[Stretch], Callable[[Seen], None]]
Joins = Mapping[Joining, NewsJoin]


class Fold:
    """Stretches whose states go on from one to the next, in one pipeline. `early`: signals of all bars before them,
    too.
    """

    def __init__(
        self, source: Source, stretches: Sequence[Stretch], news: Joins, watch: Watch | None = None, early: bool = False
    ) -> None:
        self._stretches = stretches
        first = next(stretch.strategy for stretch in stretches if stretch.strategy)
        self._pipeline = Pipeline([first], source, news=news[first.joining] if first.uses_news else None)
        self._run = self._pipeline.runs[first.name]
        self._run.begin, self._run.publish_from = stretches[0].applied.origin.offset, stretches[0].begin
        if early:
            self._run.publish_from = self._run.start_time = 0
        self._run.witness = watch(replace(stretches[-1], begin=stretches[0].begin, strategy=first)) if watch else None

    def feed(self, batches: Mapping[str, BarBatch], found: Outcome) -> None:
        begin = 0
        for stretch in self._stretches:
            if part := between(batches, begin, stretch.end):
                if stretch.strategy:
                    self._run.exchange(stretch.strategy)
                self._run.paused = stretch.applied.paused or stretch.strategy is None
                outcome = self._pipeline.feed(part)
                found.signals += outcome.signals
                found.predictions += outcome.predictions
                found.refusals += outcome.refusals
            begin = stretch.end


def folds_of(
    source: Source, past: Sequence[Stretch], news: Joins, watch: Watch | None = None, early: bool = False
) -> list[Fold]:
    """What recomputes the past, as far as that can be; `early`: the bars before it, too."""
    groups: list[list[Stretch]] = []
    for stretch in past:
        if groups and _goes_on(groups[-1][-1].applied, stretch.applied):
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    return [
        Fold(source, group, news, watch, early and group is groups[0])
        for group in groups
        if any(stretch.strategy for stretch in group)
    ]


def _goes_on(old: Applied, new: Applied) -> bool:
    """Is it the old state, under another model, threshold or pause?"""
    return (old.origin, old.layout) == (new.origin, new.layout) and all(
        old.config[name] == new.config[name] for name in ("interval", "universe", "start")
    )


async def recompute_all(
    kafka: Kafka,
    stored: StoredState,
    partition: int,
    count: int,
    past: Sequence[Stretch],
    progress: Progress | None = None,
    watch: Watch | None = None,
    gaps: list[str] | None = None,
) -> Outcome:
    """The signals (or predictions) that the past demands, as far as it can be recomputed; the partition is read once
    for all of it.

    `watch` gives the witness of what goes on from one stretch to the next, told as one stretch; `gaps` is told what the
    log lacks, in words.
    """
    made = [stretch.strategy for stretch in past if stretch.strategy]
    news = await joins(kafka, partition, {strategy.joining for strategy in made if strategy.uses_news})
    folds = folds_of(Source(topic_name(kafka, "bars"), partition, VERSION), past, news, watch)
    found = Outcome()
    if not folds:
        return found
    intervals = {str(stretch.applied.config["interval"]) for stretch in past if stretch.strategy}
    async for step in topic_steps(kafka, partition, count, stored.memory_begin(intervals) or 0, progress, gaps):
        for fold in folds:
            fold.feed(step.batches, found)
    return found


async def recompute(
    kafka: Kafka,
    stored: StoredState,
    partition: int,
    count: int,
    past: Sequence[Stretch],
    progress: Progress | None = None,
    gaps: list[str] | None = None,
) -> list[Signal]:
    """The signals of `recompute_all`."""
    return (await recompute_all(kafka, stored, partition, count, past, progress, gaps=gaps)).signals
