"""Writers whose every write is one transaction, one for each partition that is owned."""

import contextlib
from collections.abc import Iterable

from aiokafka.producer import sender

from schemas.configuration import Kafka
from streams.kafka.clients import open_producer
from streams.process.failpoints import failpoint
from streams.publishing.writer import PRODUCER, Output, Writer

sender.BACKOFF_OVERRIDE = 0.002
"""Seconds until aiokafka asks again for a transaction's partitions, while the coordinator still ends the one before.
That takes some milliseconds; most of aiokafka's own 20 would be spent waiting for nothing.
"""


class TransactionalWriter(Writer):
    """Each write is one transaction: all of it is on the log, or nothing.

    After an error its outcome may be unknown, so the process must end and nothing may be tried again: a client that
    goes on can tear or lose transactions (Jepsen, Bufstream 0.1.0, 2024).
    """

    transactional = True

    async def write(self, partition: int, records: Iterable[Output]) -> None:
        await self._producer.begin_transaction()
        await super().write(partition, records)
        failpoint("before_commit")
        await self._producer.commit_transaction()
        failpoint("after_commit")


class TransactionalWriterFactory:
    """A producer for each partition, with a transactional id of the partition's own: exactly once for readers with
    ``read_committed``. The id is of the topic and not of the consumer group: a second group shuts the first one out.
    """

    exactly_once = True

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._open: dict[int, contextlib.AsyncExitStack] = {}

    async def open(self, partition: int, track: str = "") -> Writer:
        stack = contextlib.AsyncExitStack()
        identity = f"alphawire-{self._topic}-{partition}{track and f'-{track}'}"
        producer = await stack.enter_async_context(open_producer(self._kafka, transactional_id=identity, **PRODUCER))
        failpoint("after_fencing")
        writer = TransactionalWriter(producer)
        self._open[id(writer)] = stack
        return writer

    async def close(self, writer: Writer) -> None:
        await self._open.pop(id(writer)).aclose()
