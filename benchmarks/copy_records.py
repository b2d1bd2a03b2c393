"""The yardstick of throughput: a topic copied record by record with aiokafka, `send()` for each. Prints seconds and
records.
"""

import asyncio
import sys
import time
from pathlib import Path

from aiokafka import TopicPartition

from schemas.configuration import load_config
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.topics import topic_name


async def main(path: str, total: int) -> None:
    kafka = load_config(Path(path)).kafka
    source, target = topic_name(kafka, "bars"), f"{kafka.prefix}copy"
    tps = [TopicPartition(source, number) for number in range(kafka.partitions)]
    async with open_producer(kafka, linger_ms=5, compression_type=None) as producer, open_consumer(kafka) as consumer:
        copied, futures = 0, []
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        began = time.perf_counter()
        while copied < total:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                for record in batch:
                    futures.append(
                        await producer.send(target, record.value, record.key, record.partition, record.timestamp)
                    )
                copied += len(batch)
        await asyncio.gather(*futures)
        print(time.perf_counter() - began, copied)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
