"""What was in force for a strategy on a partition, stretch by stretch, and the signals that each demands."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.sources import Progress, topic_steps
from plugins.pipeline import Pipeline
from plugins.run import Seen, Source
from plugins.strategy import ReadyStrategy, ready_strategy
from schemas.config import Config, Kafka, Strategy
from schemas.errors import AlphawireError
from schemas.messages import Applied, Signal
from streams.clients import offset_range
from streams.state import Stored
from streams.topics import topic_name

VERSION = "replay"


@dataclass(frozen=True)
class Stretch:
    """Bars from offset `begin` up to, not including, `end`, for which one `applied` was in force.

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


async def stretches(stored: Stored, partition: int, ready: ReadyStrategy, config: Config) -> list[Stretch]:
    """The past of a strategy on a partition; `ready` is what it is here, by `config`."""
    entries = stored.history.get(ready.name, [])
    if not entries:
        return []
    oldest, _ = await offset_range(config.kafka, topic_name(config.kafka, "bars"), partition)
    ends = [entry.offset for entry in entries[1:]] + [sys.maxsize]
    return [
        _stretch(entry, end, oldest, ready, config)
        for entry, end in zip(entries, ends, strict=True)
        if end > entry.offset
    ]


def _stretch(entry: Applied, end: int, oldest: int, ready: ReadyStrategy, config: Config) -> Stretch:
    if oldest > entry.origin.offset:
        fault = (
            f"{entry.topic}/{entry.partition} begins at offset {oldest} now,"
            f" after the origin {entry.origin.offset} of the state"
        )
        return Stretch(entry.offset, end, entry, None, fault, gone=True)
    strategy = ready if entry.config_hash == ready.config_hash else recreated(entry, config)
    if strategy is not None:
        return Stretch(entry.offset, end, entry, strategy)
    fault = (
        f"{entry.topic}/{entry.partition} ran configuration {entry.config_hash} from offset {entry.offset} on,"
        f" which cannot be made here; here it is {ready.config_hash}"
    )
    return Stretch(entry.offset, end, entry, None, fault)


def recreated(entry: Applied, config: Config) -> ReadyStrategy | None:
    """The strategy that `entry` describes, when its plugins and its model are here in the same versions, else None."""
    given = config.strategy(entry.strategy)
    plain = {name: value for name, value in entry.config.items() if name not in ("features", "model", "signal")}
    plain["features"] = [_use(feature) for feature in entry.config["features"]]
    plain["signal"] = {"key": entry.config["signal"]["key"], "params": entry.config["signal"]["params"]}
    if entry.config["model"] is not None:
        if given.model is None:
            return None
        plain["model"] = given.model.model_dump() | {"key": entry.config["model"]["key"]}
    try:
        strategy = ready_strategy(entry.strategy, Strategy.model_validate(plain), Path())
    except (AlphawireError, ValueError):
        return None
    return strategy if strategy.config_hash == entry.config_hash else None


def _use(feature: dict[str, Any]) -> dict[str, Any]:
    """A feature as the configuration names it: its columns tell the alias."""
    from plugins.features import feature_registry
    from plugins.windowed import streaming

    own = streaming(feature_registry.create(feature["key"], **feature["params"])).columns
    columns = feature["columns"]
    alias = None if tuple(columns) == tuple(own) else columns[0].removesuffix(f".{own[0]}")
    return {"key": feature["key"], "params": feature["params"], "alias": alias}


async def recompute(
    kafka: Kafka,
    stored: Stored,
    partition: int,
    count: int,
    past: Sequence[Stretch],
    progress: Progress | None = None,
    watch: Callable[[Stretch], Callable[[Seen], None]] | None = None,
) -> list[Signal]:
    """The signals that the past demands, as far as it can be recomputed; the partition is read once for all of it.

    `watch` gives the witness of a stretch's run.
    """
    source = Source(topic_name(kafka, "bars"), partition, VERSION)
    running: list[tuple[Stretch, Pipeline]] = []
    for stretch in past:
        if stretch.strategy is not None:
            pipeline = Pipeline([stretch.strategy], source)
            run = pipeline.runs[stretch.strategy.name]
            run.begin, run.publish_from = stretch.applied.origin.offset, stretch.begin
            run.witness = watch(stretch) if watch else None
            running.append((stretch, pipeline))
    if not running:
        return []
    found: list[Signal] = []
    begin = stored.memory_begin({str(stretch.applied.config["interval"]) for stretch, _ in running}) or 0
    async for step in topic_steps(kafka, partition, count, begin, progress):
        for stretch, pipeline in running:
            found += [signal for signal in pipeline.feed(step.batches).signals if stretch.covers(signal)]
    return found
