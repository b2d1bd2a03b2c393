"""What the consumer hands on, when an assignment ends between a fetch and its records."""

import asyncio
from collections import defaultdict, deque
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.transport import Consumer
from tests.support.memory import bar, fetched

BARS = TP("bars", 0)


class Fetching(Consumer):
    """The consumer without Faust's threads: a fetch gives `batch`, while which the generation may move."""

    def __init__(self, batch: list[Any], moves: bool) -> None:
        self.app = SimpleNamespace(
            consumer_generation_id=1, chunk_records=2, monitor=SimpleNamespace(track_tp_end_offset=lambda *_: None)
        )
        self._ledger = defaultdict(deque)
        self._expected = {BARS: 0}
        self._buffered_partitions = set()
        self._batch, self._moves = batch, moves
        self.sought: dict[TP, int] = {}

    should_stop = False
    flow_active = True

    async def _wait_next_records(self, timeout: float) -> Any:
        self.app.consumer_generation_id += self._moves
        return {BARS: self._batch}, {BARS}

    def highwater(self, tp: TP) -> int:
        return len(self._batch)

    def assignment(self) -> set[TP]:
        return {BARS}

    async def seek_wait(self, partitions: Any) -> None:
        self.sought |= partitions


def handed_on(consumer: Fetching) -> list[tuple[int, int]]:
    async def run() -> list[tuple[int, int]]:
        return [(m.value.start, m.value.next) async for _, m in consumer.getmany(1.0)]

    return asyncio.run(run())


def test_chunks_of_the_assignment_are_handed_on() -> None:
    consumer = Fetching(fetched(bar("A", minute, 100.0) for minute in range(3)), moves=False)
    assert handed_on(consumer) == [(0, 2), (2, 3)]


def test_what_was_fetched_for_an_assignment_that_is_over_is_read_again() -> None:
    """The generation counts from before the fetch: taken after it (as stock Faust does), these records would pass as
    the new assignment's.
    """
    consumer = Fetching(fetched(bar("A", minute, 100.0) for minute in range(3)), moves=True)
    assert handed_on(consumer) == []
    assert consumer.sought == {BARS: 0}
