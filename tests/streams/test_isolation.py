"""A strategy that fails on a bar stops there; the others go on, and what it owes comes when it is mended.

Oracles: each strategy alone, mended, over all bars in one go; and the first bar at which it fails when it is fed one by
one. Lives are cut short at any write.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseModel, BaseSignalGenerator, Decisions, FloatArray
from plugins.features import BaseFeature, feature_registry
from plugins.pipeline import Pipeline
from plugins.run import Source
from plugins.strategy import ReadyStrategy
from schemas.errors import PluginError
from schemas.messages import Signal
from streams.exits import Exit
from streams.intake import Intake
from tests.streams.test_crash import COUNT, SYMBOLS, difference
from tests.support.memory import Fetched, Log, fetched, live, messy_bars, ready, undisturbed
from tests.support.registries import untouched_registries

NAME = "moody"
BEGIN = pd.Timestamp(1_380_000_000_000, unit="ms", tz="UTC")


class Mood:
    """How those below are today."""

    broken: ClassVar[bool] = False

    @classmethod
    def check(cls, excess: Any) -> None:
        if cls.broken and (np.asarray(excess) > 0).any():
            raise LookupError("that is too\nmuch")


class MoodyModel(BaseModel):
    key, batch_invariant = "test.moody", True

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        Mood.check(rows[:, 0] - 57)
        return rows[:, 0] * 2


class MoodySignal(BaseSignalGenerator):
    key = "test.moody"

    def decide(self, columns: Any) -> Decisions:
        Mood.check(columns["rsi"] - 57)
        count = len(columns["rsi"])
        return Decisions(["BUY"] * count, np.full(count, np.nan), [""] * count)


with untouched_registries():

    @feature_registry.register("test.moody")
    class MoodyFeature(BaseFeature):
        """The close."""

        lookback = 2

        def compute(self, data: pd.DataFrame) -> pd.DataFrame:
            Mood.check((data.index[-1] - BEGIN).total_seconds() - 2400)
            return data[["close"]].rename(columns={"close": "moody"})

    FEATURE = ready(NAME, features=["test.moody", "technical.rsi"])

MOODY = {
    "model": replace(ready(NAME), model=MoodyModel()),
    "signal": replace(ready(NAME), generator=MoodySignal()),
    "feature": FEATURE,
}
OTHERS = [ready("one", universe=["A", "B", "C"]), ready("slow", interval="5m")]
"""So there is a symbol that only those above want."""


@pytest.fixture(autouse=True)
def _mended() -> Iterator[None]:
    yield
    Mood.broken = False


def fails_at(bars: list[Fetched], strategy: ReadyStrategy) -> int:
    """Fed record by record: the first one at which it raises."""
    pipeline, intake = Pipeline([strategy], Source("bars", 0, "v")), Intake(0, 1, "murmur2")
    for record in bars:
        try:
            pipeline.feed(intake.read([record]).batches)
        except (LookupError, PluginError):
            return record.offset
    raise AssertionError("it never fails")


def offset_of(value: bytes) -> int:
    return msgspec.json.decode(value, type=Signal).provenance.offset


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("part", list(MOODY))
@pytest.mark.parametrize("seed", range(6))
def test_the_others_go_on_and_what_is_owed_comes_later(part: str, seed: int, transactional: bool) -> None:
    rng, log, moody = random.Random(9000 + seed), Log(), MOODY[part]
    bars, strategies = fetched(messy_bars(rng, SYMBOLS, COUNT)), [*OTHERS, moody]
    others, mended = undisturbed(bars, OTHERS), undisturbed(bars, [moody])
    Mood.broken = True
    failing = fails_at(bars, moody)
    before = {identity: value for identity, value in mended.items() if offset_of(value) < failing}

    async def lives(longest: int) -> None:
        for _ in range(rng.randint(0, 5)):
            await live(log, bars, strategies, rng, dies_at=rng.randint(0, longest), transactional=transactional)
        await live(log, bars, strategies, rng, transactional=transactional)

    asyncio.run(lives(25))
    assert difference(log.signals(), others | before) == {}
    published = log.stored().published
    assert published == {"one": COUNT, "slow": COUNT, NAME: failing}
    Mood.broken = False
    asyncio.run(lives(25))
    assert difference(log.signals(), others | mended) == {}
    assert log.stored().published == dict.fromkeys(published, COUNT)
    if transactional:
        assert len(log.of("signals")) == len(log.signals())
        assert len(log.of("dead-letters")) == len(log.dead())
    whole = Log()
    asyncio.run(live(whole, bars, strategies, rng))
    assert log.dead() == whole.dead()
    assert 0 < len(before) < len(mended)


def test_a_worker_whose_every_strategy_has_failed_ends() -> None:
    rng, log, ends = random.Random(1), Log(), list[Any]()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    Mood.broken = True
    asyncio.run(live(log, bars, [MOODY["model"]], rng, ends=ends))
    failing = fails_at(bars, MOODY["model"])
    assert ends == [
        (Exit.PLUGIN, ends[0][1], {"partition": 0, "offset": failing}),
    ]
    assert ends[0][1].startswith("every strategy has failed; moody on ")
    assert ends[0][1].endswith(": LookupError: that is too much")
