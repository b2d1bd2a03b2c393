"""Owners that share one producer, all with something for one partition: as when bars of many partitions are ranked."""

import asyncio
from collections.abc import Callable

from schemas.configuration import Kafka
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import PRODUCER, Record, Writer
from tests.support.deadlines import deadline

OWNERS, EACH = 20, 2


def test_owners_that_write_to_one_partition_wait_for_no_more_than_their_turn(
    tansu: TansuBroker, kafka_config: Callable[..., Kafka]
) -> None:
    """The producer's patience is a small part of what aiokafka reckons them to have waited, and more than they do."""
    kafka = kafka_config(tansu, partitions=2)
    topic = topic_name(kafka, "predictions")

    async def owner(writer: Writer, number: int) -> None:
        for turn in range(EACH):
            await writer.write(0, [Record(topic, b"ranked", f"{number}:{turn}".encode(), partition=1)])

    async def run() -> list[bytes]:
        await create_topics(kafka)
        async with open_producer(kafka, **PRODUCER | {"request_timeout_ms": 3_000}) as producer:
            writer = Writer(producer)
            send = producer._sender._send_produce_req  # the broker answers after 50 ms

            async def slow(*given: object) -> object:
                await asyncio.sleep(0.05)
                return await send(*given)

            producer._sender._send_produce_req = slow
            async with asyncio.timeout(deadline(120)):
                await asyncio.gather(*(owner(writer, number) for number in range(OWNERS)))
        return [record.value async for record in read_partition_to_end(kafka, topic, 1)]

    written = [tuple(map(int, value.split(b":"))) for value in asyncio.run(run())]
    assert sorted(written) == [(number, turn) for number in range(OWNERS) for turn in range(EACH)]
    for number in range(OWNERS):
        assert [turn for who, turn in written if who == number] == list(range(EACH))
