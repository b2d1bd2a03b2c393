"""What a partition has to say, and the producer that says it: every future is kept and awaited."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.messages import Applied, Signal, encode
from streams.intake import DeadLetter

MAX_DEAD_LETTER = 256 * 1024
BATCH_BYTES = 512 * 1024


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to write, on the partition that its symbol lives on."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + 64


def signal_record(topic: str, signal: Signal) -> Record:
    return Record(topic, signal.content.symbol.encode(), encode(signal), signal.content.time)


def applied_record(topic: str, applied: Applied) -> Record:
    return Record(topic, applied.strategy.encode(), encode(applied))


def dead_record(topic: str, dead: DeadLetter) -> Record:
    """The original key and bytes; headers say where from and why. What is too large is cut, with its SHA-256."""
    record, value = dead.record, dead.record.value
    headers = [
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("error", dead.kind.encode()),
        ("reason", dead.reason[:1000].encode("utf-8", "replace")),
    ]
    if value is not None and len(value) > MAX_DEAD_LETTER:
        headers.append(("truncated", str(len(value)).encode()))
        headers.append(("sha256", hashlib.sha256(value).hexdigest().encode()))
        value = value[:MAX_DEAD_LETTER]
    key = record.key if record.key is None or len(record.key) <= MAX_DEAD_LETTER else record.key[:MAX_DEAD_LETTER]
    return Record(topic, key, value, record.timestamp, tuple(headers))


class Writer:
    """Writes records of one partition number, in order, and returns when the broker has acknowledged them all: at
    least once.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def write(self, partition: int, records: Iterable[Record]) -> None:
        """Raises what the broker answered when any record was not acknowledged."""
        futures = []
        try:
            for topic, batch in self._batches(records):
                futures.append(await self._producer.send_batch(batch, topic, partition=partition))
        finally:
            results = await asyncio.gather(*futures, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _batches(self, records: Iterable[Record]) -> Iterable[tuple[str, Any]]:
        """The records packed by topic, in order within each topic."""
        open_batches: dict[str, Any] = {}
        for record in records:
            batch = open_batches.get(record.topic)
            if batch is None or not _append(batch, record):
                if batch is not None:
                    yield record.topic, batch
                batch = open_batches[record.topic] = self._producer.create_batch()
                if not _append(batch, record):
                    raise ValueError(f"a record of {record.size} bytes for {record.topic} does not fit into a batch")
        yield from open_batches.items()


def _append(batch: Any, record: Record) -> bool:
    return (
        batch.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=list(record.headers))
        is not None
    )
