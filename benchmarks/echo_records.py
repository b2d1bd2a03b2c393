"""The yardstick of latency: each bar sent on as it comes, with plain aiokafka, until it is ended."""

import asyncio
import sys
from pathlib import Path

from aiokafka import TopicPartition

from benchmarks.common import fetch_settings
from schemas.configuration import load_config
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.topics import topic_name


async def main(path: str, broker: str) -> None:
    kafka = load_config(Path(path)).kafka
    tps = [TopicPartition(topic_name(kafka, "bars"), number) for number in range(kafka.partitions)]
    async with (
        open_producer(kafka, compression_type=None) as producer,
        open_consumer(kafka, **fetch_settings(broker)) as consumer,
    ):
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        async for record in consumer:
            await producer.send(f"{kafka.prefix}copy", record.value, record.key, record.partition, record.timestamp)


asyncio.run(main(*sys.argv[1:]))
