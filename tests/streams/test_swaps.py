"""Models are exchanged, strategies paused and resumed, in lives that end anywhere: every signal is what `applied` on
the log demands, and `applied` is what was wished.
"""

import asyncio
import random

import pytest

from plugins.base import throttle as pace
from plugins.models.artifacts import loading
from schemas.wire import Pause, Resume, Use
from streams.requests.control_requests import ControlRequests
from tests.streams.test_crash import COUNT, SYMBOLS, difference
from tests.support.memory import LATE, Log, as_applied, fetched, messy_bars, ready
from tests.support.swaps import (
    ARTIFACTS,
    NAME,
    forgetful_lives,
    settings,
    shelf,
    swap_faults,
    swapping_lives,
    swaps,
    torn_swaps,
    wishes_on,
    with_model,
)

MODELS = [with_model(name) for name in ARTIFACTS]


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_each_signal_is_that_of_the_model_in_force(seed: int, transactional: bool) -> None:
    rng = random.Random(4000 + seed)
    bars, log, others = fetched(messy_bars(rng, SYMBOLS, COUNT)), Log(), [ready("always"), LATE]
    asyncio.run(swapping_lives(log, bars, others, rng, transactional))
    assert difference(log.signals(), as_applied(log, bars, [*others, *MODELS])) == {}
    assert list(swap_faults(log)) == []
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_lives_that_end_while_they_switch(seed: int, transactional: bool) -> None:
    rng, log = random.Random(6000 + seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    asyncio.run(torn_swaps(log, bars, rng, transactional))
    assert difference(log.signals(), as_applied(log, bars, MODELS)) == {}
    assert list(swap_faults(log)) == []
    assert len(swaps(log)) > 1


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_in_the_end_it_is_as_wished(seed: int, transactional: bool) -> None:
    """The newest wish that was accepted is in force, unless no bar of its time has come."""
    rng = random.Random(5000 + seed)
    bars, log = fetched(messy_bars(rng, SYMBOLS, COUNT)), Log()
    asyncio.run(swapping_lives(log, bars, [], rng, transactional))
    known = {model.model_id.sha256 for model in MODELS if model.model_id}
    last = swaps(log)[-1]
    uses = [w for w in wishes_on(log) if isinstance(w, Use) and (w.sha256 is None or w.sha256 in known)]
    pauses = [w for w in wishes_on(log) if isinstance(w, Pause | Resume)]
    if uses and uses[-1].from_time is None:
        configured = MODELS[0].model_id
        assert last.model
        assert configured
        assert last.model.sha256 == (uses[-1].sha256 or configured.sha256)
    if pauses and pauses[-1].from_time is None:
        assert last.paused == isinstance(pauses[-1], Pause)


@pytest.mark.parametrize("transactional", [False, True])
def test_what_is_in_force_outlives_its_owner_while_a_wish_waits(transactional: bool) -> None:
    log = Log()
    asyncio.run(forgetful_lives(log, random.Random(1), transactional))
    assert [entry.artifact for entry in swaps(log)] == [None, "b"]
    assert not swaps(log)[-1].paused


def test_only_what_is_certified_beside_bars_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(pace, "PIECE", 0.0)
    monkeypatch.setattr(pace.time, "sleep", rests.append)
    monkeypatch.setattr(loading, "_in_use", {})
    book, model = ControlRequests([with_model("a")], {NAME: settings(shelf())}), with_model("b").model_id
    assert model is not None
    wish = Use("w", NAME, "b", model.sha256)
    assert book.begin([wish]) == {"w": None}
    assert rests == []
    assert book.take(wish) is None
    assert rests == []  # it is in use: nothing is to be certified
    monkeypatch.setattr(loading, "_in_use", {})
    assert book.take(wish) is None
    assert rests
