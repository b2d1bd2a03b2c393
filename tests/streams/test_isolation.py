"""A strategy that fails on a bar stops there; the others go on, and what it owes comes when it is mended.

Oracles: each strategy alone, mended, over all bars in one go; and the first bar at which it fails when it is fed one by
one. Lives are cut short at any write.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from plugins.features import feature_registry
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import PluginError
from schemas.wire import Signal, encode
from streams.consuming.intake import Intake
from streams.process.exits import Exit
from tests.streams.test_crash import COUNT, SYMBOLS, difference
from tests.streams.test_shadow_lives import MODEL, Looking, shadows
from tests.support.memory import Fetched, Log, fetched, live, messy_bars, ready, undisturbed, with_shadows
from tests.support.moody import Mood, MoodyFeature, MoodyModel, MoodySignal
from tests.support.registries import untouched_registries

NAME = "moody"

with untouched_registries():
    feature_registry.register("test.moody")(MoodyFeature)
    FEATURE = ready(NAME, features=["test.moody", "technical.rsi"], universe=["D"])

MOODY = {
    "model": replace(ready(NAME), model=MoodyModel()),
    "signal": replace(ready(NAME), generator=MoodySignal()),
    "feature": FEATURE,
}
VARIANT = ready(NAME, signal={"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0})
OTHERS = [ready("one", universe=["A", "B", "C"]), ready("slow", interval="5m")]
"""So D is one that only those above want."""


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
@pytest.mark.parametrize(
    ("part", "seed"), [("feature", 0), *((part, n) for part in ("model", "signal") for n in range(4))]
)
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


def test_a_changed_strategy_is_in_force_from_the_bar_at_which_the_old_one_stopped() -> None:
    """What is published is the old one's up to there, and the new one's from there on."""
    rng, log, moody = random.Random(3), Log(), MOODY["model"]
    bars, fixed = fetched(messy_bars(rng, SYMBOLS, COUNT)), VARIANT
    Mood.broken = True
    failing = fails_at(bars, moody)
    asyncio.run(live(log, bars, [*OTHERS, moody], rng, transactional=True))
    asyncio.run(live(log, bars, [*OTHERS, fixed], rng, transactional=True))
    Mood.broken = False
    old = {i: value for i, value in undisturbed(bars, [moody]).items() if offset_of(value) < failing}
    new = {i: value for i, value in undisturbed(bars, [fixed]).items() if offset_of(value) >= failing}
    assert difference(log.signals(), undisturbed(bars, OTHERS) | old | new) == {}
    assert [entry.offset for entry in log.stored().history[NAME]] == [0, failing]
    assert old
    assert new


@pytest.mark.parametrize("seed", range(3))
def test_the_shadow_of_one_that_stops_says_nothing_twice_and_nothing_else(seed: int) -> None:
    rng, log, stops = random.Random(seed), Log(), replace(MODEL, model=MoodyModel())
    bars, beside = fetched(messy_bars(rng, SYMBOLS, COUNT)), shadows(Looking())
    pipeline = Pipeline([stops], Source("bars", 0, "v"), with_shadows(beside))
    said = pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches).shadows
    for Mood.broken in (True, True, False):
        asyncio.run(live(log, bars, [*OTHERS, stops], rng, transactional=True, shadows=beside))
    assert sorted(log.shadows().values()) == sorted(map(encode, said))
    assert len(log.of("predictions.shadow")) == len(said)


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
