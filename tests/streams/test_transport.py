"""What the consumer hands on when an assignment ends between a fetch and its records, and its look at its group."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from faust.types import TP

from schemas.configuration import Kafka
from streams.consuming.transport import Consumer, ConsumerThread
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.gaps import PartitionGaps
from streams.kafka.gaps.detection import watch_gaps
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline
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
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self._passed, self._told, self.gaps = {}, {}, PartitionGaps()
        self._committed_offset = defaultdict(lambda: None)
        self._read_offset, self._unacked_messages, self._n_acked = {}, set(), 0
        self._waiting_for_ack = None
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


def committed_after_a_restart(group: int, state: int) -> int | None:
    """What is committed next, when the group's offset is `group` and the state goes on at `state`, and all is acked."""
    consumer = Fetching(fetched(bar("A", minute, 100.0) for minute in range(6)), moves=False)
    consumer.app.owner = SimpleNamespace(positions=lambda: {BARS: state})
    consumer.app.topics = SimpleNamespace(acks_enabled_for=lambda _: True)

    async def seek_to_committed() -> dict[TP, int]:
        return {BARS: group}

    consumer.seek_to_committed = seek_to_committed

    async def run() -> int | None:
        await consumer.perform_seek()
        async for _, message in consumer.getmany(1.0):
            consumer.ack(message)
        return consumer._new_offset(BARS)

    return asyncio.run(run())


def test_commits_go_on_where_the_state_is_behind_the_group() -> None:
    """The mistake: what counts as committed is the group's offset or the state's, so that acks below it are dropped and
    the first chunk stays open for ever.
    """
    assert committed_after_a_restart(group=5, state=0) == 6
    assert committed_after_a_restart(group=5, state=2) == 6


class Watching(ConsumerThread):
    """The thread's look at the group of a real client, without the thread."""

    def __init__(self, client: Any) -> None:
        self._client = client

    should_stop = False

    def _ensure_consumer(self) -> Any:
        return self._client


def test_topics_that_the_client_did_not_know_are_given_out_when_they_are_there(
    kafka: ApacheKafkaBroker, kafka_config: Callable[..., Kafka]
) -> None:
    """The client by itself asks again after five minutes."""
    config = kafka_config(kafka, partitions=3)
    bars = topic_name(config, "bars")

    async def run() -> list[set[tuple[str, int]]]:
        given: asyncio.Queue[set[tuple[str, int]]] = asyncio.Queue()

        class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
            def on_partitions_revoked(self, revoked: Any) -> None:
                pass

            def on_partitions_assigned(self, assigned: Any) -> None:
                given.put_nowait({tuple(tp) for tp in assigned})

        async with asyncio.timeout(deadline(60)), open_consumer(config, group_id=bars) as client:
            client.subscribe([bars], listener=Listener())
            looking = asyncio.create_task(Watching(client)._watch_group())
            nothing = await given.get()
            await create_topics(config)
            everything = await given.get()
            looking.cancel()
            return [nothing, everything]

    assert asyncio.run(run()) == [set(), {(bars, number) for number in range(3)}]


class Seeking(ConsumerThread):
    """The thread's seek of a real client, without the thread."""

    log = SimpleNamespace(dev=lambda *_: None)

    def __init__(self) -> None:
        self.consumer = SimpleNamespace(gaps=PartitionGaps(), _read_offset={})
        self.app = SimpleNamespace(conf=SimpleNamespace(broker_request_timeout=deadline(30)))


def test_a_mark_that_the_broker_answers_with_at_once_is_seen(
    kafka: ApacheKafkaBroker, kafka_config: Callable[..., Kafka]
) -> None:
    """A worker goes on at the mark of a transaction, which its client passes before the seek returns: it was told as
    deleted unread when the next record came.
    """
    config = kafka_config(kafka, partitions=1)
    bars = topic_name(config, "bars")

    async def run() -> Any:
        await create_topics(config)
        async with open_producer(config, transactional_id=f"{bars}-marks") as producer:
            for value in (b"first", b"second"):
                async with producer.transaction():
                    await producer.send(bars, value, partition=0)
        thread, at = Seeking(), TopicPartition(bars, 0)
        watch_gaps()
        async with asyncio.timeout(deadline(60)), open_consumer(config, isolation_level="read_committed") as client:
            client._key_deserializer = client._fetcher._key_deserializer = thread.consumer.gaps
            client.assign([at])
            sought = asyncio.create_task(thread._seek_wait(client, {at: 1}))  # record 0, its mark 1, record 2, its mark
            (records,) = (await client.getmany(at, timeout_ms=60_000)).values()
            await sought
            return (
                [record.offset for record in records],
                thread.consumer.gaps.take(at, 1, 3),
                thread.consumer.gaps.of(at),
            )

    offsets, gaps, watched = asyncio.run(run())
    assert (offsets, gaps) == ([2], [])
    assert watched.reached >= 3
