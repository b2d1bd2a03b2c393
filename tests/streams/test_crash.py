"""A worker that dies, stops and comes back at any point writes what an undisturbed one does.

The oracle is the pipeline fed with all bars in one go, each strategy alone. Real partitions, publishers and states;
only the broker is a list, of which a crash keeps any part of the write in flight.
"""

import asyncio
import random

import pytest

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

COUNT = 300
SYMBOLS = ["A", "B", "C", "D"]


def difference(found: dict[str, bytes], expected: dict[str, bytes]) -> dict[str, list[str]]:
    both = found.keys() & expected.keys()
    faults = {
        "missing": sorted(expected.keys() - both),
        "invented": sorted(found.keys() - both),
        "altered": sorted(identity for identity in both if found[identity] != expected[identity]),
    }
    return {fault: ids for fault, ids in faults.items() if ids}


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_lives_cut_short_lose_nothing(seed: int, transactional: bool) -> None:
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [ready("one"), ready("two", universe=["A", "C"], interval=rng.choice(["1m", "5m"]))]
    log = Log()

    async def run() -> None:
        for _ in range(rng.randint(1, 12)):
            await live(log, bars, strategies, rng, dies_at=rng.randint(0, 25), transactional=transactional)
            if rng.random() < 0.3:
                await live(log, bars, strategies, rng, stops_at=rng.randint(0, COUNT), transactional=transactional)
        await live(log, bars, strategies, rng, transactional=transactional)

    asyncio.run(run())
    assert difference(log.signals(), undisturbed(bars, strategies)) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


def test_what_is_applied_is_on_the_log_before_the_first_signal() -> None:
    """However the very first write breaks off."""
    for seed in range(40):
        rng, log = random.Random(seed), Log()
        asyncio.run(live(log, fetched(messy_bars(rng, SYMBOLS, 50)), [ready("one")], rng, dies_at=0))
        assert not log.of("signals")


@pytest.mark.parametrize("seed", range(25))
def test_an_owner_that_does_not_know_that_it_is_none_any_more_does_no_harm(seed: int) -> None:
    """Without transactions nobody fences it: for a while both write signals, markers and snapshots."""
    rng = random.Random(2000 + seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [ready("one"), ready("two", universe=["A", "C"])]
    log = Log()

    async def later(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await live(log, bars, strategies, rng, dies_at=rng.choice([None, rng.randint(0, 30)]))

    async def run() -> None:
        for _ in range(rng.randint(1, 5)):
            lives = [later(rng.randint(0, 200)) for _ in range(rng.randint(2, 3))]
            await asyncio.gather(*lives)
        await live(log, bars, strategies, rng)

    asyncio.run(run())
    assert difference(log.signals(), undisturbed(bars, strategies)) == {}


@pytest.mark.parametrize("seed", range(25))
def test_strategies_come_and_go(seed: int) -> None:
    """Beside a strategy that is always there, others are started, dropped and taken up again while the log grows."""
    rng = random.Random(1000 + seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always = ready("always")
    others = [
        ready("old", universe=["A", "C"]),
        ready("fresh", universe=["B", "C"], start="now"),
        ready("young", start="now", origin="now"),
        ready("slow", interval="5m"),
    ]
    log = Log()

    async def run() -> None:
        reached = 0
        for _ in range(rng.randint(2, 10)):
            reached = rng.randint(reached, COUNT)
            some = [always, *rng.sample(others, rng.randint(0, 4))]
            await live(log, bars[:reached], some, rng, dies_at=rng.choice([None, rng.randint(0, 25)]))
        await live(log, bars, [always, *others], rng)

    asyncio.run(run())
    applied = log.stored().applied
    assert difference(log.signals(), undisturbed(bars, [always, *others], applied)) == {}


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_configurations_change(seed: int, transactional: bool) -> None:
    """Thresholds, features, the universe, back and forth, beside a strategy that stays: each signal is that of the
    configuration in force for its bar, and no bar is left out.
    """
    rng = random.Random(3000 + seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always, log = ready("always"), Log()
    asyncio.run(changing_lives(log, bars, always, rng, transactional))
    assert difference(log.signals(), as_applied(log, bars, [always, LATE, *VARIANTS])) == {}


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_a_strategy_that_publishes_changes(seed: int, transactional: bool) -> None:
    """Killed anywhere, its heartbeat and its thresholds changed, and `publish` itself: a life knows what the ones
    before it said last, and each signal is that of the configuration in force for its bar.
    """
    rng = random.Random(5000 + seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    always, log = ready("always", publish="changes", heartbeat="4m"), Log()
    asyncio.run(changing_lives(log, bars, always, rng, transactional, CHANGES))
    assert difference(log.signals(), as_applied(log, bars, [always, LATE, *CHANGES])) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())
