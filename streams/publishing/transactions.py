"""Writers whose every write is one transaction, one for each partition that is owned."""

import asyncio
import contextlib
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer import sender

from schemas.configuration import Kafka
from streams.kafka.clients import open_producer
from streams.process.failpoints import failpoint
from streams.publishing.writer import PRODUCER, Output, Writer

OPEN_SECONDS = 5.0
"""For which a transaction that nothing was written in stays open; the coordinator aborts one after 60 s."""
CLOSE_SECONDS = 1.0
sender.BACKOFF_OVERRIDE = 0.002
"""Seconds until aiokafka asks again for a transaction's partitions, while the coordinator still ends the one before.
That takes some milliseconds; most of aiokafka's own 20 would be spent waiting for nothing.
"""


class TransactionalWriter(Writer):
    """Each write is one transaction: all of it is on the log, or nothing.

    After an error its outcome may be unknown, so the process must end and nothing may be tried again: a client that
    goes on can tear or lose transactions (Jepsen, Bufstream 0.1.0, 2024).

    The next transaction is opened when one is committed: the coordinator is told of the partitions that the last one
    wrote to, so that the next write need not wait for its answer, nor for the end of the last one. It holds nothing
    then, so it hides nothing from readers. If nothing is written for a while it is aborted, long before the
    coordinator would do that and fence this producer.
    """

    transactional = True

    def __init__(self, producer: AIOKafkaProducer) -> None:
        super().__init__(producer)
        self._busy = asyncio.Lock()
        self._opened = False
        """Is a transaction open that nothing was written in?"""
        self._ending: asyncio.TimerHandle | None = None
        self._end: asyncio.Task[None] | None = None

    async def write(self, partition: int, records: Iterable[Output]) -> None:
        async with self._busy:
            await self._begin()
            await super().write(partition, records)
            failpoint("before_commit")
            await self._producer.commit_transaction()
            failpoint("after_commit")
            await self._open_next()

    async def _begin(self) -> None:
        self._leave_open()
        if not self._opened:
            await self._producer.begin_transaction()
            return
        self._opened = False
        failpoint("in_opened_transaction")
        transaction = self._producer._txn_manager
        if not transaction.is_in_transaction():  # what the opening met; a send would not say what that was
            await transaction.wait_for_transaction_end()

    async def _open_next(self) -> None:
        await self._producer.begin_transaction()
        for topic, place in self._places:
            self._producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic, place))
        self._opened = True
        self._ending = asyncio.get_running_loop().call_later(OPEN_SECONDS, self._end_soon)

    def _leave_open(self) -> None:
        if self._ending is not None:
            self._ending.cancel()

    def _end_soon(self) -> None:
        self._end = asyncio.ensure_future(self.end_unused())

    async def end_unused(self) -> None:
        """Aborts the transaction that was opened for a write which did not come. What goes wrong, the next write meets
        again.
        """
        async with self._busy:
            self._leave_open()
            if self._opened and self._producer._txn_manager.is_in_transaction():
                failpoint("before_unused_ends")
                with contextlib.suppress(KafkaError):
                    await self._producer.abort_transaction()
                    self._opened = False


async def end_unused(writer: Writer) -> None:
    """Before others may own what it writes to. Where the broker does not answer, the next owner's fencing ends it."""
    if isinstance(writer, TransactionalWriter):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await writer.end_unused()


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
        await end_unused(writer)
        await self._open.pop(id(writer)).aclose()
