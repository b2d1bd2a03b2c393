"""The yardsticks of throughput: a topic copied with plain aiokafka, ``records``: `send()` for each record,
``batches``: batches made of each fetch. Prints seconds and records.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from schemas.configuration import load_config
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.topics import topic_name
from streams.kafka.topics.specs import LARGEST_BATCH

Futures = list["asyncio.Future[Any]"]


async def by_records(producer: Any, topic: str, records: Sequence[Any]) -> Futures:
    return [
        await producer.send(topic, record.value, record.key, record.partition, record.timestamp) for record in records
    ]


async def by_batches(producer: Any, topic: str, records: Sequence[Any]) -> Futures:
    batch, futures = producer.create_batch(), []
    for record in records:
        if batch.append(key=record.key, value=record.value, timestamp=record.timestamp) is None:
            futures.append(await producer.send_batch(batch, topic, partition=record.partition))
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=record.timestamp)
    return [*futures, await producer.send_batch(batch, topic, partition=records[0].partition)]


async def main(path: str, total: int, way: str, topic: str = "bars") -> None:
    kafka, copy = load_config(Path(path)).kafka, {"records": by_records, "batches": by_batches}[way]
    source, target = topic_name(kafka, topic), f"{kafka.prefix}copy"
    tps = [TopicPartition(source, number) for number in range(kafka.partitions)]
    options = {"linger_ms": 5} if way == "records" else {"linger_ms": 0, "max_batch_size": LARGEST_BATCH}
    async with open_producer(kafka, compression_type=None, **options) as producer, open_consumer(kafka) as consumer:
        copied, futures = 0, Futures()
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        began = time.perf_counter()
        while copied < total:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                futures += await copy(producer, target, records)
                copied += len(records)
        await asyncio.gather(*futures)
        print(time.perf_counter() - began, copied)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
