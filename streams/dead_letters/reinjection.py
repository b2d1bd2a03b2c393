"""Puts dead letters back on the topic that they came from, each once.

On Apache Kafka the records and the marks of their letters are one transaction, whose id fences a replay that runs at
the same time. On a broker without transactions an intention goes on the log first; after a crash the partition that
it names is searched for the record.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from schemas.errors import BadRecord, BrokerError
from streams.consuming.decoding.decoders import Decoders
from streams.dead_letters.letters import (
    REPLAYED,
    REPLAYED_FROM,
    REPLAYING,
    Choice,
    Letter,
    Place,
    Selection,
    find_letters,
)
from streams.dead_letters.mending import Mend, Mended, mended
from streams.kafka.clients import gives_producer_ids, offset_range, open_producer, read_partition_to_end
from streams.kafka.log import KafkaLog
from streams.kafka.refusals import refused_write
from streams.kafka.topics import partition_count, topic_name
from streams.process.failpoints import failpoint
from streams.publishing.writer import PRODUCER, Record
from streams.recovery.state import load_control

BATCH = 500
"""Letters in one transaction, or with intentions at once."""

Placed = tuple[int, Record]
"""A record and the partition that it goes to."""


@dataclass
class Replayed:
    """What became of the chosen letters."""

    replayed: list[Mended] = field(default_factory=list)
    before: list[Place] = field(default_factory=list)
    """Put back by an earlier replay."""
    refused: list[tuple[Letter, str]] = field(default_factory=list)
    missing: list[Place] = field(default_factory=list)
    """Named, and not on the topic."""


async def _judged_otherwise(kafka: Kafka, result: Replayed) -> None:
    """Leaves out bars that the partitioner in force would refuse again, as nobody runs with the configured one yet."""
    log, bars = KafkaLog(kafka), topic_name(kafka, "bars")
    places = {item.partition for item in result.replayed if item.record.topic == bars}
    in_force = {number: (await load_control(log, number)).partitioners[-1:] for number in places}
    otherwise = {
        number: f"{changes[0].partitioner} is in force on {bars}/{number}; start the workers with kafka.partitioner:"
        f" {kafka.partitioner} first, which then holds from there on"
        for number, changes in in_force.items()
        if changes and changes[0].partitioner != kafka.partitioner
    }
    chosen, result.replayed = result.replayed, []
    for item in chosen:
        if item.record.topic == bars and item.partition in otherwise:
            result.refused.append((item.letter, otherwise[item.partition]))
        else:
            result.replayed.append(item)


async def replay_letters(kafka: Kafka, choice: Choice, mend: Mend, dry_run: bool = False) -> Replayed:
    """Puts the chosen letters back, by the time of their records; what would be refused again stays.

    Raises
    ------
    BrokerError
        When the broker does not answer, or another replay has taken over.
    """
    if dry_run:
        return await _sorted_out(await find_letters(kafka, choice), choice, mend, kafka, await partition_count(kafka))
    transactional = await gives_producer_ids(kafka)
    identity = f"alphawire-replay-{topic_name(kafka, 'dead-letters')}"
    # short, as an open transaction of a replay that died holds up every reader of the bars after it
    options = {"transactional_id": identity, "transaction_timeout_ms": 15_000} if transactional else {}
    partitions = await partition_count(kafka)
    async with open_producer(kafka, **PRODUCER, **options) as producer:
        # after the start, which fences another replay: what is not marked now no one else will put back
        selection = await find_letters(kafka, choice)
        result = await _sorted_out(selection, choice, mend, kafka, partitions)
        for first in range(0, len(result.replayed), BATCH):
            batch = result.replayed[first : first + BATCH]
            try:
                await (_in_a_transaction if transactional else _with_intentions)(kafka, producer, batch, selection)
            except (KafkaError, TimeoutError) as error:
                raise BrokerError(
                    f"the replay stopped after {first} letters: {error or type(error).__name__};"
                    " run it again: what was put back is marked, and is left out then"
                ) from None
    return result


async def _sorted_out(selection: Selection, choice: Choice, mend: Mend, kafka: Kafka, partitions: int) -> Replayed:
    result, decoder = Replayed(), Decoders(kafka.bars_source, KafkaLog(kafka).schemas).now
    await decoder.prepare([*(letter.value for letter in selection.letters), *mend.values.values()])
    for letter in sorted(selection.letters, key=lambda letter: (letter.timestamp, letter.place)):
        if letter.place in selection.replayed:
            result.before.append(letter.place)
            continue
        try:
            result.replayed.append(mended(kafka, partitions, letter, mend, decoder))
        except BadRecord as bad:
            result.refused.append((letter, bad.reason))
    named = choice.places | set(mend.values)
    result.missing = sorted(named - {letter.place for letter in selection.letters})
    await _judged_otherwise(kafka, result)
    return result


async def _in_a_transaction(
    kafka: Kafka, producer: AIOKafkaProducer, batch: Sequence[Mended], _selection: Selection
) -> None:
    await producer.begin_transaction()
    await _send(producer, [*_originals(kafka, batch), *_marks(kafka, batch)])
    failpoint("before_replay_commit")
    await producer.commit_transaction()


async def _with_intentions(
    kafka: Kafka, producer: AIOKafkaProducer, batch: Sequence[Mended], selection: Selection
) -> None:
    there = await _already_there(kafka, [item.letter for item in batch], selection)
    fresh = [item for item in batch if item.letter.place not in there]
    await _send(producer, await _intentions(kafka, fresh))
    failpoint("after_replay_intention")
    await _send(producer, _originals(kafka, fresh))
    failpoint("before_replay_marks")
    await _send(producer, _marks(kafka, batch))


async def _send(producer: AIOKafkaProducer, records: Iterable[Placed]) -> None:
    topics, futures = [], []
    try:
        for partition, record in records:
            futures.append(
                await producer.send(
                    record.topic,
                    record.value,
                    record.key,
                    partition,
                    timestamp_ms=record.timestamp,
                    headers=list(record.headers),
                )
            )
            topics.append(record.topic)
    finally:
        results = await asyncio.gather(*futures, return_exceptions=True)
    for topic, result in zip(topics, results, strict=True):
        if isinstance(result, BaseException):
            raise refused_write(result, topic) or result


def _name(kafka: Kafka, place: Place) -> bytes:
    return f"{topic_name(kafka, 'dead-letters')}/{place}".encode()


def _originals(kafka: Kafka, batch: Iterable[Mended]) -> Iterable[Placed]:
    for item in batch:
        headers = ((REPLAYED_FROM, _name(kafka, item.letter.place)),)
        yield item.partition, msgspec.structs.replace(item.record, headers=headers)


def _marks(kafka: Kafka, batch: Iterable[Mended]) -> Iterable[Placed]:
    for item in batch:
        yield _note(kafka, item.letter, ((REPLAYED, str(item.letter.place).encode()),))


async def _intentions(kafka: Kafka, batch: Sequence[Mended]) -> list[Placed]:
    ends = {
        target: (await offset_range(kafka, *target))[1] for target in {(i.record.topic, i.partition) for i in batch}
    }
    notes = []
    for item in batch:
        end = ends[item.record.topic, item.partition]
        headers = (
            (REPLAYING, str(item.letter.place).encode()),
            ("to", str(Place(item.partition, end)).encode()),
        )
        notes.append(_note(kafka, item.letter, headers))
    return notes


def _note(kafka: Kafka, letter: Letter, headers: tuple[tuple[str, bytes], ...]) -> Placed:
    note = Record(topic_name(kafka, "dead-letters"), letter.key, None, letter.timestamp, headers)
    return letter.place.partition, note


async def _already_there(kafka: Kafka, letters: Sequence[Letter], selection: Selection) -> set[Place]:
    """Letters that a replay which did not come to its end had put back."""
    begins: dict[tuple[str, int], int] = {}
    wanted = {}
    for letter in letters:
        for partition, offset in selection.begun.get(letter.place, {}).items():
            target = (letter.topic, partition)
            begins[target] = min(offset, begins.get(target, offset))
            wanted[_name(kafka, letter.place)] = letter.place
    there = set()
    for (topic, partition), begin in begins.items():
        async for record in read_partition_to_end(kafka, topic, partition, begin):
            there |= {wanted[value] for name, value in record.headers if name == REPLAYED_FROM and value in wanted}
    return there
