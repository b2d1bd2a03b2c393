"""Lives of a worker, without a broker, whose partitioner changes, and what must come of them: by aiokafka's murmur2 and
Python's crc32.
"""

import random
import zlib
from collections.abc import Sequence

from aiokafka.partitioner import murmur2

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config, Kafka
from schemas.wire import Applied, decode_control, encode
from streams.consuming.intake import Intake
from tests.support.memory import CONFIG, Fetched, Log, bar, fetched, live, ready

PARTITIONS = 2
HOMES = {
    "murmur2": lambda key: (murmur2(key) & 0x7FFFFFFF) % PARTITIONS,
    "crc32": lambda key: zlib.crc32(key) % PARTITIONS,
}


def symbols() -> list[str]:
    """One that both put on partition 0, one that only murmur2 does, one that only crc32 does."""
    homes = {chr(code): tuple(home(chr(code).encode()) for home in HOMES.values()) for code in range(65, 91)}
    return [next(name for name, found in homes.items() if found == wanted) for wanted in ((0, 0), (0, 1), (1, 0))]


def some_bars(rng: random.Random, count: int = 400) -> list[Fetched]:
    names = symbols()
    return fetched([bar(names[n % 3], n // 3, 100 + rng.gauss(0, 1)) for n in range(count)])


def config(partitioner: str, rng: random.Random) -> Config:
    often = {"commit_interval": rng.choice([0.1, 60.0]), "snapshot_interval": rng.choice([0.5, 10.0, 3600.0])}
    worker = CONFIG.worker.model_copy(update=often)
    return CONFIG.model_copy(update={"kafka": Kafka(partitioner=partitioner), "worker": worker})


def said(log: Log) -> list[Applied]:
    entries = [decode_control(record.value) for record in log.of("control")]
    return [entry for entry in entries if isinstance(entry, Applied) and entry.strategy == "one"]


def changes(log: Log) -> list[tuple[int, str]]:
    """By hand: the last word on each offset."""
    found: dict[int, str] = {}
    for entry in said(log):
        assert entry.partitioner
        if found.get(entry.partitioner_from) != entry.partitioner:
            found = {offset: kind for offset, kind in found.items() if offset < entry.partitioner_from}
            found[entry.partitioner_from] = entry.partitioner
    return sorted(found.items())


def wanted(log: Log, bars: Sequence[Fetched], strategies: Sequence[ReadyStrategy]) -> dict[str, bytes]:
    """One fold over the bars that belong on partition 0 by the partitioner in force at their offset."""
    let_through = []
    for record in bars:
        kind = [kind for offset, kind in changes(log) if offset <= record.offset][-1]
        if HOMES[kind](record.key or b"") == 0:
            let_through.append(record)
    found: dict[str, bytes] = {}
    for strategy in strategies:
        pipeline = Pipeline([strategy], Source("bars", 0, "v"))
        outcome = pipeline.feed(Intake(0, 1, "murmur2").read(let_through).batches)
        found |= {signal.content.id: encode(signal) for signal in outcome.signals}
    return found


async def moving_lives(
    log: Log, bars: Sequence[Fetched], rng: random.Random, transactional: bool
) -> list[ReadyStrategy]:
    """The last one comes to the end; the strategies that it has."""
    strategies = [ready("one"), ready("five", features=[{"technical.rsi": {"period": 5}}], prediction="rsi")]
    reached = 0
    for _ in range(rng.randint(2, 6)):
        reached = rng.randint(reached, len(bars))
        some = strategies if rng.random() < 0.7 else strategies[:1]
        dies_at, given = rng.choice([None, None, rng.randint(0, 25)]), config(rng.choice(list(HOMES)), rng)
        await live(
            log, bars[:reached], some, rng, dies_at=dies_at, transactional=transactional, config=given,
            partitions=PARTITIONS,
        )  # fmt: skip
    last = config(rng.choice(list(HOMES)), rng)
    await live(log, bars, strategies, rng, transactional=transactional, config=last, partitions=PARTITIONS)
    return strategies
