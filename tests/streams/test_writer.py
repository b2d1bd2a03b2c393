"""What a writer is given is on the log, in order, or the error says why not."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable

import pytest
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from schemas.wire.control import Placed
from streams.consuming.intake import DeadLetter
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from streams.process.exits import Exit, cause
from streams.publishing.transactions import TransactionalWriterFactory
from streams.publishing.writer import (
    PRODUCER,
    Record,
    Writer,
    count_of,
    dead_record,
    placed_record,
)
from tests.support.memory import Fetched

MakeConfig = Callable[..., Kafka]
LEVELS = ("read_committed", "read_uncommitted")


async def written(kafka: Kafka, records: Iterable[Record]) -> None:
    await create_topics(kafka)
    async with open_producer(kafka, **PRODUCER) as producer:
        await Writer(producer).write(0, records)


async def on_the_log(kafka: Kafka, name: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
    read = read_partition_to_end(kafka, topic_name(kafka, name), partition)
    return [(record.key, record.value) async for record in read]


def test_each_partition_has_its_records_in_order_in_as_many_batches_as_it_takes(
    tansu: TansuBroker, kafka_config: MakeConfig
) -> None:
    kafka = kafka_config(tansu, partitions=2)
    large = bytes(300) * 1000  # two of them are more than a batch of 512 KB
    rows = [("signals", number % 3, b"%d" % number, large if number % 4 == 0 else b"s") for number in range(40)]
    rows += [("state", 2, b"x", b"y")]
    names = {name: topic_name(kafka, name) for name, *_ in rows}
    records = [Record(names[name], key, value, partition=[None, 0, 1][at]) for name, at, key, value in rows]

    async def run() -> dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]:
        await written(kafka, records)
        return {(name, place): await on_the_log(kafka, name, place) for name in names for place in (0, 1)}

    expected: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = {
        (name, place): [row[2:] for row in rows if row[0] == name and [0, 0, 1][row[1]] == place]
        for name in names
        for place in (0, 1)
    }
    assert asyncio.run(run()) == expected


def test_a_record_larger_than_a_batch_is_one_of_its_own(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(tansu)
    values = [b"before", bytes(600_000), b"after"]

    async def run() -> list[tuple[bytes | None, bytes | None]]:
        await written(kafka, [Record(topic_name(kafka, "signals"), b"key", value) for value in values])
        return await on_the_log(kafka, "signals", 0)

    assert asyncio.run(run()) == [(b"key", value) for value in values]


def test_what_the_broker_refuses_is_raised(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    config = kafka_config(kafka)
    without_key = Record(topic_name(config, "state"), None, b"value")  # the topic is compacted

    async def run() -> list[tuple[bytes | None, bytes | None]]:
        with pytest.raises(KafkaError):
            await written(config, [without_key])
        return await on_the_log(config, "state", 0)

    assert asyncio.run(run()) == []


def test_each_partition_and_track_is_fenced_by_itself(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    config = kafka_config(kafka)
    topic = topic_name(config, "signals")

    async def run() -> list[tuple[bytes | None, bytes | None]]:
        await create_topics(config)
        factory = TransactionalWriterFactory(config, topic)
        assert factory.exactly_once
        writers = [await factory.open(0), await factory.open(1), await factory.open(0, "news")]
        for number, writer in enumerate(writers):
            assert writer.transactional
            await writer.write(0, [Record(topic, b"%d" % number, b"first")])
        for writer in writers:
            await factory.close(writer)
        return await on_the_log(config, "signals", 0)

    assert asyncio.run(run()) == [(b"0", b"first"), (b"1", b"first"), (b"2", b"first")]


def test_a_former_owner_is_fenced(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    config = kafka_config(kafka)
    topic = topic_name(config, "signals")

    async def run() -> list[tuple[bytes | None, bytes | None]]:
        await create_topics(config)
        former, owner = [TransactionalWriterFactory(config, topic) for _ in range(2)]
        late = await former.open(0)
        await late.write(0, [Record(topic, b"key", b"former")])
        new = await owner.open(0)
        with pytest.raises(KafkaError) as fault:
            await late.write(0, [Record(topic, b"key", b"late")])
        assert cause(fault.value) is Exit.FENCED
        await new.write(0, [Record(topic, b"key", b"new")])
        await former.close(late)
        await owner.close(new)
        return await on_the_log(config, "signals", 0)

    assert asyncio.run(run()) == [(b"key", b"former"), (b"key", b"new")]


@pytest.mark.parametrize("size", [262_143, 262_144, 262_145])
def test_a_dead_letter_holds_256_kilobytes_of_key_and_value(size: int) -> None:
    whole = bytes(range(256)) * 1025
    record = Fetched(0, whole[:size], whole[1 : size + 1])
    dead = dead_record("dead-letters", DeadLetter(record, "undecodable", "why"))
    headers = dict(dead.headers)
    if size > 262_144:
        assert (dead.value, dead.key) == (whole[:262_144], whole[1:262_145])
        assert (headers["truncated"], headers["key-truncated"]) == (b"262145", b"262145")
        assert headers["sha256"] == hashlib.sha256(whole[:size]).hexdigest().encode()
    else:
        assert (dead.value, dead.key) == (record.value, record.key)
        assert not {"truncated", "key-truncated", "sha256"} & set(headers)


def test_a_reason_is_cut_at_a_thousand_characters() -> None:
    dead = dead_record("dead-letters", DeadLetter(Fetched(0, b"", b""), "undecodable", "0123456789" * 200))
    assert dict(dead.headers)["reason"] == b"0123456789" * 100


def test_a_size_is_that_of_key_and_value_and_64_bytes_for_the_rest() -> None:
    sizes = [Record("bars", key, value).size for key in (None, b"", b"key") for value in (None, b"value", bytes(1000))]
    assert sizes == [64, 69, 1064, 64, 69, 1064, 67, 72, 1067]


def test_a_record_counts_as_one() -> None:
    assert [count_of([Record("bars", None, None)] * number) for number in range(4)] == [0, 1, 2, 3]


def test_where_symbols_are_is_on_the_partition_that_all_follow() -> None:
    record = placed_record("control", Placed("bars", 7, ["AAPL"]))
    assert (record.partition, record.key) == (0, b"bars")
