"""Lives of a worker without a broker, cut short by writes that break off; and what must hold of the log then."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence

from plugins.strategy.ready import ReadyStrategy
from streams.consuming.intake import Intake
from tests.faults import audit
from tests.support.gathered import as_the_log_says, gather, hasty, predictions, ranking
from tests.support.memory import (
    CHANGES,
    LATE,
    VARIANTS,
    Log,
    as_applied,
    changing_lives,
    fetched,
    live,
    messy_bars,
    ready,
    undisturbed,
)
from tests.support.partitioners import moving_lives, some_bars, wanted
from tests.support.swaps import ARTIFACTS, forgetful_lives, swap_faults, swapping_lives, swaps, torn_swaps, with_model

COUNT = 200
SYMBOLS = ["A", "B", "C", "D"]


def faults_of(seed: int, transactional: bool, zombies: bool) -> Iterator[str]:
    """The checks that fail, after lives as `seed` has them; `zombies`: several at once, none knowing of the others."""
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [ready("one"), ready("two", universe=["A", "C"])]
    log = Log()

    async def one_life(turns: int = 0) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await live(log, bars, strategies, rng, dies_at=rng.randint(0, 25), transactional=transactional)

    async def run() -> None:
        for _ in range(rng.randint(2, 8)):
            await asyncio.gather(*(one_life(rng.randint(0, 200)) for _ in range(2 if zombies else 1)))
        await live(log, bars, strategies, rng, transactional=transactional)

    asyncio.run(run())
    yield from _signal_faults(log, undisturbed(bars, strategies), transactional)
    if list(audit.snapshot_faults(strategies, Intake(0, 1, "murmur2"), bars, log.of("state"), log.of("control"))):
        yield "snapshots"
    if not zombies and list(audit.roster_faults(0, log.of("state"))):
        yield "rosters"


def faults_of_changes(seed: int, transactional: bool, variants: Sequence[ReadyStrategy] = VARIANTS) -> Iterator[str]:
    """The same after lives in which a strategy changes, comes and goes beside one that stays."""
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always, log = ready("always", publish="changes" if variants is CHANGES else "all"), Log()
    asyncio.run(changing_lives(log, bars, always, rng, transactional, variants))
    yield from _signal_faults(log, as_applied(log, bars, [always, LATE, *variants]), transactional)
    if list(audit.roster_faults(0, log.of("state"))):
        yield "rosters"


def faults_of_partitioners(seed: int, transactional: bool) -> Iterator[str]:
    """The same after lives with another partitioner each."""
    rng, log = random.Random(seed), Log()
    bars = some_bars(rng, COUNT)
    strategies = asyncio.run(moving_lives(log, bars, rng, transactional))
    yield from _signal_faults(log, wanted(log, bars, strategies), transactional)


def faults_of_catching_up(seed: int, transactional: bool) -> Iterator[str]:
    """The same after lives that end while a strategy is still behind the other, which has all its bars."""
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always, log = ready("always"), Log()

    async def run() -> None:
        await live(log, bars[:150], [always], rng, transactional=transactional)
        for _ in range(4):
            dies_at = rng.randint(0, 6)
            await live(log, bars[:150], [always, LATE], rng, dies_at=dies_at, transactional=transactional)
        await live(log, bars, [always, LATE], rng, transactional=transactional)

    asyncio.run(run())
    yield from _signal_faults(log, as_applied(log, bars, [always, LATE]), transactional)


def faults_of_swaps(seed: int, transactional: bool) -> Iterator[str]:
    """The same after lives in which a strategy is given other models, paused and resumed."""
    rng = random.Random(seed)
    bars, always = fetched(messy_bars(rng, SYMBOLS, COUNT)), ready("always")
    known = [always, *map(with_model, ARTIFACTS)]
    wished, torn = Log(), Log()
    asyncio.run(swapping_lives(wished, bars, [always], rng, transactional))
    asyncio.run(torn_swaps(torn, bars, rng, transactional))
    for log in (wished, torn):
        yield from _signal_faults(log, as_applied(log, bars, known), transactional)
        if list(swap_faults(log)):
            yield "a signal before what is applied"
    waiting = Log()
    asyncio.run(forgetful_lives(waiting, rng, transactional))
    if [entry.artifact for entry in swaps(waiting)] != [None, "b"]:
        yield "another model than what was wished"


def faults_of_old_snapshots(seed: int) -> Iterator[str]:
    """The same when an owner that is none any more writes some of its snapshots once again."""
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always, log = ready("always"), Log()

    async def run() -> None:
        await live(log, bars[:90], [always], rng)
        old = [record for record in log.of("state") if b'"kind":"snapshot"' in (record.value or b"")]
        await live(log, bars[:160], [always], rng)
        log.records += rng.sample(old, min(len(old), 3))
        await live(log, bars, [always], rng)

    asyncio.run(run())
    yield from _signal_faults(log, undisturbed(bars, [always]), transactional=False)


def faults_of_gathering(seed: int, transactional: bool) -> Iterator[str]:
    """The same after lives of a gatherer that die, most of them, at the write after a marker or a state."""
    rng, log = random.Random(seed), Log()
    strategies = [ranking()]
    coming = predictions(rng, 12)

    async def run() -> None:
        for _ in range(rng.randint(1, 10)):
            await gather(
                log, strategies, coming, rng, dies_at=rng.randint(0, 4), dies_after_state=rng.random() < 0.7,
                transactional=transactional, stops_early=rng.random() < 0.3, config=hasty(rng),
            )  # fmt: skip
        await gather(log, strategies, coming, rng, transactional=transactional)

    asyncio.run(run())
    yield from _signal_faults(log, as_the_log_says(log), transactional)


def _signal_faults(log: Log, wanted: Mapping[str, bytes], transactional: bool) -> Iterator[str]:
    try:
        found = log.signals()
    except AssertionError:
        yield "an id with different bytes"
        return
    if wanted.keys() - found.keys():
        yield "missing"
    if any(wanted.get(identity) != value for identity, value in found.items()):
        yield "invented or altered"
    if transactional and len(log.of("signals")) != len(found):
        yield "twice"
