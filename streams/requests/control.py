"""The topic `control`, partition 0: wishes are sent there, followed by every worker, and answered."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from schemas.errors import BadRecord, BrokerError
from schemas.wire import Answer, Applied, ControlRecord, Wish, decode_control, encode
from streams.kafka.clients import open_consumer, open_producer, read_partition_to_end
from streams.kafka.topics import topic_name
from streams.publishing.writer import PRODUCER, Record, Writer
from streams.requests.control_requests import ControlRequests

log = logging.getLogger("alphawire.control")

WAIT_MS = 500
AGAIN = 1.0
"""Seconds until a broker that is away is asked again."""
LOOK = 0.2


class RequestFollower:
    """Hands each wish to the worker's book of them, and answers it; by hand up to the end of the log, and in the
    background.
    """

    def __init__(self, kafka: Kafka, wishes: ControlRequests, writer: Writer) -> None:
        self._kafka, self._wishes, self._writer = kafka, wishes, writer
        self._topic = topic_name(kafka, "control")
        self._name = f"{socket.gethostname()[:100]}-{os.getpid()}"
        self._next = 0
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """What was wished before the start. A wish that was accepted somewhere is not answered once more."""
        wishes: list[Wish] = []
        answered: set[str] = set()
        async for record in read_partition_to_end(self._kafka, self._topic, 0, isolation="read_committed"):
            self._next = record.offset + 1
            found = _control(record)
            if isinstance(found, Answer):
                answered.add(found.wish)
            elif found is not None and self._wishes.concerns(found):
                wishes.append(found)
        reasons = await asyncio.to_thread(self._wishes.begin, wishes)
        for wish in wishes:
            reason = reasons.get(wish.id)
            if reason is not None or (wish.id in reasons and wish.id not in answered):
                await self._answer(wish, reason)

    async def catch_up(self) -> None:
        """All that the log holds now is heard, and judged."""
        async with self._lock:
            async for record in read_partition_to_end(
                self._kafka, self._topic, 0, self._next, isolation="read_committed"
            ):
                await self._hear(record)

    async def follow(self) -> None:
        """For as long as it is let."""
        while True:
            try:
                await self._follow()
            except (BrokerError, KafkaError) as error:
                log.warning("wishes cannot be heard for now: %s", error)
            await asyncio.sleep(AGAIN)

    async def _follow(self) -> None:
        at = TopicPartition(self._topic, 0)
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "fetch_max_wait_ms": WAIT_MS}
        async with open_consumer(self._kafka, **options) as consumer:
            consumer.assign([at])
            consumer.seek(at, self._next)
            while True:
                fetched = await consumer.getmany(at, timeout_ms=2 * WAIT_MS)
                async with self._lock:
                    for record in fetched.get(at, ()):
                        await self._hear(record)

    async def _hear(self, record: Any) -> None:
        if record.offset < self._next:  # heard already, at a rebalance
            return
        self._next = record.offset + 1
        wish = _control(record)
        if wish is None or isinstance(wish, Answer) or not self._wishes.concerns(wish):
            return
        began = time.monotonic()
        reason = await asyncio.to_thread(self._wishes.take, wish)
        if reason is None:
            log.info("%s: accepted after %.2f s: %s", wish.strategy, time.monotonic() - began, told(wish))
            self._wishes.announce(wish.strategy)
        await self._answer(wish, reason)

    async def _answer(self, wish: Wish, reason: str | None) -> None:
        if reason is not None:
            log.warning("%s: refused: %s: %s", wish.strategy, told(wish), reason)
        answer = Answer(wish.id, wish.strategy, self._name, reason is None, reason and reason[:1000])
        await self._writer.write(0, [Record(self._topic, wish.strategy.encode(), encode(answer))])


def _control(record: Any) -> Wish | Answer | None:
    """A wish or an answer; what is neither, and not `applied`, is told and ignored."""
    try:
        found: ControlRecord = decode_control(record.value)
    except BadRecord as bad:
        log.warning("the record %d of %s/0 is no wish, and is ignored: %s", record.offset, record.topic, bad)
        return None
    return None if isinstance(found, Applied) else found


def told(wish: Wish) -> str:
    """The wish in words."""
    kind = str(wish.__struct_config__.tag)
    what = f" {getattr(wish, 'artifact', None) or 'the configured model'}" if kind == "use" else ""
    when = "at once" if wish.from_time is None else f"from time {wish.from_time} on"
    return f"{kind}{what} {when}"


async def send(kafka: Kafka, wish: Wish) -> int:
    """Its offset on `control`, partition 0."""
    async with open_producer(kafka, **PRODUCER) as producer:
        return await send_by(producer, kafka, wish)


async def send_by(producer: AIOKafkaProducer, kafka: Kafka, wish: Wish) -> int:
    """The same by a producer that is there already."""
    topic = topic_name(kafka, "control")
    sent = await producer.send_and_wait(topic, encode(wish), wish.strategy.encode(), partition=0)
    offset: int = sent.offset
    return offset


async def answers(
    kafka: Kafka, wish: Wish, offset: int, workers: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> list[Answer]:
    """The answers to the wish at `offset`, until there are as many as `workers` or `seconds` have passed."""
    end, found = clock() + seconds, list[Answer]()
    while len(found) < workers and clock() < end:
        async for record in read_partition_to_end(
            kafka, topic_name(kafka, "control"), 0, offset, isolation="read_committed"
        ):
            offset = record.offset + 1
            found += _to(wish.id, [record])
        await asyncio.sleep(LOOK)
    return found


def _to(identity: str, records: Iterable[Any]) -> list[Answer]:
    found = [_control(record) for record in records]
    return [answer for answer in found if isinstance(answer, Answer) and answer.wish == identity]
