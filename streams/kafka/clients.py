"""Kafka clients with our settings, deadlines, and errors that say the mend."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from schemas.configuration import Kafka
from schemas.errors import BrokerError
from streams.kafka.client_logging import quiet_aiokafka
from streams.kafka.credentials import credentials
from streams.kafka.gaps import Gaps
from streams.kafka.refusals import refusal

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

CONNECT_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
DELIVERY_TIMEOUT = 30.0
WATERMARK_LOOK = 0.002
READER: "dict[str, Any]" = {"fetch_max_wait_ms": 500, "retry_backoff_ms": 20}
"""Of clients that read up to the end of a log. Tansu searches for records only as long as a fetch's wait lasts, and
takes longer with each batch on the log: a short one would end with nothing. All that is asked for is there, so no fetch
whose answer counts ever waits. A client knows nothing of a topic at first, and asks again after the backoff.
"""


def client_settings(kafka: Kafka) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes: where the broker is, and how to be let in.

    Raises
    ------
    ConfigurationError
        For a password that would travel in the clear to another machine, or a file that cannot be read.
    """
    return {
        "bootstrap_servers": kafka.bootstrap,
        "client_id": "alphawire",
        "security_protocol": kafka.security,
        **credentials(kafka),
    }


class Client(Protocol):
    async def start(self) -> None: ...


@contextlib.asynccontextmanager
async def open_consumer(kafka: Kafka, *topics: str, **options: Any) -> AsyncIterator["AIOKafkaConsumer"]:
    """A started `AIOKafkaConsumer` of `topics` (none: assign partitions yourself), stopped at the end.

    Raises
    ------
    BrokerError
        When no broker answers within 10 s.
    """
    from aiokafka import AIOKafkaConsumer

    from streams.kafka.header_repair import read_tolerantly

    read_tolerantly()
    options = {"enable_auto_commit": False, **options}
    async with _opened(AIOKafkaConsumer(*topics, **client_settings(kafka), **options), kafka) as consumer:
        yield consumer


@contextlib.asynccontextmanager
async def open_producer(kafka: Kafka, **options: Any) -> AsyncIterator["AIOKafkaProducer"]:
    """A started `AIOKafkaProducer` that waits for all replicas and compresses as `kafka.compression` says, stopped at
    the end.

    Raises
    ------
    BrokerError
        When no broker answers within 10 s.
    """
    from aiokafka import AIOKafkaProducer

    codec = None if kafka.compression == "none" else kafka.compression
    options = {
        "acks": "all", "request_timeout_ms": int(DELIVERY_TIMEOUT * 1000), "compression_type": codec, **options
    }  # fmt: skip
    async with _opened(AIOKafkaProducer(**client_settings(kafka), **options), kafka) as producer:
        yield producer


@contextlib.asynccontextmanager
async def open_admin(kafka: Kafka) -> AsyncIterator["AIOKafkaAdminClient"]:
    """A started admin client.

    Raises
    ------
    BrokerError
        When no broker answers within 10 s, or while it is used.
    """
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaAdminClient(**client_settings(kafka), request_timeout_ms=int(CONNECT_TIMEOUT * 1000))
    with quiet_aiokafka():
        async with _opened(client, kafka) as admin:
            try:
                yield admin
            except (KafkaError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                raise BrokerError(f"the broker at {kafka.bootstrap} refuses: {reason}") from error


@contextlib.asynccontextmanager
async def _opened(client: Any, kafka: Kafka) -> AsyncIterator[Any]:
    try:
        await _start(client, kafka)
        yield client
    finally:
        await _stop(client)


async def _start(client: Any, kafka: Kafka) -> None:
    from aiokafka.errors import KafkaConnectionError, KafkaError

    with quiet_aiokafka() as warnings:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await client.start()
        except (KafkaConnectionError, OSError, TimeoutError) as error:
            raise unreachable(kafka, warnings[-1] if warnings else str(error)) from None
        except KafkaError as error:
            raise BrokerError(
                f"the broker at {kafka.bootstrap} refuses: {warnings[-1] if warnings else error}"
            ) from error
        except AssertionError:
            if _connections(client).cluster.brokers():
                raise
            # of aiokafka, which asks for a coordinator: a broker that has just started answers that there is none yet
            raise unreachable(kafka, "it knows of no broker yet, itself included") from None


def _connections(client: Any) -> Any:
    """aiokafka's own client in one of its producers, consumers or administrators."""
    return client.client if hasattr(client, "client") else client._client


async def gives_producer_ids(kafka: Kafka) -> bool:
    """Does the broker give producers ids, as transactions and idempotent sends need? (Tansu does not.)

    Raises
    ------
    BrokerError
        When no broker answers within 10 s.
    """
    from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TransactionalIdAuthorizationFailed

    denied = (ClusterAuthorizationFailedError, TransactionalIdAuthorizationFailed)
    try:
        async with open_producer(kafka, enable_idempotence=True):
            return True
    except BrokerError as error:
        # what is not allowed is there: without this a missing permission would silently cost exactly once
        if isinstance(error.__cause__, KafkaError) and not isinstance(error.__cause__, denied):
            return False
        raise


def unreachable(kafka: Kafka, reason: str = "") -> BrokerError:
    if meaning := refusal(kafka, reason):
        return BrokerError(f"the broker at {kafka.bootstrap} refuses: {meaning} ({reason.rstrip(': ')})")
    detail = f" ({reason})" if reason else ""
    mend = "start one (`alphawire broker`) or name yours with --bootstrap"
    return BrokerError(f"no Kafka broker answers at {kafka.bootstrap}{detail}; {mend}")


async def _stop(client: Any) -> None:
    """Stop a client in a task of its own.

    aiokafka's `stop` soon after `start` cancels tasks that have not begun, whose `CancelledError` would otherwise
    end the caller's task as if someone had cancelled that.
    """
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(client.close() if hasattr(client, "close") else client.stop())
    await asyncio.wait({stopping}, timeout=STOP_TIMEOUT)
    if not stopping.done():
        stopping.cancel()
    if stopping.cancelled() or not stopping.done():
        await _connections(client).close()
    elif (error := stopping.exception()) is not None:
        logging.getLogger(__name__).debug("stopping a Kafka client: %r", error)


async def offset_range(
    kafka: Kafka, topic: str, partition: int, isolation: str = "read_uncommitted"
) -> tuple[int, int]:
    """Offset of the oldest record of a partition, and of the one that would come next.

    With ``isolation="read_committed"`` the second is that of the oldest open transaction, if there is one. Use this
    and not the consumer's `end_offsets` or `seek_to_end`: Tansu 0.6 answers these with the **first** offset of the
    last batch plus one (seen).

    Raises
    ------
    BrokerError
        When no broker answers or the topic does not exist.
    """
    from aiokafka import TopicPartition

    async with open_consumer(kafka, isolation_level=isolation, **READER) as consumer:
        return await _range(consumer, TopicPartition(topic, partition), isolation, kafka)


async def _range(consumer: "AIOKafkaConsumer", at: "TopicPartition", isolation: str, kafka: Kafka) -> tuple[int, int]:
    """Leaves `at` assigned when it has records."""
    from aiokafka.errors import KafkaError

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if at.topic not in await consumer.topics():
                raise BrokerError(
                    f"topic {at.topic} does not exist at {kafka.bootstrap}; create it with `alphawire topics create`"
                )
            oldest: int = (await consumer.beginning_offsets([at]))[at]
            listed: int = (await consumer.end_offsets([at]))[at]
            if listed <= oldest:
                return oldest, oldest
            consumer.assign([at])
            consumer.seek(at, listed - 1)
            watermark = consumer.last_stable_offset if isolation == "read_committed" else consumer.highwater
            while (end := watermark(at)) is None:
                if at in consumer._fetcher._records:  # and it has no watermark: an error
                    await consumer.getmany(at, timeout_ms=20)
                # What has come is not taken: the client would at once ask for more, which the broker, at the end of
                # the log, answers when that fetch's wait is over; and what is sought next would wait for it.
                await asyncio.sleep(WATERMARK_LOOK)
            return oldest, max(end, listed)
    except (KafkaError, TimeoutError) as error:
        raise unreachable(kafka, f"asking for {at.topic}/{at.partition}: {error or 'no answer'}") from None


async def read_batches_to_end(
    kafka: Kafka,
    topic: str,
    partition: int,
    start: int = 0,
    isolation: str = "read_uncommitted",
    gaps: Gaps | None = None,
) -> AsyncGenerator[list["ConsumerRecord[bytes | None, bytes | None]"], None]:
    """Like `read_partition_to_end`, but a list of records at a time, which costs less; `gaps` collects the offsets from
    `start` on that hold no records any more.
    """
    from aiokafka import TopicPartition

    at = TopicPartition(topic, partition)
    options = {"max_partition_fetch_bytes": 4 << 20, "auto_offset_reset": "earliest", **READER}
    if gaps:
        from streams.kafka.gaps.detection import watch_gaps

        watch_gaps()
        options["key_deserializer"] = gaps
    async with open_consumer(kafka, isolation_level=isolation, **options) as consumer:
        oldest, end = await _range(consumer, at, isolation, kafka)
        position = max(start, oldest)
        if gaps:
            gaps.begin(start, position, end)
        if position < end:
            consumer.seek(at, position)
        clock = asyncio.get_running_loop().time
        progressed = clock()
        while position < end:
            fetched = await consumer.getmany(at, timeout_ms=200)
            if records := [record for record in fetched.get(at, ()) if record.offset < end]:
                yield records
            # the position also passes what is never given out: control records, aborted transactions, gaps
            if (reached := await consumer.position(at)) > position:
                position, progressed = reached, clock()
            elif clock() - progressed > READ_TIMEOUT:
                raise unreachable(
                    kafka,
                    f"{topic}/{partition}: nothing for {READ_TIMEOUT:.0f} s at offset {position}, which ends at {end}",
                )
        if gaps:
            gaps.reach(end, end)


async def read_partition_to_end(
    kafka: Kafka, topic: str, partition: int, start: int = 0, isolation: str = "read_uncommitted"
) -> AsyncGenerator["ConsumerRecord[bytes | None, bytes | None]", None]:
    """Records of one partition from offset `start` up to the end that it had when this began.

    It ends on empty topics, on compacted ones with gaps, and where the last records are a transaction's markers; with
    ``isolation="read_committed"`` the end is that of the last transaction that is complete.

    Raises
    ------
    BrokerError
        When no broker answers, the topic does not exist, or nothing comes for 30 s.
    """
    async with contextlib.aclosing(read_batches_to_end(kafka, topic, partition, start, isolation)) as batches:
        async for records in batches:
            for record in records:
                yield record
