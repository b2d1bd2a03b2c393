"""What we write is compressed as the configuration says, on each broker, and readers see what was written."""

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.log_bytes import Stored, stored
from schemas.configuration import Kafka
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import PRODUCER, Record, SharedWriterFactory, Writer

VALUES = [f'{{"content":{{"symbol":"S{n:04}","signal":"HOLD"}}}}'.encode() for n in range(500)]


async def written(kafka: Kafka) -> tuple[list[bytes | None], Stored]:
    """The values by a reader of what is committed, and the log's own view."""
    await create_topics(kafka)
    topic = topic_name(kafka, "signals")
    async with open_producer(kafka, **PRODUCER) as producer:
        writer = await SharedWriterFactory(Writer(producer)).open(0)
        await writer.write(0, [Record(topic, b"S", value) for value in VALUES])
    values = [record.value async for record in read_partition_to_end(kafka, topic, 0, isolation="read_committed")]
    return values, await stored(kafka, "signals")


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
def test_the_log_holds_the_codec_that_the_configuration_names(
    codec: str, broker: Broker, kafka_config: Callable[..., Kafka]
) -> None:
    values, log = asyncio.run(written(kafka_config(broker, compression=codec)))
    assert values == VALUES
    assert log.codecs == {codec}
    assert log.records == len(VALUES)


def test_zstd_is_the_default_and_far_smaller(broker: Broker, kafka_config: Callable[..., Kafka]) -> None:
    _, log = asyncio.run(written(kafka_config(broker)))
    assert log.codecs == {"zstd"}
    assert log.bytes_each < len(VALUES[0]) / 2
