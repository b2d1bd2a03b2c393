"""A gatherer of cross-sections without a broker: its real partitions and publishers, its records in plain lists."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from plugins.pipeline.cross_sections.cross_section import CrossSections
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Applied, Signal, encode
from schemas.wire.cross_sections import Closing, Prediction, decode_prediction_record
from streams.consuming.intake import Intake
from streams.consuming.transport import TP, Chunk
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.process.exits import Exit
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Record, home, prediction_record
from streams.recovery.cross_section_state import CrossSectionState
from tests.support.memory import (
    CONFIG,
    Clock,
    Crash,
    Fetched,
    Log,
    Writer,
    WriterFactory,
    bar,
    end_tasks,
    fetched,
    ready,
    yield_if_throttled,
)

NAMES = TopicNames("bars", "signals", "state", "control", "dead-letters", "predictions")
PARTITIONS = 2
RANKING = {"key": "signal.ranking", "top_n": 1, "bottom_n": 1}


def ranking(name: str = "ranked", **changes: Any) -> ReadyStrategy:
    return ready(name, **({"signal": RANKING, "universe": list("ABCD")} | changes))


def predictions(rng: random.Random, minutes: int, strategy: ReadyStrategy | None = None) -> list[Prediction]:
    """What two partitions of bars predict, in an order in which they may come: some late, some never, some twice."""
    parts = []
    for number, symbols in enumerate(("AC", "BD")):
        rows = [(minute, symbol) for minute in range(minutes) for symbol in symbols if rng.random() < 0.9]
        pipeline = Pipeline([strategy or ranking()], Source("bars", number, "v"))
        bars = [bar(symbol, minute, 100 + rng.gauss(0, 1)) for minute, symbol in rows]
        made = pipeline.feed(Intake(0, 1, "murmur2").read(fetched(bars)).batches).predictions
        if made and rng.random() < 0.5:  # a worker died after it had written these, and before it had marked them
            cut = rng.randint(0, len(made) - 1)
            made = made[: cut + rng.randint(1, 20)] + made[cut:]
        parts.append(made)
    order = [number for number, part in enumerate(parts) for _ in part]
    weights = [(i + rng.gauss(0, 6), number) for number in (0, 1) for i in range(len(parts[number]))]
    assert len(order) == len(weights)
    queues = [iter(part) for part in parts]
    return [next(queues[number]) for _, number in sorted(weights)]


def records(log: Log) -> list[Fetched]:
    """What a consumer of the strategy's partition of predictions gets."""
    return [
        Fetched(offset, record.value, record.key, "predictions", record.partition or 0)
        for offset, record in enumerate(log.of("predictions"))
    ]


def order_faults(log: Log) -> list[tuple[str, str, int]]:
    """Strategy, symbol and time of each signal that came after one for a later time; repeats may."""
    last: dict[tuple[str, str], int] = {}
    seen, faults = set[str](), []
    for record in log.of("signals"):
        content = msgspec.json.decode(record.value or b"", type=Signal).content
        at = content.strategy, content.symbol
        if content.id not in seen and content.time < last.get(at, -1):
            faults.append((*at, content.time))
        seen.add(content.id)
        last[at] = max(last.get(at, -1), content.time)
    return faults


def stored(log: Log, compacted: bool, unread: int = 0) -> CrossSectionState:
    """`unread`: so much more lies beyond the end, in a transaction that is open."""
    end = len(log.of("predictions"))
    found = CrossSectionState("predictions", 0, end, end + unread)
    state = log.of("state")
    for record in {r.key: r for r in state}.values() if compacted else state:
        found.take(record.value)
    return found


def append(log: Log, predictions: Sequence[Prediction]) -> None:
    """As the owners of the bars write them."""
    log.records += [prediction_record("predictions", PARTITIONS, made) for made in predictions]


def hasty(rng: random.Random) -> Config:
    """Marks and writes its states down often, as the clock of these lives goes."""
    often = {"commit_interval": rng.choice([0.1, 1.0, 5.0]), "snapshot_interval": rng.choice([0.5, 2.0, 10.0])}
    return CONFIG.model_copy(update={"worker": CONFIG.worker.model_copy(update=often)})


async def gather(
    log: Log, strategies: Sequence[ReadyStrategy], coming: list[Prediction], rng: random.Random, *,
    dies_at: int | None = None, transactional: bool = False, stops_early: bool = False, pace: float | None = None,
    config: Config = CONFIG, dies_after_state: bool = False, requested: Sequence[ReadyStrategy] = (),
    applied: Mapping[tuple[str, str], Applied] = MappingProxyType({}),
) -> CrossSectionOwner:  # fmt: skip
    """One life of a gatherer: goes on where the log says, while predictions are `coming`, until it dies at a write, or
    has read all and closed all.
    """
    died = False

    def die(_exit: Exit, _reason: str, /, **_where: int) -> None:
        nonlocal died
        died = True

    clock = Clock(rng, rng.choice([0.2, 1.0, 3.0]) if pace is None else pace)

    async def load(_number: int) -> CrossSectionState:
        found = stored(log, rng.random() < 0.5, rng.choice([0, 0, 3, 20]))
        found.applied |= applied
        return found

    number = home(strategies[0].name, PARTITIONS)
    factory = WriterFactory(Writer(log, rng, dies_at, transactional, after_state=dies_after_state))
    gatherer = CrossSectionOwner(
        config, strategies, PARTITIONS, NAMES, factory, die, clock, load, requested=lambda _: requested
    )
    gatherer.log_end = lambda _: len(log.of("predictions"))
    try:
        await gatherer.take_over([number], 1)
    except Crash:
        return gatherer
    part = gatherer.partitions[number]
    for _ in range(600):
        if died or (stops_early and rng.random() < 0.02):
            break
        count = rng.randint(0, 6)
        append(log, coming[:count])
        del coming[:count]
        there = records(log)[part.position :]
        if there:
            some = there[: rng.randint(1, 30)]
            chunk = Chunk(TP("predictions", number), 1, part.position, some[-1].offset + 1, some)
            feeding = asyncio.create_task(gatherer.feed(chunk))
            while not (feeding.done() or died):
                await asyncio.sleep(0)
            feeding.cancel()
        part.decide(gatherer.log_end(number))
        await yield_if_throttled(rng)
        if not coming and not there and not part.waiting and not _open(part):
            break
    if not died:
        await gatherer.on_revoke({TP("predictions", number)})
    await end_tasks(gatherer)
    return gatherer


def _open(part: Any) -> bool:
    return any(mine.sections.pending for mine in part.strategies.values())


def as_the_log_says(log: Log, known: Sequence[ReadyStrategy] = ()) -> dict[str, bytes]:
    """The oracle: the fold over the whole log of predictions in one go, whoever wrote its closings. `known`: where they
    predict, by which strategies.
    """
    sections: dict[str, CrossSections] = {}
    found: dict[str, bytes] = {}
    for record in records(log):
        value = decode_prediction_record(record.value)
        fold = sections.setdefault(value.strategy, CrossSections(decider_of=Deciders(known)))
        if isinstance(value, Prediction):
            made = fold.take(value)
        elif isinstance(value, Closing):
            made = fold.close(value)
        else:
            continue
        for signal in made.signals:
            assert found.setdefault(signal.content.id, encode(signal)) == encode(signal)
    return found


def placed(log: Log) -> list[Record]:
    """The signals, each of which lies on the partition of its bars."""
    return log.of("signals")
