"""History that was sent before the first scorer began counts for bars that come after it."""

import asyncio
from collections import Counter
from typing import Any

from plugins.side_inputs.news.join import NEVER, Joining, NewsJoin
from schemas.wire.news import Mark, Score, decode_news
from streams.scorer.partition import Resume, ScoreDestination, ScorerPartition
from streams.scorer.scoring import ScoredBatch

NOW = 1_700_000_000_000
PUBLISHED = 1_380_000_000_000


class Kept:
    """In the place of a writer."""

    transactional = True

    def __init__(self) -> None:
        self.records: list[Any] = []

    async def write(self, _partition: int, records: list[Any]) -> None:
        self.records += records


def article(number: int, historical: bool = True) -> Score:
    return Score(
        f"a{number}", "A", PUBLISHED + number, 0, 0.5, 0.25, 0.25, 0.9, "lexicon/1 aa", f"t{number}", 0, number,
        historical,
    )  # fmt: skip


def test_marks_promise_nothing_before_the_backlog_is_scored() -> None:
    kept, counts = Kept(), Counter[str]()
    destination = ScoreDestination("news.scores", "dead-letters", 1, 1, "murmur2", 60_000)
    part = ScorerPartition(0, kept, destination, lambda: NOW, Resume(backlog=3))  # type: ignore[arg-type]

    async def work() -> None:
        for number in range(5):
            await part.publish(ScoredBatch(number + 1, [article(number)], [], counts))
            await part.mark()

    asyncio.run(work())
    found, join = [decode_news(record.value) for record in kept.records], NewsJoin(Joining("lexicon"))
    lows = []
    for offset, record in enumerate(found):
        join.take(record, offset)
        if isinstance(record, Mark):
            lows.append((record.next, join.low))
    assert lows[:4] == [(1, 0), (1, 0), (2, 0), (2, 0)]
    assert {low for following, low in lows if following >= 3} == {NOW}
    assert join.counts == {"scores": 3, "void": 2}
    assert NewsJoin(Joining("lexicon")).low == NEVER
