"""Records, and the writers that put them on the log: every future is kept and awaited."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer

from plugins.pipeline.records.signals import Signals
from schemas.wire import Applied, Placed, ShadowPrediction, Signal, decode_signal, encode
from schemas.wire.avro_signals import to_avro
from schemas.wire.cross_sections import PredictionRecord
from streams.consuming.intake import DeadLetter
from streams.kafka.partitioner import partition_of
from streams.kafka.refusals import refused_write
from streams.kafka.row_batches import RecordRows, RowBatch
from streams.kafka.topics.specs import LARGEST_BATCH
from streams.process import trace
from streams.process.failpoints import failpoint
from streams.publishing.topic_names import TopicNames

MAX_DEAD_LETTER = 256 * 1024
PRODUCER = {"max_batch_size": LARGEST_BATCH, "max_request_size": 16 << 20, "linger_ms": 0, "retry_backoff_ms": 20}
"""Settings of every producer that publishes: batches are made here, and nothing waits."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to write; `partition`: where, if not where the owner writes all."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None

    @property
    def size(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + 64


Output = Record | RecordRows
"""What is to be written: one record, or rows of signals."""


def count_of(output: Iterable[Output]) -> int:
    """How many records it comes to."""
    return sum(len(each) if isinstance(each, RecordRows) else 1 for each in output)


def each_record(output: Iterable[Output]) -> Iterator[Record]:
    """All of it as records."""
    for each in output:
        if isinstance(each, RecordRows):
            yield from (Record(each.topic, *row) for row in each.key_values())
        else:
            yield each


def signal_rows(names: TopicNames, signals: Signals) -> list[Output]:
    """Signals as they are written: rows of JSON, or records in Avro."""
    rows: list[Output] = [RecordRows(names.signals, columns.rendered()) for columns in signals.columns if len(columns)]
    number = names.signal_schema
    if number is None:
        return rows
    in_json = list(each_record(rows))
    return [msgspec.structs.replace(each, value=to_avro(decode_signal(each.value), number)) for each in in_json]


def shadow_record(topic: str, prediction: ShadowPrediction) -> Record:
    return Record(topic, prediction.strategy.encode(), encode(prediction), prediction.time)


@lru_cache(maxsize=1024)
def home(strategy: str, partitions: int) -> int:
    """The partition of `predictions` that holds a strategy's cross-sections, whatever produces the bars."""
    return partition_of(strategy.encode(), partitions, "murmur2")


def prediction_record(topic: str, partitions: int, value: PredictionRecord) -> Record:
    """On the home partition of its strategy."""
    key, partition = value.strategy.encode(), home(value.strategy, partitions)
    return Record(topic, key, encode(value), value.time, partition=partition)


def cross_section_signal_record(names: TopicNames, signal: Signal) -> Record:
    """On the partition of the symbol's bars, wherever it was decided."""
    place, number = signal.provenance.partition, names.signal_schema
    value = encode(signal) if number is None else to_avro(signal, number)
    return Record(names.signals, signal.content.symbol.encode(), value, signal.content.time, partition=place)


def applied_record(topic: str, applied: Applied) -> Record:
    return Record(topic, applied.strategy.encode(), encode(applied))


def placed_record(topic: str, placed: Placed) -> Record:
    """On the partition that every worker follows."""
    return Record(topic, placed.topic.encode(), encode(placed), partition=0)


def dead_record(topic: str, dead: DeadLetter, partition: int | None = None) -> Record:
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
    key = record.key
    if key is not None and len(key) > MAX_DEAD_LETTER:
        headers.append(("key-truncated", str(len(key)).encode()))
        key = key[:MAX_DEAD_LETTER]
    return Record(topic, key, value, record.timestamp, tuple(headers), partition)


class Writer:
    """Writes an owner's records, in order on each partition, and returns when the broker has acknowledged them all: at
    least once.

    Owners that share a producer take turns at a partition. The producer holds one batch of it at a time, and a sender
    that waits behind others times out long before its time: aiokafka subtracts the whole wait again for each batch that
    goes first.
    """

    transactional = False

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, partition: int, records: Iterable[Output]) -> None:
        """Those that name no partition go to `partition`. Raises what the broker answered when any was not
        acknowledged: `ConfigurationError` for what a setting or a right refuses, as it would after a restart.
        """
        topics, futures = [], []
        try:
            for (topic, place), batch in self._batches(partition, records):
                async with self._turns[topic, place]:
                    futures.append(await self._producer.send_batch(batch, topic, partition=place))
                    topics.append(topic)
            failpoint("after_send")
            trace.note_write("sent")
        finally:
            results = await asyncio.gather(*futures, return_exceptions=True)
        trace.note_write("acknowledged")
        for topic, result in zip(topics, results, strict=True):
            if isinstance(result, BaseException):
                raise refused_write(result, topic) or result

    def _batches(self, partition: int, records: Iterable[Output]) -> Iterable[tuple[tuple[str, int], Any]]:
        """The records packed by topic and partition, in order within each."""
        open_batches: dict[tuple[str, int], Any] = {}
        for record in records:
            place = record.topic, partition if record.partition is None else record.partition
            rest: Output | None = record
            while rest is not None:
                batch = open_batches.get(place)
                if batch is not None and isinstance(batch, RowBatch) != isinstance(rest, RecordRows):
                    yield place, open_batches.pop(place)
                    batch = None
                if batch is None:
                    batch = open_batches[place] = self._new_batch(rest)
                if (rest := _fill(batch, rest)) is not None:
                    yield place, open_batches.pop(place)
        yield from open_batches.items()

    def _new_batch(self, record: "Output") -> Any:
        return RowBatch(self._producer) if isinstance(record, RecordRows) else self._producer.create_batch()


class WriterFactory(Protocol):
    """Gives each partition that is taken over its writer."""

    exactly_once: bool

    async def open(self, partition: int, track: str = "") -> Writer:
        """With transactions this is what fences the former owner, so it comes before its state is read."""

    async def close(self, writer: Writer) -> None: ...


class SharedWriterFactory:
    """One producer for all: at least once."""

    exactly_once = False

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def open(self, partition: int, track: str = "") -> Writer:
        return self._writer

    async def close(self, writer: Writer) -> None:
        """The producer belongs to whoever made it."""


def _fill(batch: Any, record: Output) -> Output | None:
    """What there was no room for; the first of a batch fits, however large it is."""
    if isinstance(record, RecordRows):
        return record.later(batch.extend(record))
    headers = list(record.headers)
    added = batch.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers)
    return record if added is None else None
