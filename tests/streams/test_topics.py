"""Topics are made once, alike, and their absence is one clear line."""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from alphawire.cli import main
from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.clients import open_admin, open_producer, read_partition_to_end
from streams.kafka.topics import TOPICS, create_topics, list_topics, partition_count, require_topics, topic_name
from tests.support.deadlines import deadline

MakeConfig = Callable[..., Kafka]
EQUAL = {"bars", "signals", "predictions", "predictions.shadow", "news.scores", "side.inputs", "control",
         "dead-letters", "state", "trades", "trades.state"}  # fmt: skip


def nobody() -> str:
    """Address of a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_made_once(broker: Broker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker, partitions=3)
    names = [kafka.prefix + name for name in TOPICS]
    first = asyncio.run(create_topics(kafka))
    assert (first.created, first.existing) == (names, [])
    again = asyncio.run(create_topics(kafka))
    assert (again.created, again.existing) == ([], names)
    counts = {name: 3 if name in EQUAL else 1 for name in TOPICS} | {"news": kafka.news_partitions}
    assert asyncio.run(list_topics(kafka)) == {kafka.prefix + name: count for name, count in counts.items()}
    assert asyncio.run(partition_count(kafka)) == 3
    asyncio.run(require_topics(kafka))


def test_partitions_without_a_leader_are_waited_for(
    tansu: TansuBroker, kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of a broker that is just back from a full disk (seen), made of those of one that is whole."""
    kafka = kafka_config(tansu)
    asyncio.run(create_topics(kafka))
    whole, asked = AIOKafkaAdminClient.describe_topics, 0

    async def describe_topics(self: AIOKafkaAdminClient) -> list[Any]:
        nonlocal asked
        asked += 1
        answer = await whole(self)
        if asked % 3:
            for topic in answer:
                topic["partitions"][0]["leader"] = -1
        return answer

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", describe_topics)
    for look in (require_topics, partition_count):
        assert asyncio.run(look(kafka)) in (None, kafka.partitions)
    assert asked == 6


def test_only_the_missing_ones_are_made(broker: Broker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker)
    asyncio.run(create_topics(kafka))

    async def delete() -> None:
        async with open_admin(kafka) as admin:
            await admin.delete_topics([topic_name(kafka, "signals")])
        async with asyncio.timeout(deadline(10)):
            while (await list_topics(kafka))[topic_name(kafka, "signals")] is not None:
                pass  # the broker answers a moment before it is done

    asyncio.run(delete())
    with pytest.raises(
        BrokerError, match=r"has no topic \S+\.signals; create the topics with `alphawire topics create`"
    ):
        asyncio.run(require_topics(kafka))
    assert asyncio.run(create_topics(kafka)).created == [topic_name(kafka, "signals")]


def test_another_number_of_partitions_is_refused(broker: Broker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker, partitions=2)
    asyncio.run(create_topics(kafka))
    other = kafka.model_copy(update={"partitions": 5})
    for check in (create_topics, require_topics):
        with pytest.raises(ConfigurationError, match=r"bars has 2 partitions and kafka\.partitions says 5; set it to"):
            asyncio.run(check(other))


def test_nothing_there(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(tansu)
    with pytest.raises(BrokerError, match="alphawire topics create"):
        asyncio.run(partition_count(kafka))
    with pytest.raises(KeyError, match="'weather' is none of our topics"):
        topic_name(kafka, "weather")


def test_old_times_are_taken(broker: Broker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker)

    async def there_and_back() -> list[tuple[int, int]]:
        await create_topics(kafka)
        found = []
        for name in ("bars", "signals", "state"):
            async with open_producer(kafka) as producer:
                for time in (946_684_800_000, 4_102_444_800_000):  # the years 2000 and 2100
                    await producer.send_and_wait(topic_name(kafka, name), b"v", b"k", partition=0, timestamp_ms=time)
            found += [
                (r.timestamp, r.timestamp_type) async for r in read_partition_to_end(kafka, topic_name(kafka, name), 0)
            ]
        return found

    assert asyncio.run(there_and_back()) == [(946_684_800_000, 0), (4_102_444_800_000, 0)] * 3


def test_how_apache_kafka_keeps_them(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    config = kafka_config(kafka)

    async def settings(name: str) -> dict[str, str]:
        await create_topics(config)
        async with open_admin(config) as admin:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic_name(config, name))
            (reply,) = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for entry in reply.resources[0][4]}

    for name in ("bars", "signals", "control", "dead-letters"):
        found = asyncio.run(settings(name))
        assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "-1"), name
        assert found["message.timestamp.type"] == "CreateTime"
    for name in ("state", "plugins"):
        assert asyncio.run(settings(name))["cleanup.policy"] == "compact"
    assert asyncio.run(settings("plugins.replies"))["retention.ms"] == "86400000"


def test_more_replicas_than_brokers_is_told(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    with pytest.raises(BrokerError, match=r"does not create topic \S+: .*replication"):
        asyncio.run(create_topics(kafka_config(kafka, replication=3)))


def test_nobody_there() -> None:
    address = nobody()
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {address} .*; start one") as error:
        asyncio.run(create_topics(Kafka(bootstrap=address)))
    assert "\n" not in str(error.value)


def test_one_that_takes_connections_and_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.clients.CONNECT_TIMEOUT", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(BrokerError, match="no Kafka broker answers"):
            asyncio.run(list_topics(Kafka(bootstrap=f"127.0.0.1:{mute.getsockname()[1]}")))


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def alphawire(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["alphawire", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capfd.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


def test_create_and_list(
    tansu: TansuBroker, kafka_config: MakeConfig, alphawire: Callable[..., tuple[int, str, str]]
) -> None:
    prefix = kafka_config(tansu).prefix
    at = ("--bootstrap", tansu.bootstrap, "--prefix", prefix)
    code, out, _ = alphawire("topics", "list", *at)
    assert (code, out.count("missing")) == (1, len(TOPICS))
    code, out, _ = alphawire("topics", "create", *at, "--json")
    assert code == 0
    assert json.loads(out) == {"created": [prefix + name for name in TOPICS], "existing": []}
    code, _, err = alphawire("topics", "create", *at, "--partitions", "7")
    assert code == 2
    assert "bars has 4 partitions and kafka.partitions says 7" in err
    code, out, _ = alphawire("topics", "create", *at)
    assert (code, out.count("was there")) == (0, len(TOPICS))
    code, out, _ = alphawire("topics", "list", *at, "--json")
    assert code == 0
    assert (f"{prefix}bars", 4, "for ever") in [tuple(entry.values())[:3] for entry in json.loads(out)]


def test_no_broker_is_one_line_and_code_2(
    alphawire: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = nobody()
    monkeypatch.setenv("ALPHAWIRE_KAFKA__BOOTSTRAP", "127.0.0.1:9")  # the command line wins
    code, out, err = alphawire("topics", "create", "--bootstrap", address)
    assert (code, out) == (2, "")
    assert err.startswith(f"alphawire: no Kafka broker answers at {address}")
    assert err.count("\n") == 1
