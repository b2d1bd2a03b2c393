"""Work beside the bars rests as it is told; other work never does."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugins.base import throttle as pace
from plugins.base.throttle import throttled, yield_if_throttled


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is slept, instead of sleeping it."""
    found: list[float] = []
    monkeypatch.setattr(pace.time, "sleep", found.append)
    return found


def work(seconds: float) -> float:
    """Works for so much processor time, breathing all the while; returns what it took."""
    begin = time.thread_time()
    while (spent := time.thread_time() - begin) < seconds:
        yield_if_throttled()
    return spent


def test_rests_are_in_proportion_to_the_work(rests: list[float]) -> None:
    with throttled(4.0):
        spent = work(0.05)
    assert 4.0 * (spent - 2 * pace.PIECE) <= sum(rests) <= 4.0 * (spent + pace.PIECE)
    assert min(rests) >= 4.0 * pace.PIECE


def test_without_it_and_in_other_threads_nothing_rests(rests: list[float]) -> None:
    with throttled(4.0), ThreadPoolExecutor(1) as other:
        other.submit(work, 0.01).result()
    work(0.01)
    assert rests == []
