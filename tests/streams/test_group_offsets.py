"""Who watches the lag of the consumer group reads the truth: within a second, idle or not, and after a stop."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from schemas.configuration import Config, Kafka
from schemas.wire import encode
from schemas.wire.news import Article
from streams.consuming.transport import Consumer
from streams.kafka.brokers import Broker
from streams.kafka.clients import offset_range, open_admin, open_producer
from streams.kafka.gaps import PartitionGaps
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.support.live import SignalCount, WorkerProcess, strategy, wait_for, write_config
from tests.support.memory import bar
from tests.support.news_records import Clock, config_of, running, until

BARS, OTHER, REQUESTS = TP("bars", 0), TP("bars", 1), TP("plugins.requests", 0)


class Committing(Consumer):
    """The consumer without Faust's threads; `committed` is what the broker was told, in order."""

    def __init__(self, marked: dict[TP, int], refused: int = 0) -> None:
        self.marked = marked
        owner = SimpleNamespace(marked=lambda: self.marked, topics=["bars"])
        nothing = SimpleNamespace(on_commit_initiated=lambda _: None, on_commit_completed=lambda *_: None)
        self.app = SimpleNamespace(owner=owner, sensors=nothing, _attachments=self, producer=None)
        self._ledger, self._expected = defaultdict(deque), {}
        self._passed, self._told, self.gaps = {}, {}, PartitionGaps()
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self._committed_offset = defaultdict(lambda: None)
        self.diag = SimpleNamespace(set_flag=lambda _: None, unset_flag=lambda _: None)
        self.assigned = {BARS, OTHER, REQUESTS}
        self.committed: list[dict[TP, int]] = []
        self._refused = refused

    async def publish_for_tp_offset(self, *_: Any) -> list[Any]:
        return []

    def assignment(self) -> set[TP]:
        return self.assigned

    async def _commit(self, offsets: Any) -> bool:
        self._refused -= 1
        if self._refused >= 0:
            return False
        self.committed.append(dict(offsets))
        return True

    def acks(self, tp: TP, upto: int) -> None:
        self._ledger[tp].append((upto - 1, upto))
        self._acked[tp].append(upto - 1)
        self._acked_index[tp].add(upto - 1)

    def fetched(self, tp: TP, end: int | None, position: int) -> None:
        state = SimpleNamespace(has_valid_position=True, position=position)
        assignment = SimpleNamespace(tps={tp}, state_value=lambda _: state)
        subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
        self.note_passed({tp: end} if end is not None else {}, subscription)

    def commits(self) -> dict[TP, int]:
        """What an interval commits."""
        before = len(self.committed)
        asyncio.run(self.force_commit())
        return {tp: offset for told in self.committed[before:] for tp, offset in told.items()}


def test_what_is_published_after_the_last_record_was_acked_is_committed_though_nothing_comes() -> None:
    """The fault: of an acked backlog of 7,000 only 30 were published at the commit, and it stayed 6,970 behind."""
    consumer = Committing({BARS: 30})
    consumer.acks(BARS, 7_000)
    assert consumer.commits() == {BARS: 30}
    consumer.marked[BARS] = 7_000
    assert consumer.commits() == {BARS: 7_000}
    assert consumer.commits() == {}


def test_a_commit_that_failed_is_made_again() -> None:
    consumer = Committing({BARS: 5}, refused=1)
    assert consumer.commits() == {}
    assert consumer.commits() == {BARS: 5}


def test_only_what_is_assigned_and_has_something() -> None:
    consumer = Committing({BARS: 5, OTHER: 0, TP("bars", 7): 9})
    assert consumer.commits() == {BARS: 5}
    consumer.assigned = {OTHER}
    consumer.marked[OTHER] = 1
    assert consumer.commits() == {OTHER: 1}


def test_what_no_owner_deals_with_is_committed_by_its_acks() -> None:
    consumer = Committing({BARS: 5})
    consumer.acks(REQUESTS, 3)
    assert consumer.commits() == {REQUESTS: 3, BARS: 5}
    assert consumer.commits() == {}


@pytest.mark.parametrize(
    ("marked", "fetches", "told"),
    [
        (10, [(10, 10)], 10),
        (10, [(10, 11)], 11),
        (10, [(10, 10), (None, 13)], 13),
        (9, [(10, 11)], 9),
        (10, [(10, 11), (15, 16)], 10),
        (15, [(10, 11), (15, 16)], 16),
        (7, [(None, 8)], 8),
    ],
    ids=[
        "no transactions", "a transaction's mark after the last record", "marks and an aborted one after a while",
        "not published yet", "more fetched", "and published", "nothing but a mark since the start",
    ],
)  # fmt: skip
def test_what_is_never_handed_out_is_no_lag(marked: int, fetches: list[tuple[int | None, int]], told: int) -> None:
    consumer = Committing({BARS: marked})
    consumer._passed[BARS] = 7, 7
    for end, position in fetches:
        consumer.fetched(BARS, end, position)
    assert consumer.commits() == {BARS: told}


def test_what_is_read_again_is_no_progress() -> None:
    """States are folded again from offset 3 on, and all up to 10 is published."""
    consumer = Committing({BARS: 10})
    consumer._passed[BARS] = 3, 3
    consumer.fetched(BARS, 6, 6)
    assert consumer.commits() == {BARS: 10}


async def lags(config: Config, group: str = "") -> dict[tuple[str, int], int]:
    """As a monitor sees them: the end of each partition that the group has an offset of, less that offset."""
    async with open_admin(config.kafka) as admin:
        known = await admin.list_consumer_group_offsets(group or config.kafka.group)
    found = {}
    for tp, place in known.items():
        _, end = await offset_range(config.kafka, tp.topic, tp.partition)
        found[tp.topic.removeprefix(config.kafka.prefix), tp.partition] = end - place.offset
    return found


def home(symbol: str) -> int:
    return partition_of(symbol.encode(), 2, "murmur2")


def shown(config: Config) -> bool:
    """No lag on either topic."""
    found = asyncio.run(lags(config))
    return {topic for topic, _ in found} == {"bars", "predictions"} and set(found.values()) == {0}


async def in_transactions(config: Config, minutes: range) -> None:
    """Bars of eight symbols, a transaction a minute, as a producer that is not ours writes them."""
    topic = topic_name(config.kafka, "bars")
    async with open_producer(config.kafka, transactional_id=f"{topic}-bars") as producer:
        for minute in minutes:
            async with producer.transaction():
                for symbol in "ABCDEFGH":
                    value = encode(bar(symbol, minute, 100.0 + minute % 7))
                    await producer.send(topic, value, symbol.encode(), home(symbol))


def test_a_monitor_sees_no_lag_where_there_is_none(kafka: Broker, tmp_path: Path) -> None:
    """Bars in transactions, predictions in transactions; with a worker that is idle, and after a graceful stop."""
    ranked = strategy(
        signal={"key": "signal.ranking", "top_n": 1, "bottom_n": 1}, universe=list("ABCDEFGH"),
        cross_section={"grace": 1.0},
    )  # fmt: skip
    file = tmp_path / "offsets.yaml"
    config = write_config(file, kafka.bootstrap, f"{tmp_path.name}.", {"demo": strategy(), "ranked": ranked})
    asyncio.run(create_topics(config.kafka))
    asyncio.run(in_transactions(config, range(60)))
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 2 * 8 * 60)
        wait_for(lambda: shown(config))
        asyncio.run(in_transactions(config, range(60, 70)))
        wait_for(lambda: signals() == 2 * 8 * 70)
        assert worker.stop() == 0
    assert shown(config), asyncio.run(lags(config))


def test_nor_of_the_scorer_when_it_has_stopped(kafka: Broker, kafka_config: Callable[..., Kafka]) -> None:
    config = config_of(kafka_config(kafka, partitions=1, news_partitions=1))
    one = Article(id="a", published_at=1_700_000_000_000, symbols=["BAC"], body="Profit rises, great results")

    async def run() -> dict[tuple[str, int], int]:
        await create_topics(config.kafka)
        topic = topic_name(config.kafka, "news")
        async with open_producer(config.kafka, transactional_id=topic) as producer, producer.transaction():
            await producer.send(topic, encode(one), b"a", 0)
        async with running(config, Clock(1_700_000_000_000)) as scorer:
            await until(scorer, lambda: scorer._passed.get(0) == 2)  # past the mark of the transaction
        return await lags(config, f"{config.kafka.group}-scorer")

    assert asyncio.run(run()) == {("news", 0): 0}
