"""The topic `control`, partition 0: control requests are sent there, read by every worker, and answered."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from schemas.errors import BadRecord, BrokerError
from schemas.wire import (
    Answer,
    Applied,
    ControlRecord,
    Placed,
    Wish,
    decode_control,
    encode,
)
from streams.kafka.clients import open_consumer, open_producer, read_partition_to_end
from streams.kafka.refusals import refused_write
from streams.kafka.topics import topic_name
from streams.publishing.writer import PRODUCER, Record, Writer
from streams.requests.control_requests import ControlRequests
from streams.requests.symbol_places import SymbolPlaces

log = logging.getLogger("alphawire.control")

WAIT_MS = 500
AGAIN = 1.0
"""Seconds until a broker that is away is asked again."""
LOOK = 0.2


class RequestFollower:
    """Hands each control request to the worker's `ControlRequests`, and answers it: up to the end of the log when it is
    asked to, and in the background. What the log says of symbols goes to `places`.
    """

    def __init__(self, kafka: Kafka, requests: ControlRequests, writer: Writer, places: SymbolPlaces) -> None:
        self._kafka, self._requests, self._writer, self._places = kafka, requests, writer, places
        self._topic = topic_name(kafka, "control")
        self._name = f"{socket.gethostname()[:100]}-{os.getpid()}"
        self.group: str | None = None
        """The consumer group that works on the topics, as the newest `applied` says."""
        self._next = 0
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """Reads what was requested before the start. A request that some worker accepted is not answered once more."""
        requests: list[Wish] = []
        answered: set[str] = set()
        async for record in read_partition_to_end(self._kafka, self._topic, 0, isolation="read_committed"):
            self._next = record.offset + 1
            message = self._message(record)
            if isinstance(message, Answer):
                answered.add(message.wish)
            elif message is not None and self._requests.concerns(message):
                requests.append(message)
        reasons = await asyncio.to_thread(self._requests.begin, requests)
        for request in requests:
            reason = reasons.get(request.id)
            if reason is not None or (request.id in reasons and request.id not in answered):
                await self._answer(request, reason)

    async def catch_up(self) -> None:
        """Reads and judges all that the log holds now."""
        async with self._lock:
            async for record in read_partition_to_end(
                self._kafka, self._topic, 0, self._next, isolation="read_committed"
            ):
                await self._read(record)

    async def follow(self) -> None:
        """Reads and judges what comes, until it is cancelled."""
        while True:
            try:
                await self._follow()
            except (BrokerError, KafkaError) as error:
                log.warning("control requests cannot be read for now: %s", error)
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
                        await self._read(record)

    async def _read(self, record: Any) -> None:
        if record.offset < self._next:  # read already, at a rebalance
            return
        self._next = record.offset + 1
        request = self._message(record)
        if request is None or isinstance(request, Answer) or not self._requests.concerns(request):
            return
        began = time.monotonic()
        reason = await asyncio.to_thread(self._requests.take, request)
        if reason is None:
            log.info("%s: accepted after %.2f s: %s", request.strategy, time.monotonic() - began, describe(request))
            self._requests.announce(request.strategy)
        await self._answer(request, reason)

    def _message(self, record: Any) -> Wish | Answer | None:
        message = _decoded(record)
        if isinstance(message, Placed):
            self._places.take(message)
        elif isinstance(message, Applied) and message.group is not None:
            self.group = message.group
        return _request_or_answer(message)

    async def _answer(self, request: Wish, reason: str | None) -> None:
        if reason is not None:
            log.warning("%s: refused: %s: %s", request.strategy, describe(request), reason)
        answer = Answer(request.id, request.strategy, self._name, reason is None, reason and reason[:1000])
        await self._writer.write(0, [Record(self._topic, request.strategy.encode(), encode(answer))])


def _decoded(record: Any) -> ControlRecord | None:
    """What is on the topic; a record that cannot be read is logged and ignored."""
    try:
        return decode_control(record.value)
    except BadRecord as bad:
        log.warning("the record %d of %s/0 is no control request; ignored: %s", record.offset, record.topic, bad)
        return None


def _request_or_answer(message: ControlRecord | None) -> Wish | Answer | None:
    return message if isinstance(message, Wish | Answer) else None


def describe(request: Wish) -> str:
    """The request in words."""
    kind = str(request.__struct_config__.tag)
    model = f" {getattr(request, 'artifact', None) or 'the configured model'}" if kind == "use" else ""
    when = "at once" if request.from_time is None else f"from time {request.from_time} on"
    return f"{kind}{model} {when}"


async def send(kafka: Kafka, request: Wish) -> int:
    """Sends a control request; its offset on `control`, partition 0."""
    async with open_producer(kafka, **PRODUCER) as producer:
        return await send_by(producer, kafka, request)


async def send_by(producer: AIOKafkaProducer, kafka: Kafka, request: Wish) -> int:
    """The same by a producer that is open already."""
    topic = topic_name(kafka, "control")
    try:
        sent = await producer.send_and_wait(topic, encode(request), request.strategy.encode(), partition=0)
    except KafkaError as error:
        fault = f"the broker did not take the request for {topic}: {error}"
        raise refused_write(error, topic) or BrokerError(fault) from error
    offset: int = sent.offset
    return offset


async def answers(
    kafka: Kafka, request: Wish, offset: int, workers: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> list[Answer]:
    """The answers to the request at `offset`, until there are as many as `workers` or `seconds` have passed."""
    end, heard = clock() + seconds, list[Answer]()
    while len(heard) < workers and clock() < end:
        async for record in read_partition_to_end(
            kafka, topic_name(kafka, "control"), 0, offset, isolation="read_committed"
        ):
            offset = record.offset + 1
            message = _request_or_answer(_decoded(record))
            if isinstance(message, Answer) and message.wish == request.id:
                heard.append(message)
        await asyncio.sleep(LOOK)
    return heard
