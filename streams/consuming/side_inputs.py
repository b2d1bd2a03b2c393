"""What bars are joined with (``news.scores``, ``side.inputs``): read to its end for a replay, and followed by the owner
of a partition.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from plugins.side_inputs.news.join import Joining, NewsJoin
from plugins.side_inputs.references import ReferenceJoin
from schemas.configuration import Kafka
from schemas.errors import BadRecord, BrokerError
from schemas.wire.news import decode_news
from schemas.wire.side_inputs import decode_side_input
from streams.consuming.transport import FetchWait
from streams.kafka.clients import open_consumer
from streams.kafka.gaps import PartitionGaps, Span
from streams.kafka.gaps.detection import watch_gaps
from streams.kafka.log import Log
from streams.kafka.topics import topic_name

logger = logging.getLogger("alphawire.news")
WAIT_MS, SHORT_WAIT_MS = 500, 5
AGAIN = 1.0
"""Seconds until a broker that is away is asked again."""


@dataclass(frozen=True)
class RecordsRead:
    """Records of a partition; whether the log held no more then; and which offsets, up to the last of them, hold no
    records any more.
    """

    records: list[Any]
    at_end: bool
    gone: Sequence[Span] = ()


async def joins(log: Log, partition: int, rules: Collection[Joining]) -> dict[Joining, NewsJoin]:
    """What is known of a partition's news, to the end that its log has now, by each of the rules."""
    joins = {rule: NewsJoin(rule, partition=partition) for rule in rules}
    if not joins:
        return joins
    async for records in log.batches("news.scores", partition, isolation="read_committed"):
        for record in records:
            try:
                message = decode_news(record.value)
            except BadRecord:
                continue
            for join in joins.values():
                join.take(message, record.offset)
    return joins


async def references(log: Log, partition: int) -> ReferenceJoin:
    """What is known of the bars that stand beside a partition's, to the end that its log has now."""
    join = ReferenceJoin(partition)
    async for records in log.batches("side.inputs", partition, isolation="read_committed"):
        for record in records:
            with contextlib.suppress(BadRecord):
                join.take(decode_side_input(record.value))
    return join


Follow = Callable[[int], AsyncGenerator[RecordsRead, None]]
"""What is on a partition from an offset on, for ever."""


def follow(kafka: Kafka, name: str, partition: int, has_transactions: bool) -> Follow:
    """All records of a partition of the topic `name`, as they come."""
    at = TopicPartition(topic_name(kafka, name), partition)

    async def records_from(start: int) -> AsyncGenerator[RecordsRead, None]:
        position, gaps = start, PartitionGaps()
        gaps.begin(at, start)
        watch_gaps()
        while True:
            wait = FetchWait(WAIT_MS if has_transactions else SHORT_WAIT_MS, WAIT_MS)
            options: dict[str, Any] = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
            options |= {"fetch_max_wait_ms": WAIT_MS, "key_deserializer": gaps}
            try:
                async with open_consumer(kafka, **options) as consumer:
                    consumer.assign([at])
                    consumer.seek(at, position)
                    while True:
                        fetched = await consumer.getmany(at, timeout_ms=2 * WAIT_MS)
                        records = fetched.get(at, [])
                        former, position = position, await consumer.position(at)
                        end = _end(consumer, at)
                        behind = end is not None and end > position
                        consumer._fetcher._fetch_max_wait_ms = wait.after(bool(records), behind)
                        yield RecordsRead(records, end is not None and not behind, gaps.take(at, former, position))
            except (BrokerError, KafkaError) as error:
                logger.warning("%s/%d cannot be read for now: %s", at.topic, partition, error)
            await asyncio.sleep(AGAIN)

    return records_from


def _end(consumer: Any, at: TopicPartition) -> int | None:
    """Of what is committed, as the last fetch told it."""
    high, stable = consumer.highwater(at), consumer.last_stable_offset(at)
    if high is None:
        return None
    end: int = high if stable is None or stable < 0 else min(high, stable)
    return end
