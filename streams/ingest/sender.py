"""Records to a topic: in their order, not before they are due, and each acknowledged."""

import abc
import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.configuration import Kafka
from schemas.errors import AlphawireError, BrokerError, ConfigurationError
from streams.kafka.client_logging import quiet_aiokafka
from streams.kafka.clients import gives_producer_ids, open_producer
from streams.kafka.refusals import refused_write
from streams.kafka.row_batches import RecordRows, RowBatch
from streams.kafka.topics import topic_name

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

BATCH_BYTES = 512 * 1024
OUTSTANDING = 64
"""Batches that may wait for the broker's acknowledgement."""
TICK = 0.001
"""Seconds: records due within it are sent together."""
Progress = Callable[[int], None]
Line = tuple[bytes, bytes, int]
"""Key, value and timestamp of a record."""


class Part(abc.ABC):
    """Some records: their partitions and times, in ms."""

    def __init__(self, partitions: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        self.partitions, self.times = partitions, times

    @abc.abstractmethod
    async def send(self, sender: "Sender", first: int, upto: int) -> None:
        """Those with numbers in [first, upto)."""


class Lines(Part):
    """Records one by one: `lines` gives those with numbers in [first, upto)."""

    def __init__(
        self, lines: Callable[[int, int], Iterable[Line]], partitions: NDArray[np.int64], times: NDArray[np.int64]
    ) -> None:
        super().__init__(partitions, times)
        self._lines = lines

    async def send(self, sender: "Sender", first: int, upto: int) -> None:
        await sender.send(self._lines(first, upto), self.partitions[first:upto])


class Pace:
    """When records may go: `rate` of them a second, or `speed` times as fast as their own times go; else at once."""

    def __init__(self, rate: float | None, speed: float | None) -> None:
        for name, value in (("rate", rate), ("speed", speed)):
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} {value} is not above 0")
        if rate is not None and speed is not None:
            raise ConfigurationError("give either a rate or a speed")
        self._rate, self._speed, self._count = rate, speed, 0
        self._first: int | None = None
        self._latest = 0

    def due(self, times: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Seconds after the start for the records of these times, which come next; None: at once. One out of order goes
        with the one before.
        """
        numbers = self._count + np.arange(len(times), dtype=np.float64)
        self._count += len(times)
        if self._rate is not None:
            return numbers / self._rate
        if self._speed is None or not len(times):
            return None
        if self._first is None:
            self._first = self._latest = int(times[0])
        reached = np.maximum.accumulate(np.maximum(times, self._latest))
        self._latest = int(reached[-1])
        return np.asarray((reached - self._first) / (1000.0 * self._speed), np.float64)


@contextlib.asynccontextmanager
async def open_sender(kafka: Kafka, name: str, progress: Progress | None) -> AsyncIterator["Sender"]:
    """A `Sender` to the topic `name` (without the prefix)."""
    options = {"max_batch_size": BATCH_BYTES, "enable_idempotence": await gives_producer_ids(kafka)}
    with quiet_aiokafka():
        async with open_producer(kafka, **options) as producer:
            yield Sender(producer, topic_name(kafka, name), progress)


async def send_all(sender: "Sender", parts: Iterable[Part], pace: Pace, step: int) -> float:
    """All records, each not before it is due, at most `step` at once; returns how many seconds that took."""
    began = asyncio.get_running_loop().time()
    for part in parts:
        await _send(sender, part, pace.due(part.times), step, began)
    await sender.settle()
    return asyncio.get_running_loop().time() - began


async def _send(sender: "Sender", part: Part, due: NDArray[np.float64] | None, step: int, began: float) -> None:
    clock = asyncio.get_running_loop().time
    sent, count = 0, len(part.partitions)
    while sent < count:
        upto = min(sent + step, count)
        if due is not None:
            await sender.settle()
            await asyncio.sleep(max(due[sent] - (clock() - began), 0))
            upto = min(upto, int(np.searchsorted(due, clock() - began + TICK, "right")))
        await part.send(sender, sent, upto)
        sent = upto


class Sender:
    """Batches on their way; every acknowledgement is awaited, and one that fails ends the whole."""

    def __init__(self, producer: "AIOKafkaProducer", topic: str, progress: Progress | None) -> None:
        self._producer = producer
        self._topic = topic
        self._progress = progress or (lambda count: None)
        self._waiting: deque[tuple[asyncio.Future[Any], int]] = deque()
        self._open: dict[int, BatchBuilder] = {}
        """Of each partition, the batch that is not full yet: the broker answers each, so the fewer the better."""

    async def send(self, lines: Iterable[Line], partitions: NDArray[np.int64]) -> None:
        batches = self._open
        for (key, value, time), partition in zip(lines, partitions.tolist(), strict=True):
            batch = batches.get(partition)
            if batch is None or batch.append(key=key, value=value, timestamp=time) is None:
                if batch is not None:
                    await self._submit(batch, partition)
                batches[partition] = batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=time)

    async def send_rows(self, rows: RecordRows, partition: int) -> None:
        """Rendered records, packed without an object for each."""
        left: RecordRows | None = rows
        while left is not None:
            batch = self._open.get(partition)
            if not isinstance(batch, RowBatch):
                batch = self._open[partition] = RowBatch(self._producer)
            left = left.later(batch.extend(left))
            if left is not None:
                await self._submit(self._open.pop(partition), partition)

    async def _submit(self, batch: "BatchBuilder", partition: int) -> None:
        from aiokafka.errors import KafkaError

        batch.close()
        try:
            future = await self._producer.send_batch(batch, self._topic, partition=partition)
        except KafkaError as error:
            raise self._failed(error) from None
        self._waiting.append((future, batch.record_count()))
        while len(self._waiting) > OUTSTANDING or (self._waiting and self._waiting[0][0].done()):
            await self._acknowledge()

    async def settle(self) -> None:
        """Send what is left, and wait until the broker has everything."""
        batches, self._open = self._open, {}
        for partition, batch in batches.items():
            await self._submit(batch, partition)
        while self._waiting:
            await self._acknowledge()

    async def _acknowledge(self) -> None:
        from aiokafka.errors import KafkaError

        future, count = self._waiting.popleft()
        try:
            await future
        except KafkaError as error:
            raise self._failed(error) from None
        self._progress(count)

    def _failed(self, error: Exception) -> AlphawireError:
        fault = BrokerError(f"the broker did not take records for {self._topic}: {error}")
        return refused_write(error, self._topic) or fault
