"""A rebalance takes all partitions back, and gives most of them to whoever had them: those are fed on as they are."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from faust.types import TP

from plugins.pipeline.outcome import Failure
from schemas.configuration import Config
from streams.consuming.transport import Chunk
from streams.owners.bars_partition import BarsPartition
from streams.publishing.pending_output import Progress
from streams.recovery.plan import ResumePlan
from tests.support.memory import (
    Log,
    MemoryOwner,
    Writer,
    WriterFactory,
    bar,
    end_tasks,
    fetched,
    live,
    messy_bars,
    ready,
    undisturbed,
)

BARS = fetched(bar("AB"[number % 2], number // 2, 100.0 + number % 7) for number in range(40))
STRATEGIES = [ready("one")]


class Counting(MemoryOwner):
    """Counts what is read of the log."""

    restored = 0

    async def restore(self, numbers: Sequence[int]) -> Sequence[list[ResumePlan]]:
        self.restored += len(numbers)
        return await super().restore(numbers)


class Closing(WriterFactory):
    """Counts its open writers."""

    open_ones = 0

    async def open(self, partition: int, track: str = "") -> Any:
        self.open_ones += 1
        return await super().open(partition, track)

    async def close(self, writer: Any) -> None:
        self.open_ones -= 1


async def fed(owner: Counting, begin: int, end: int) -> None:
    await owner.feed(Chunk(TP("bars", 0), owner.generation, begin, end, list(BARS[begin:end])))


def through(generations: list[int], given: Sequence[int] = (0,), strategies: Any = STRATEGIES) -> tuple[Counting, Log]:
    """A worker that is fed half of the bars, and the rest after rebalances to these generations."""
    log, rng = Log(), random.Random(1)
    factory = Closing(Writer(log, rng, None, False))
    owner = Counting(log, rng, 0, len(BARS), Config(), strategies, 1, "v", factory, lambda *_, **__: None)

    async def life() -> None:
        await owner.take_over([0], 1)
        await fed(owner, 0, 20)
        for generation in generations:
            await owner.on_revoke({TP("bars", 0)}, for_now=True)
            await owner.take_over(list(given), generation)
            assert factory.open_ones == len(given)
        if given:
            await fed(owner, owner.partitions[0].position, 40)
        await owner.on_revoke({TP("bars", 0)})
        await end_tasks(owner)

    asyncio.run(life())
    assert factory.open_ones == 0
    return owner, log


def test_a_partition_that_comes_back_at_once_is_not_restored() -> None:
    owner, log = through([2, 3])
    assert owner.restored == 1
    assert log.signals() == undisturbed(BARS, STRATEGIES)
    assert (owner.totals()["bars"], owner.totals()["signals"]) == (40, 40)


def test_one_that_another_worker_may_have_had_is_restored() -> None:
    """A generation is missing: the group may have given it to somebody else, who went on."""
    owner, log = through([3])
    assert owner.restored == 2
    assert log.signals() == undisturbed(BARS, STRATEGIES)


def test_one_that_went_elsewhere_is_closed() -> None:
    owner, _ = through([2], given=())
    assert owner.restored == 1
    assert owner.partitions == {}


NOT_YET: dict[str, Callable[[BarsPartition], object]] = {
    "its output is not published": lambda part: setattr(part, "waiting", 1),
    "what is published is not marked": lambda part: setattr(part, "marked_progress", Progress(part.position - 1)),
    "a write was given up": lambda part: setattr(part, "reached", Progress(part.position - 1)),
    "it is folded silently": lambda part: setattr(part.plan, "marked", part.position + 1),
    "a strategy is behind": lambda part: setattr(part, "behind", object()),
    "a strategy has failed": lambda part: setattr(part, "_failures", {"one": Failure("one", 0, "it", ValueError())}),
}


@pytest.mark.parametrize("reason", ["none", *NOT_YET])
def test_one_that_something_is_left_of_is_restored(reason: str) -> None:
    log, rng = Log(), random.Random(1)
    writers = WriterFactory(Writer(log, rng, None, False))
    owner = Counting(log, rng, 0, len(BARS), Config(), STRATEGIES, 1, "v", writers, lambda *_, **__: None)

    async def life() -> BarsPartition:
        await owner.take_over([0], 1)
        await fed(owner, 0, 20)
        part = owner.partitions[0]
        await owner.on_revoke({TP("bars", 0)})
        await end_tasks(owner)
        return part

    part = asyncio.run(life())
    if reason != "none":
        NOT_YET[reason](part)
    assert owner.resumable(part) == (reason == "none")


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
