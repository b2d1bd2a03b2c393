"""Clients with deadlines, and reading a partition to its end."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient

from schemas.configuration import Kafka, load_config
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.clients import (
    client_settings,
    gives_producer_ids,
    offset_range,
    open_admin,
    open_consumer,
    open_producer,
    read_batches_to_end,
    read_partition_to_end,
)
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline

MakeConfig = Callable[..., Kafka]


async def put(kafka: Kafka, *sizes: int, **options: Any) -> None:
    """Batches of that many records on partition 0 of `signals`; values count on from 0."""
    number = 0
    async with open_producer(kafka, max_batch_size=1 << 20, **options) as producer:
        for size in sizes:
            batch = producer.create_batch()
            for _ in range(size):
                assert batch.append(key=b"k", value=str(number).encode(), timestamp=number + 1) is not None
                number += 1
            batch.close()
            await (await producer.send_batch(batch, topic_name(kafka, "signals"), partition=0))


async def read(kafka: Kafka, start: int = 0, isolation: str = "read_uncommitted") -> list[tuple[int, bytes | None]]:
    topic = topic_name(kafka, "signals")
    return [(r.offset, r.value) async for r in read_partition_to_end(kafka, topic, 0, start, isolation)]


# --- settings --------------------------------------------------------------------------------------------------------

SECRET = {"username": "me", "password": "secret"}


def test_settings() -> None:
    plain = client_settings(Kafka(bootstrap="kafka:9092"))
    assert (plain["bootstrap_servers"], plain["security_protocol"]) == ("kafka:9092", "PLAINTEXT")
    secure = client_settings(
        Kafka(bootstrap="kafka:9092", security="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", **SECRET)
    )
    assert secure["ssl_context"].check_hostname
    assert (secure["sasl_mechanism"], secure["sasl_plain_username"]) == ("SCRAM-SHA-512", "me")
    assert secure["sasl_plain_password"] == "secret"


@pytest.mark.parametrize("bootstrap", ["localhost:9092", "127.0.0.1:9092", "[::1]:9092", "localhost:1, 127.0.0.1:2"])
def test_a_password_may_stay_on_this_machine(bootstrap: str) -> None:
    assert client_settings(Kafka(bootstrap=bootstrap, security="SASL_PLAINTEXT", **SECRET))["sasl_plain_password"]


@pytest.mark.parametrize(
    "bootstrap", ["kafka:9092", "localhost:9092,kafka:9092", "localhost.example.org:9092", "10.0.0.1:1"]
)
def test_a_password_never_leaves_it_in_the_clear(bootstrap: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unencrypted; set kafka\.security: SASL_SSL") as error:
        client_settings(Kafka(bootstrap=bootstrap, security="SASL_PLAINTEXT", **SECRET))
    assert "secret" not in str(error.value)


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"needs kafka\.username and a password: ALPHAWIRE_KAFKA__PASSWORD"):
        client_settings(Kafka(security="SASL_SSL"))
    with pytest.raises(ConfigurationError, match="PLAINTEXT does not use it"):
        client_settings(Kafka(**SECRET))
    with pytest.raises(ConfigurationError, match=r"ca_file .*ca\.pem cannot be used"):
        client_settings(Kafka(security="SSL", ca_file=tmp_path / "ca.pem"))


def test_certificates_that_nobody_would_look_at(tmp_path: Path) -> None:
    for name in ("ca_file", "cert_file", "key_file"):
        with pytest.raises(ConfigurationError, match="PLAINTEXT uses no certificates"):
            client_settings(Kafka(**{name: tmp_path / "x.pem"}))


def test_a_certificate_of_the_client(tmp_path: Path) -> None:
    import trustme
    from cryptography.hazmat.primitives import serialization

    authority = trustme.CA()
    leaf = authority.issue_cert("me@example.org")
    whole, certificate, key, locked = (tmp_path / f"{name}.pem" for name in ("whole", "certificate", "key", "locked"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(whole))
    certificate.write_bytes(leaf.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(str(key))
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"phrase"),
        )
    )
    assert client_settings(Kafka(security="SSL", cert_file=whole))["ssl_context"]
    assert client_settings(Kafka(security="SSL", cert_file=certificate, key_file=key))["ssl_context"]
    for wrong in ({"cert_file": certificate}, {"cert_file": certificate, "key_file": locked}, {"cert_file": key}):
        with pytest.raises(ConfigurationError, match=r"cert_file .* cannot be used: .*the key is not encrypted"):
            client_settings(Kafka(security="SSL", **wrong))
    with pytest.raises(ConfigurationError, match=r"key_file needs kafka\.cert_file"):
        client_settings(Kafka(security="SSL", key_file=key))


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    kafka = Kafka(security="SASL_SSL", username="me", password_file=file)
    for content, password in {"s\u00e9cret\n": "s\u00e9cret", "se cret": "se cret", "secret\r\n": "secret"}.items():
        file.write_bytes(content.encode())
        assert client_settings(kafka)["sasl_plain_password"] == password


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", None])
def test_a_file_that_holds_no_password(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"kafka\.password_file .*password") as error:
        client_settings(Kafka(security="SASL_SSL", username="me", password_file=file))
    assert "two" not in str(error.value)


def test_two_passwords() -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        client_settings(Kafka(security="SASL_SSL", password_file="x", **SECRET))


def test_a_password_in_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "alphawire.yaml"
    file.write_text("kafka: {username: me, password: hunter2, security: SASL_SSL}\n")
    for environment in (None, "other"):
        if environment:
            monkeypatch.setenv("ALPHAWIRE_KAFKA__PASSWORD", environment)
        with pytest.raises(
            ConfigurationError, match=r"a\S*yaml: kafka\.password: .*ALPHAWIRE_KAFKA__PASSWORD"
        ) as error:
            load_config(file)
        assert "hunter2" not in str(error.value)
    file.write_text("kafka: {username: me, security: SASL_SSL}\n")
    config = load_config(file, {"kafka": {"prefix": "x."}})
    assert client_settings(config.kafka)["sasl_plain_password"] == "other"


@pytest.mark.parametrize("place", ["PASSWORD", "USERNAME", "BOOTSTRAP", "PARTITIONS", "SESSION_TIMEOUT", ""])
def test_no_message_shows_what_could_be_a_secret(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the wrong variable, or in an address, is as secret."""
    secret = "me:hunter2@kafka:9092"
    monkeypatch.setenv(f"ALPHAWIRE_KAFKA__{place}" if place else "ALPHAWIRE_KAFKA", secret)
    monkeypatch.setenv("ALPHAWIRE_KAFKA__SECURITY", "SASL_PLAINTEXT")
    said = ""
    try:
        kafka = load_config(None).kafka
        said += repr(kafka) if place == "PASSWORD" else ""
        client_settings(kafka)
    except ConfigurationError as error:
        said += str(error)
    assert "hunter2" not in said


def test_credentials_are_taken_out_of_the_librarys_log(caplog: pytest.LogCaptureFixture) -> None:
    from aiokafka.protocol.admin import SaslAuthenticateRequest_v1, SaslAuthenticateResponse_v0

    client_settings(Kafka(security="SASL_SSL", **SECRET))
    log = logging.getLogger("aiokafka.conn")
    with caplog.at_level(logging.DEBUG, "aiokafka.conn"):
        log.debug("Request %d: %s", 1, SaslAuthenticateRequest_v1(b"\0me\0secret"))
        log.debug("Response %d: %s", 1, SaslAuthenticateResponse_v0(0, "", b"secret"))
        log.debug("no arguments")
    assert "secret" not in caplog.text
    assert "SaslAuthenticateRequest_v1(not shown)" in caplog.text
    assert "no arguments" in caplog.text


def test_every_client_takes_the_settings(broker: Broker, kafka_config: MakeConfig) -> None:
    async def start_all() -> None:
        kafka = kafka_config(broker)
        async with open_admin(kafka), open_producer(kafka), open_consumer(kafka, group_id=None):
            pass

    asyncio.run(start_all())


# --- the end of a partition ------------------------------------------------------------------------------------------


def test_an_empty_partition_ends_at_once(broker: Broker, kafka_config: MakeConfig) -> None:
    async def check() -> None:
        kafka = kafka_config(broker)
        await create_topics(kafka)
        assert await read(kafka) == []
        assert await read(kafka, 7) == []
        assert await offset_range(kafka, topic_name(kafka, "signals"), 0) == (0, 0)

    asyncio.run(check())


def test_all_of_the_last_batch_is_read(broker: Broker, kafka_config: MakeConfig) -> None:
    # Tansu's ListOffsets answers with the first offset of the last batch plus one
    async def check() -> None:
        kafka = kafka_config(broker)
        await create_topics(kafka)
        await put(kafka, 100, 1, 900)
        expected = [(number, str(number).encode()) for number in range(1001)]
        assert await read(kafka) == expected
        assert await read(kafka, 500) == expected[500:]
        assert await read(kafka, isolation="read_committed") == expected
        assert await read(kafka, 1001) == await read(kafka, 5000) == []
        assert await offset_range(kafka, topic_name(kafka, "signals"), 0) == (0, 1001)
        batches = [batch async for batch in read_batches_to_end(kafka, topic_name(kafka, "signals"), 0)]
        assert sum(map(len, batches)) == 1001

    asyncio.run(check())


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(codec: str, kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    """As most Java producers send them."""
    config = kafka_config(kafka)

    async def run() -> list[tuple[int, bytes | None]]:
        await create_topics(config)
        await put(config, 200, compression_type=codec)
        return await read(config)

    assert asyncio.run(run()) == [(number, str(number).encode()) for number in range(200)]


def test_what_comes_later_is_not_read(broker: Broker, kafka_config: MakeConfig) -> None:
    async def check() -> None:
        kafka = kafka_config(broker)
        await create_topics(kafka)
        await put(kafka, 10)
        seen = []
        async for record in read_partition_to_end(kafka, topic_name(kafka, "signals"), 0):
            if not seen:
                await put(kafka, 10)
            seen.append(record.offset)
        assert seen == list(range(10))

    asyncio.run(check())


def test_transactions(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    config = kafka_config(kafka)
    topic = topic_name(config, "signals")

    async def check() -> None:
        await create_topics(config)
        producer = AIOKafkaProducer(**client_settings(config), transactional_id=config.group)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"committed", partition=0)
            # offset 1 is the commit's marker: nothing that is given out reaches the end
            assert await read(config) == await read(config, 0, "read_committed") == [(0, b"committed")]
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"aborted", partition=0)
            # open: the committed end stays before it
            assert await read(config, 0, "read_committed") == [(0, b"committed")]
            assert await read(config) == [(0, b"committed"), (2, b"aborted")]
            assert await offset_range(config, topic, 0, "read_committed") == (0, 2)
            assert await offset_range(config, topic, 0) == (0, 3)
            await producer.abort_transaction()
            assert await read(config, 0, "read_committed") == [(0, b"committed")]
            assert await read(config, 1, "read_committed") == []
        finally:
            await producer.stop()

    asyncio.run(check())


def test_holes_of_a_compacted_topic(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    from aiokafka.admin import NewTopic

    config = kafka_config(kafka)
    topic = f"{config.prefix}compacted"
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "min.compaction.lag.ms": "0",
    }

    async def check() -> None:
        async with open_admin(config) as admin:
            await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
        sent, offsets = 0, [0]
        async with asyncio.timeout(deadline(60)), open_producer(config) as producer:
            while len(offsets) == sent or sent < 5:
                await producer.send_and_wait(topic, b"v", f"key{sent % 2}".encode(), partition=0)
                sent += 1
                offsets = [record.offset async for record in read_partition_to_end(config, topic, 0)]
                assert offsets[-1] == sent - 1
        holes = [record.offset async for record in read_partition_to_end(config, topic, 0, start=1)]
        later = [record.offset async for record in read_partition_to_end(config, topic, 0, start=1)]
        # compaction goes on between the reads, and takes away only
        assert holes == sorted(set(holes))
        assert set(later) <= set(holes) <= {offset for offset in offsets if offset >= 1}
        assert holes[-1] == later[-1] == sent - 1

    asyncio.run(check())


def test_a_topic_that_is_not_there(broker: Broker, kafka_config: MakeConfig) -> None:
    with pytest.raises(BrokerError, match=r"topic \S+signals does not exist at .*`alphawire topics create`"):
        asyncio.run(read(kafka_config(broker)))


# --- stopping --------------------------------------------------------------------------------------------------------


def test_stopping_right_after_the_start_cancels_nobody(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(tansu)

    async def check() -> None:
        for _ in range(20):
            async with open_consumer(kafka):
                pass
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert [other for other in asyncio.all_tasks() if other is not task] == []

    asyncio.run(check())


def test_a_reader_that_stops_early_leaves_no_task(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    from contextlib import aclosing

    kafka = kafka_config(tansu)

    async def check() -> None:
        await create_topics(kafka)
        await put(kafka, 100)
        async with aclosing(read_partition_to_end(kafka, topic_name(kafka, "signals"), 0)) as records:
            async for record in records:
                assert record.offset == 0
                break
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(check())


def test_a_broker_that_knows_of_no_broker_yet_is_one_that_does_not_answer(
    kafka: ApacheKafkaBroker, kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Apache Kafka tells of itself for a moment when it has just started."""
    bootstrap = AIOKafkaClient.bootstrap

    async def too_early(self: AIOKafkaClient) -> None:
        await bootstrap(self)
        self.cluster._brokers.clear()

    async def open_one() -> None:
        async with open_producer(kafka_config(kafka), transactional_id="too-early"):
            pass

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", too_early)
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at .* knows of no broker yet"):
        asyncio.run(open_one())
    monkeypatch.undo()
    asyncio.run(open_one())


def test_who_gives_producer_ids(broker: Broker, kafka_config: MakeConfig) -> None:
    assert asyncio.run(gives_producer_ids(kafka_config(broker))) == (broker.kind == "kafka")
