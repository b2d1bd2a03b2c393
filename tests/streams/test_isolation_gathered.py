"""A cross-section that cannot be decided stops its strategy; the others that are gathered there go on.

The oracle is the fold over the log of predictions in one go, by the mended plugin.
"""

import asyncio
import random
from collections.abc import Iterator

import msgspec
import pytest

from plugins.signals import signal_registry
from schemas.wire import Signal
from schemas.wire.cross_sections import Prediction
from streams.publishing.writer import home
from tests.streams.test_gathering import predictions
from tests.support.gathered import PARTITIONS, as_the_log_says, gather, ranking, stored
from tests.support.memory import Log
from tests.support.moody import Mood, MoodyRanking
from tests.support.registries import untouched_registries

NAME = next(name for n in range(99) if home(name := f"moody{n}", PARTITIONS) == home("ranked", PARTITIONS))


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with untouched_registries():
        signal_registry.register("test.moody_ranking")(MoodyRanking)
        yield
    Mood.broken = False


def of(found: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {i: value for i, value in found.items() if msgspec.json.decode(value, type=Signal).content.strategy == name}


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_others_go_on_and_what_is_owed_comes_later(seed: int, transactional: bool) -> None:
    rng, log = random.Random(11_000 + seed), Log()
    came = [msgspec.structs.replace(p, prediction=rng.gauss(0, 1), reason=None) for p in predictions(rng, 12)]
    coming: list[Prediction] = []
    for prediction in came:
        coming += [prediction, msgspec.structs.replace(prediction, strategy=NAME)]
    strategies = [
        ranking(),
        ranking(NAME, signal={"key": "test.moody_ranking", "top_n": 1, "bottom_n": 1}),
    ]

    async def lives() -> None:
        for _ in range(rng.randint(0, 5)):
            await gather(log, strategies, coming, rng, dies_at=rng.randint(0, 15), transactional=transactional)
        await gather(log, strategies, coming, rng, transactional=transactional)

    Mood.broken = True
    asyncio.run(lives())
    published = stored(log, True).published
    assert published(NAME) < published("ranked")
    Mood.broken = False
    found, expected = log.signals(), as_the_log_says(log)
    assert of(found, "ranked") == of(expected, "ranked")
    assert of(found, NAME).items() <= of(expected, NAME).items()
    asyncio.run(lives())
    assert log.signals() == as_the_log_says(log)
    assert len(of(log.signals(), NAME)) == len(of(log.signals(), "ranked")) > len(of(found, NAME))
    if transactional:
        assert len(log.of("signals")) == len(log.signals())
