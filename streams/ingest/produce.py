"""Bars to Kafka: keyed by symbol, on the partition that the configured partitioner says, stamped with their close."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from schemas.configuration import Kafka
from schemas.errors import AlphawireError, BrokerError, ConfigurationError
from schemas.wire import Bar, encode, name_of_length
from streams.ingest.bar_files import EXAMPLES, Refused
from streams.ingest.forming import FORMING, unfinished
from streams.kafka.client_logging import quiet_aiokafka
from streams.kafka.clients import gives_producer_ids, open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.refusals import refused_write
from streams.kafka.topics import partition_count, topic_name

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

BATCH_BYTES = 512 * 1024
STEP = 1_000
"""Bars encoded at once for each partition: small enough that sending goes on meanwhile."""
OUTSTANDING = 64
"""Batches that may wait for the broker's acknowledgement."""
TICK = 0.001
"""Seconds: bars due within it are sent together."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Produced:
    """What was acknowledged by the broker."""

    bars: int
    symbols: int
    first: int | None
    last: int | None
    seconds: float


def without_unfinished(frame: pd.DataFrame, clock: Callable[[], int]) -> tuple[pd.DataFrame, Refused]:
    """The bars that have closed by now, and what was left out: those that are still forming. `clock`: now, in ms."""
    return _without(frame, unfinished(frame, clock), FORMING, "closes", "close_time")


def within_topics(frame: pd.DataFrame) -> tuple[pd.DataFrame, Refused]:
    """The bars that a topic can hold, and what was left out: those that open before 1970."""
    old = frame["open_time"].to_numpy() < 0
    return _without(frame, old, "older than 1970 (a topic cannot hold them; a file can)", "opens", "open_time")


def _without(
    frame: pd.DataFrame, faulty: NDArray[np.bool_], reason: str, verb: str, time: str
) -> tuple[pd.DataFrame, Refused]:
    out, first = Refused(), frame[faulty].head(EXAMPLES)
    if faulty.any():
        out.reasons[reason] = int(faulty.sum())
        times = pd.to_datetime(first[time], unit="ms", utc=True)
        out.examples = [
            f"{symbol} {interval} {verb} at {when.isoformat()}"
            for symbol, interval, when in zip(first["symbol"], first["interval"], times, strict=True)
        ]
    return frame[~faulty].reset_index(drop=True), out


async def produce_bars(
    kafka: Kafka,
    frame: pd.DataFrame,
    rate: float | None = None,
    speed: float | None = None,
    progress: Progress | None = None,
) -> Produced:
    """Send the bars of `frame`, in its order, to the topic `bars`; returns when the broker has all of them.

    Parameters
    ----------
    frame
        symbol, open_time, close_time (ms), open, high, low, close, volume, as `streams.ingest.bar_files.read_bars`
        gives it; a missing `interval` follows from the two times.
    rate
        Bars a second; None: as fast as the broker takes them.
    speed
        Multiple of real time by close time: 60 sends an hour of bars in a minute.
    progress
        Called with the number of bars that the broker has acknowledged since the last call.

    Raises
    ------
    BrokerError
        When the broker does not answer, lacks the topic, or does not acknowledge within 30 s.
    ConfigurationError
        For both `rate` and `speed`, or one that is not positive.
    """
    due = due_times(frame["close_time"].to_numpy(np.int64), rate, speed)
    count = await partition_count(kafka)
    partitions = _partitions(frame, count, kafka)
    async with open_sender(kafka, "bars", progress) as sender:
        seconds = await send_all(
            sender, lambda first, upto: _records(frame.iloc[first:upto]), partitions, due, STEP * count
        )
    times = frame["close_time"]
    first, last = (int(times.min()), int(times.max())) if len(frame) else (None, None)
    return Produced(len(frame), int(frame["symbol"].nunique()), first, last, seconds)


Line = tuple[bytes, bytes, int]
"""Key, value and timestamp of a record."""


@contextlib.asynccontextmanager
async def open_sender(kafka: Kafka, name: str, progress: Progress | None) -> AsyncIterator["Sender"]:
    """A `Sender` to the topic `name` (without the prefix)."""
    options = {"max_batch_size": BATCH_BYTES, "enable_idempotence": await gives_producer_ids(kafka)}
    with quiet_aiokafka():
        async with open_producer(kafka, **options) as producer:
            yield Sender(producer, topic_name(kafka, name), progress)


async def send_all(
    sender: "Sender",
    lines: Callable[[int, int], Iterable[Line]],
    partitions: NDArray[np.int64],
    due: NDArray[np.float64] | None,
    step: int,
) -> float:
    """All records, each not before it is due, at most `step` at once; returns how many seconds that took.

    `lines` gives those with numbers in [first, upto).
    """
    clock = asyncio.get_running_loop().time
    began, sent, count = clock(), 0, len(partitions)
    while sent < count:
        upto = min(sent + step, count)
        if due is not None:
            await sender.settle()
            await asyncio.sleep(max(due[sent] - (clock() - began), 0))
            upto = min(upto, int(np.searchsorted(due, clock() - began + TICK, "right")))
        await sender.send(lines(sent, upto), partitions[sent:upto])
        sent = upto
    await sender.settle()
    return clock() - began


def due_times(times: NDArray[np.int64], rate: float | None, speed: float | None) -> NDArray[np.float64] | None:
    """Seconds after the start at which each record may go; None: at once. One out of order goes with the one before."""
    for name, value in (("rate", rate), ("speed", speed)):
        if value is not None and not value > 0:
            raise ConfigurationError(f"{name} {value} is not above 0")
    if rate is not None and speed is not None:
        raise ConfigurationError("give either a rate or a speed")
    if rate is not None:
        return np.arange(len(times), dtype=np.float64) / rate
    if speed is None or not len(times):
        return None
    times = np.maximum.accumulate(times)
    return np.asarray((times - times[0]) / (1000.0 * speed), np.float64)


def _partitions(frame: pd.DataFrame, count: int, kafka: Kafka) -> NDArray[np.int64]:
    """Partition of each bar. Where any will do (`as_is`), the one that murmur2 says."""
    kind = "murmur2" if kafka.partitioner == "as_is" else kafka.partitioner
    codes, symbols = pd.factorize(frame["symbol"])
    return np.array([partition_of(symbol.encode(), count, kind) for symbol in symbols], np.int64)[codes]


def _records(frame: pd.DataFrame) -> Iterator[Line]:
    opened, closed = frame["open_time"].tolist(), frame["close_time"].tolist()
    intervals = (
        frame["interval"].tolist()
        if "interval" in frame
        else [interval_name(end - start) for start, end in zip(opened, closed, strict=True)]
    )
    values = (frame[name].astype(np.float64).tolist() for name in COLUMNS)
    for symbol, interval, start, end, *prices in zip(
        frame["symbol"].tolist(), intervals, opened, closed, *values, strict=True
    ):
        yield symbol.encode(), encode(Bar(symbol, interval, start, end, *prices)), end


def interval_name(length: int) -> str:
    """Shortest name of an interval of `length` ms: ``1h`` for 3,600,000; `ConfigurationError` unless whole seconds."""
    try:
        return name_of_length(length)
    except ValueError as error:
        raise ConfigurationError(f"close_time minus open_time is {error}") from None


class Sender:
    """Batches on their way; every acknowledgement is awaited, and one that fails ends the whole."""

    def __init__(self, producer: "AIOKafkaProducer", topic: str, progress: Progress | None) -> None:
        self._producer = producer
        self._topic = topic
        self._progress = progress or (lambda count: None)
        self._waiting: deque[tuple[asyncio.Future[Any], int]] = deque()

    async def send(self, lines: Iterable[Line], partitions: NDArray[np.int64]) -> None:
        batches: dict[int, BatchBuilder] = {}
        for (key, value, time), partition in zip(lines, partitions.tolist(), strict=True):
            batch = batches.get(partition)
            if batch is None or batch.append(key=key, value=value, timestamp=time) is None:
                if batch is not None:
                    await self._submit(batch, partition)
                batches[partition] = batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=time)
        for partition, batch in batches.items():
            await self._submit(batch, partition)

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
        """Wait until the broker has everything that was sent."""
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
