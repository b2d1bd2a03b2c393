"""The yardstick of exactly once: each fetch of a partition sent on in one transaction of that partition's own producer,
with plain aiokafka, until it is ended.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from benchmarks.common import fetch_settings
from schemas.configuration import Kafka, load_config
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.topics import topic_name


async def copy(kafka: Kafka, broker: str, tp: TopicPartition, producer: Any, consumer: Any) -> None:
    target = f"{kafka.prefix}copy"
    while True:
        records = (await consumer.getmany(tp, timeout_ms=1000)).get(tp, [])
        if not records:
            continue
        async with producer.transaction():
            for record in records:
                await producer.send(target, record.value, record.key, record.partition, record.timestamp)


async def main(path: str, broker: str) -> None:
    kafka = load_config(Path(path)).kafka
    tps = [TopicPartition(topic_name(kafka, "bars"), number) for number in range(kafka.partitions)]
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(open_consumer(kafka, **fetch_settings(broker)))
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        names = [f"{kafka.prefix}echo-{tp.partition}" for tp in tps]
        producers = [
            await stack.enter_async_context(open_producer(kafka, transactional_id=name, compression_type=None))
            for name in names
        ]
        pairs = zip(tps, producers, strict=True)
        await asyncio.gather(*(copy(kafka, broker, tp, producer, consumer) for tp, producer in pairs))


asyncio.run(main(*sys.argv[1:]))
