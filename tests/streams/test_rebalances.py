"""Rebalances take the partition back and give it again, among deaths: the signals are those of a run without any."""

import asyncio
import random

import pytest

from tests.support.memory import Log, fetched, live, messy_bars, ready, undisturbed


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_rebalances_and_deaths_change_nothing(seed: int, transactional: bool) -> None:
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, ["A", "B", "C"], 300))
    strategies, log = [ready("one"), ready("two", universe=["A", "C"])], Log()

    async def run() -> None:
        for _ in range(rng.randint(1, 6)):
            dies_at = rng.randint(0, 25)
            await live(log, bars, strategies, rng, dies_at=dies_at, transactional=transactional, rebalances=0.3)
        await live(log, bars, strategies, rng, transactional=transactional, rebalances=0.3)

    asyncio.run(run())
    assert log.signals() == undisturbed(bars, strategies)
    if transactional:
        assert len(log.of("signals")) == len(log.signals())
