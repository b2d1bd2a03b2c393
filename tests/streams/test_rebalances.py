"""Rebalances take the partition back and give it again, among deaths: the signals are those of a run without any."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest

from streams.consuming.transport import TP
from streams.publishing.writer import Output
from tests.support.memory import (
    CONFIG,
    Clock,
    Log,
    MemoryOwner,
    Writer,
    WriterFactory,
    fetched,
    live,
    messy_bars,
    ready,
    undisturbed,
)


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


class Stuck(Writer):
    """Nothing that is written is ever acknowledged."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.begun = asyncio.Event()

    async def write(self, _partition: int, output: Iterable[Output]) -> None:
        self.begun.set()
        await asyncio.Event().wait()


def test_a_partition_that_is_taken_back_while_it_is_taken_over_does_not_end_the_worker() -> None:
    """What was applied still waits for its acknowledgement: it is given up, and the next owner writes it again."""
    rng, ends = random.Random(1), list[Any]()
    config = CONFIG.model_copy(update={"kafka": CONFIG.kafka.model_copy(update={"session_timeout": 0.1})})

    async def run() -> None:
        stuck = Stuck(Log(), rng, None, True)
        worker = MemoryOwner(
            Log(), rng, 0, 0, config, [ready("one")], 1, "v", WriterFactory(stuck),
            lambda *cause, **_: ends.append(cause), Clock(rng, 5.0),
        )  # fmt: skip
        taking = asyncio.create_task(worker.take_over([0], 1))
        await stuck.begun.wait()
        await worker.on_revoke({TP("bars", 0)})
        await taking
        assert not worker.partitions

    asyncio.run(run())
    assert ends == []
