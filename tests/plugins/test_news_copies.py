"""Copies of a text count once, whatever the order in which the partitions of news were scored."""

import random

import numpy as np
import pytest

from plugins.side_inputs.news.join import Counted, Entry, Joining, NewsJoin
from schemas.wire.news import Mark

MEMORY = 100
Copy = tuple[int, str, str]
"""When it is available, the article, the text."""


def counted_by_hand(copies: list[Copy]) -> list[Copy]:
    """In order of time: each text when the one before it lies more than the memory back."""
    last: dict[str, int] = {}
    found = []
    for time, article, text in sorted(copies):
        if text not in last or last[text] < time - MEMORY:
            found.append((time, article, text))
        last[text] = time
    return found


def articles_at(join: NewsJoin, times: list[int]) -> list[float]:
    closes = np.array(times, np.int64)
    news = join.of_bars(["A"] * len(times), closes - 1, closes, np.arange(len(times), dtype=np.int64))
    return news.columns["news_articles"].tolist()


def taken(join: NewsJoin, copies: list[Copy]) -> NewsJoin:
    for offset, (time, article, text) in enumerate(copies):
        join.add(Entry("A", Counted(time, article, 1.0, 0.0, 0.0, 0.0, offset), text))
    return join


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_the_log_makes_no_difference(seed: int) -> None:
    rng = random.Random(seed)
    copies = [(rng.randrange(1, 1_500), f"a{number}", rng.choice("xyz")) for number in range(60)]
    expected = [float(sum(time == at for at, _, _ in counted_by_hand(copies))) for time in range(1_500)]
    for _ in range(4):
        rng.shuffle(copies)
        join = taken(NewsJoin(Joining(memory_ms=MEMORY), low=0), copies)
        join.take(Mark(0, 1, 1_500), 99)
        assert articles_at(join, list(range(1_500))) == expected
        assert (join.counts["scores"], join.counts["scores"] + join.counts["syndicated"]) == (sum(expected), 60)
        assert join.size == sum(expected)


@pytest.mark.parametrize("seed", range(10))
def test_a_bar_that_is_decided_stays_so(seed: int) -> None:
    """Bars as soon as a mark reaches them, with what can be forgotten forgotten, and all of them at the end."""
    rng = random.Random(seed)
    live, replay = (NewsJoin(Joining(memory_ms=MEMORY)) for _ in range(2))
    found: list[float] = []
    for step in range(40):
        up_to = 50 * step
        for number in range(5):
            copy = (rng.randrange(max(1, up_to - 60), up_to + 400), f"a{step}-{number}", rng.choice("abcdefghijkl"))
            for join in (live, replay):
                taken(join, [copy])
        for join in (live, replay):
            join.take(Mark(0, 1, up_to), 0)
        found += articles_at(live, list(range(len(found), up_to)))
        live.forget({"A": up_to - 1}, 0)
    assert found == articles_at(replay, list(range(len(found))))
    assert sum(found) > 20
