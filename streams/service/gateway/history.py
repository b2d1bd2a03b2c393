"""Signals that are on the log: for queries, and for readers that are behind the tail."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from streams.kafka.clients import offset_range, open_consumer, read_batches_to_end, unreachable
from streams.service.gateway.cursor import Cursor
from streams.service.gateway.published import Published, Wanted, published

SCANNED = 200_000
"""Records that one query reads at most; its answer says where the next one goes on."""
COMMITTED = "read_committed"


@dataclass
class Found:
    """The answer of a query: signals, and where the next query goes on (None: there is no more)."""

    signals: list[Published]
    next: dict[int, int] | None


@dataclass(frozen=True)
class History:
    """The topic `signals` on the broker."""

    kafka: Kafka
    topic: str
    partitions: int

    async def ranges(self) -> list[tuple[int, int]]:
        """Of each partition the oldest offset, and where the committed records end."""
        asked = (offset_range(self.kafka, self.topic, number, COMMITTED) for number in range(self.partitions))
        return list(await asyncio.gather(*asked))

    async def starts(self, time: int) -> dict[int, int]:
        """By partition, where records of this time (ms) or later may begin."""
        ranges = await self.ranges()
        places = {TopicPartition(self.topic, number): time for number in range(self.partitions)}
        async with open_consumer(self.kafka) as consumer:
            try:
                found = await consumer.offsets_for_times(places)
            except KafkaError as error:
                raise unreachable(self.kafka, f"asking {self.topic} for a time: {error!r}") from None
        return {at.partition: offset.offset if (offset := found.get(at)) else ranges[at.partition][1] for at in places}

    async def after(self, partition: int, offset: int) -> AsyncGenerator[tuple[list[Published], int], None]:
        """Batches of signals from there to the end of today, each with the offset that comes after it."""
        reading = read_batches_to_end(self.kafka, self.topic, partition, offset, COMMITTED)
        async with contextlib.aclosing(reading) as batches:
            async for records in batches:
                yield [signal for record in records if (signal := published(record))], records[-1].offset + 1

    async def query(self, start: Cursor, wanted: Wanted, limit: int) -> Found:
        """At most `limit` signals from `start` on: partition by partition, each in log order."""
        found, at = Found([], None), dict(start)
        ranges = await self.ranges()
        room = SCANNED
        for number in sorted(at):
            _, end = ranges[number]
            async with contextlib.aclosing(self._upto(number, at[number], end)) as batches:
                async for signals, following in batches:
                    for signal in signals:
                        if wanted.includes(signal):
                            found.signals.append(signal)
                            if len(found.signals) == limit:
                                at[number] = signal.offset + 1
                                return Found(found.signals, at)
                    room -= following - at[number]
                    at[number] = following
                    if room <= 0:
                        return Found(found.signals, at)
            at[number] = max(at[number], end)
        return found

    async def _upto(self, number: int, offset: int, end: int) -> AsyncGenerator[tuple[list[Published], int], None]:
        if offset >= end:
            return
        async for batch in self.after(number, offset):
            yield batch
