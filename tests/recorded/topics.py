"""What is on the topics, read along while it is written; and what a harness sends to them."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.recorded.inputs import PARTITIONS, Sent

TOPICS = ("signals", "predictions", "predictions.shadow", "control", "state", "dead-letters", "news.scores")


class Seen(msgspec.Struct, frozen=True):
    """A record as a reader of committed ones gets it; `topic` without the prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: list[tuple[str, bytes]]

    def decoded(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.value or b"{}")
        return found


class Recording(msgspec.Struct):
    """All that a run wrote, and how much of it was there at each checkpoint."""

    name: str
    exactly_once: bool
    lives: list[str] = []
    """Whose code each worker was, and how it ended."""
    records: list[Seen] = []
    checkpoints: dict[str, int] = {}
    """By name: so many of `records`."""

    def of(self, topic: str) -> list[Seen]:
        """In the order of each partition."""
        return [record for record in self.records if record.topic == topic]

    def save(self, file: Path) -> None:
        file.write_bytes(msgspec.msgpack.encode(self))

    @staticmethod
    def load(file: Path) -> "Recording":
        return msgspec.msgpack.decode(file.read_bytes(), type=Recording)


@contextlib.asynccontextmanager
async def reading(bootstrap: str, records: list[Seen], prefix: str, shown: str = "") -> AsyncIterator[None]:
    """Every topic with that prefix is read along into `records` as long as the block runs; its name there: `shown`
    before its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        reads = [_read(bootstrap, prefix + topic, records, shown + topic, stack) for topic in TOPICS]
        tasks = [asyncio.create_task(read) for read in reads]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(bootstrap: str, topic: str, records: list[Seen], shown: str, stack: contextlib.AsyncExitStack) -> None:
    # a consumer for each topic, as Tansu takes the wait as the time in which it may search through all partitions
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        fetch_max_wait_ms=500, enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    stack.push_async_callback(consumer.stop)
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    while True:
        for fetched in (await consumer.getmany(timeout_ms=200)).values():
            records += [
                Seen(shown, r.partition, r.offset, r.key, r.value, r.timestamp, list(r.headers)) for r in fetched
            ]


class Input:
    """The producer of what workers read; the bars must come to lie at the same offsets in each run."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, acks="all")
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        """Of the bars."""

    async def __aenter__(self) -> "Input":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, records: Iterable[Sent]) -> None:
        """All of one topic is there before the next: scores and marks before the bars that they are of, else a bar
        could be given up that a machine is too slow for.
        """
        for _, part in itertools.groupby(records, key=lambda record: record.topic):
            await self._send(list(part))

    async def _send(self, records: Sequence[Sent]) -> None:
        futures = [
            await self._producer.send(
                self._prefix + r.topic, r.value, r.key, partition=r.partition, timestamp_ms=r.timestamp
            )
            for r in records
        ]
        for record, sent in zip(records, await asyncio.gather(*futures), strict=True):
            if record.topic == "bars":
                assert sent.offset == self.ends[record.partition], f"{sent} is not at {self.ends}"
                self.ends[record.partition] += 1


async def until(what: str, condition: Callable[[], bool], seconds: float, also: Callable[[], object]) -> None:
    """Waits for the condition; `also` may raise meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                also()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds:g} s") from None
