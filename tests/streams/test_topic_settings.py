"""How the broker keeps the topics is looked at: what loses a part of the log is refused, what may hurt is reported."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner

from alphawire.cli import cli
from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.clients import open_admin
from streams.kafka.topics import TOPICS, create_topics, topic_name
from streams.kafka.topics.creation import _new_topic
from streams.kafka.topics.settings import kept, setting_faults
from streams.kafka.topics.status import TopicsWatch, topic_statuses
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, write_config

MakeConfig = Callable[..., Kafka]

# what Apache Kafka 4.2 reports of a topic that was made without any settings (describe_configs)
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.after.max.ms": "3600000",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}
WEEK, FOR_EVER = "604800000", "-1"


def faults(name: str, replicas: int = 1, **changes: str) -> list[tuple[str, bool]]:
    """Setting, and whether it is refused, of a topic that is as intended but for `changes` (``_`` for ``.``)."""
    settings = DEFAULTS | TOPICS[name].settings | {key.replace("_", "."): value for key, value in changes.items()}
    found = setting_faults(name, f"p.{name}", settings, replicas)
    assert all(f"p.{name} has {fault.setting}={settings[fault.setting]}: " in str(fault) for fault in found)
    assert all(str(fault).endswith(f"; set {fault.setting}={fault.mend}") for fault in found)
    return [(fault.setting, fault.refused) for fault in found]


@pytest.mark.parametrize("name", TOPICS)
def test_as_intended(name: str) -> None:
    assert faults(name) == []
    assert setting_faults(name, name, {}, 1) == [], "a broker that reports nothing"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("state", {"cleanup_policy": "delete", "retention_ms": "1000"}, [("cleanup.policy", True)]),
        ("state", {"cleanup_policy": "compact,delete"}, [("cleanup.policy", True)]),
        ("state", {"cleanup_policy": "delete,compact", "retention_ms": "-1"}, []),
        ("state", {"cleanup_policy": "delete", "retention_ms": "-1"}, [("cleanup.policy", False)]),
        ("state", {"cleanup_policy": "delete", "retention_bytes": "5"}, [("cleanup.policy", True)]),
        ("plugins", {"cleanup_policy": "delete"}, [("cleanup.policy", False)]),
        ("control", {"cleanup_policy": "compact"}, [("cleanup.policy", True)]),
        ("control", {"cleanup_policy": "compact,delete"}, [("cleanup.policy", True)]),
        ("control", {"retention_ms": WEEK}, [("retention.ms", True)]),
        ("control", {"retention_ms": "0"}, [("retention.ms", True)]),
        ("control", {"retention_bytes": "1048576"}, [("retention.bytes", True)]),
        ("bars", {"cleanup_policy": "compact"}, [("cleanup.policy", True)]),
        ("predictions", {"cleanup_policy": "compact"}, [("cleanup.policy", True)]),
        ("news.scores", {"cleanup_policy": "compact"}, [("cleanup.policy", True)]),
        ("signals", {"cleanup_policy": "compact"}, [("cleanup.policy", False)]),
        ("dead-letters", {"cleanup_policy": "compact"}, [("cleanup.policy", False)]),
        ("plugins.requests", {"cleanup_policy": "compact"}, [("cleanup.policy", False)]),
        ("bars", {"retention_ms": WEEK}, [("retention.ms", False)]),
        ("news", {"retention_bytes": "1000"}, [("retention.bytes", False)]),
        ("plugins.replies", {"retention_ms": WEEK}, []),
    ],
)  # fmt: skip
def test_what_is_kept(name: str, changes: dict[str, str], expected: list[tuple[str, bool]]) -> None:
    assert faults(name, **changes) == expected


@pytest.mark.parametrize(
    ("name", "limit", "expected"),
    [
        # a full batch of what is published has 524,288 bytes
        ("signals", "524287", [("max.message.bytes", True)]),
        ("control", "100000", [("max.message.bytes", True)]),
        ("state", "100000", [("max.message.bytes", True)]),
        ("state", "1048588", [("max.message.bytes", False)]),
        ("signals", "1048588", []),
        ("bars", "100000", [("max.message.bytes", False)]),
        ("news", "1048588", [("max.message.bytes", False)]),
    ],
)
def test_largest_message(name: str, limit: str, expected: list[tuple[str, bool]]) -> None:
    assert faults(name, max_message_bytes=limit) == expected


@pytest.mark.parametrize(
    ("replicas", "needed", "expected"),
    [
        (1, "2", [("min.insync.replicas", True)]),
        (2, "3", [("min.insync.replicas", True)]),
        (3, "3", [("min.insync.replicas", False)]),
        (3, "1", [("min.insync.replicas", False)]),
        (3, "2", []),
        (2, "1", []),
        (1, "1", []),
    ],
)
def test_replicas(replicas: int, needed: str, expected: list[tuple[str, bool]]) -> None:
    assert faults("signals", replicas, min_insync_replicas=needed) == expected


def test_times_and_leaders() -> None:
    assert faults("bars", message_timestamp_type="LogAppendTime") == [("message.timestamp.type", False)]
    week = faults("signals", message_timestamp_before_max_ms=WEEK)
    assert week == [("message.timestamp.before.max.ms", False)]
    unclean = {"unclean.leader.election.enable": "true", **TOPICS["bars"].settings}
    assert [fault.setting for fault in setting_faults("bars", "bars", unclean, 2)] == ["unclean.leader.election.enable"]
    assert setting_faults("bars", "bars", unclean, 1) == []


def test_enough_replicas_are_asked_for() -> None:
    made = {count: _new_topic(Kafka(replication=count), "bars").topic_configs for count in (1, 2, 3, 5)}
    assert [made[count].get("min.insync.replicas") for count in made] == [None, None, "2", "4"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "unknown: the broker does not report it"),
        ({"cleanup.policy": "delete", "retention.ms": FOR_EVER}, "for ever"),
        ({"cleanup.policy": "delete", "retention.ms": WEEK}, "7 days"),
        ({"cleanup.policy": "delete", "retention.ms": "86400000"}, "1 day"),
        ({"cleanup.policy": "delete", "retention.ms": "1000"}, "1 second"),
        ({"cleanup.policy": "delete", "retention.bytes": "9"}, "at most 9 bytes a partition"),
        ({"cleanup.policy": "compact", "retention.ms": WEEK}, "the latest of each key (compacted)"),
        ({"cleanup.policy": "compact,delete", "retention.ms": "1500"}, "the latest of each key (compacted), 1500 ms"),
    ],
)  # fmt: skip
def test_in_words(settings: Mapping[str, str], words: str) -> None:
    assert kept(settings) == words


# --- on brokers ------------------------------------------------------------------------------------------------------


def topics_list(file: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of ``alphawire topics list``."""
    result = CliRunner().invoke(cli, ["topics", "list", "-c", str(file), *options])
    return result.exit_code, result.output


def alter(kafka: Kafka, name: str, **settings: str) -> None:
    """As an operator would, with all settings that the topic shall have."""
    configs = {key.replace("_", "."): value for key, value in settings.items()}

    async def run() -> None:
        async with open_admin(kafka) as admin:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic_name(kafka, name), configs)
            for reply in await admin.alter_configs([resource]):
                assert [code for code, *_ in reply.resources] == [0]

    asyncio.run(run())


def test_fresh_topics_have_no_faults(broker: Any, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker)
    asyncio.run(create_topics(kafka))
    statuses = asyncio.run(topic_statuses(kafka))
    assert [status.full_name for status in statuses] == [topic_name(kafka, name) for name in TOPICS]
    assert [fault for status in statuses for fault in status.faults] == []
    assert None not in [status.settings for status in statuses]


def test_a_worker_refuses_and_the_listing_shows(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """`state` with delete and a second's retention, as by an operator's script; signals with a week's."""
    file = tmp_path / "lossy.yaml"
    config = write_config(file, kafka.bootstrap, "lossy.")
    asyncio.run(create_topics(config.kafka))
    alter(config.kafka, "state", cleanup_policy="delete", retention_ms="1000")
    alter(config.kafka, "signals", retention_ms=WEEK)
    with WorkerProcess(file) as worker:
        assert worker.process.wait(deadline(60)) == 2
    said = file.with_suffix(".log").read_text().splitlines()
    (warning,) = [line for line in said if "WARNING" in line and "signals" in line]
    assert "topic lossy.signals has retention.ms=604800000: records are deleted that should be kept" in warning
    assert said[-1].startswith("alphawire: topic lossy.state has cleanup.policy=delete: snapshots and markers are lost")
    assert "set cleanup.policy=compact (kafka-configs.sh --bootstrap-server" in said[-1]

    code, out = topics_list(file)
    assert code == 1
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("lossy.state "))
    assert "2 partitions  1 second  (intended: the latest of each key (compacted))" in lines[at]
    assert any(line.strip().startswith("refused: cleanup.policy=delete: ") for line in lines[at + 1 :])
    code, out = topics_list(file, "--json")
    entries = {entry["topic"]: entry for entry in json.loads(out)}
    assert entries["lossy.signals"]["differences"]["retention.ms"] == {"broker": WEEK, "intended": "-1"}
    assert (entries["lossy.signals"]["kept"], entries["lossy.signals"]["intended"]) == ("7 days", "for ever")
    assert [fault["refused"] for fault in entries["lossy.state"]["faults"]] == [True, False]

    alter(config.kafka, "state", **{key.replace(".", "_"): value for key, value in TOPICS["state"].settings.items()})
    assert topics_list(file)[0] == 0


def test_a_change_meanwhile_is_reported_once(
    tansu: TansuBroker, kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A running service goes on: to end would not bring back what is lost."""
    kafka = kafka_config(tansu)
    asyncio.run(create_topics(kafka))
    whole, asked = AIOKafkaAdminClient.describe_configs, 0

    async def describe_configs(self: AIOKafkaAdminClient, resources: list[Any]) -> list[Any]:
        nonlocal asked
        asked += 1
        replies = await whole(self, resources)
        for *_, name, entries in (resource for reply in replies for resource in reply.resources):
            if name.endswith("control") and asked > 1:
                entries[:] = [("cleanup.policy", "compact", False, 1, False, [])]
        return replies

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_configs", describe_configs)

    async def run() -> None:
        topics = TopicsWatch(kafka)
        await topics.require()
        watching = asyncio.ensure_future(topics.watch(every=0))
        while asked < 4:
            await asyncio.sleep(0)
        watching.cancel()

    with caplog.at_level(logging.WARNING, "alphawire.topics"):
        asyncio.run(run())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "control has cleanup.policy=compact: what the workers applied is lost" in record.getMessage()
    with pytest.raises(ConfigurationError, match=r"control has cleanup\.policy=compact"):
        asyncio.run(TopicsWatch(kafka).require())


def test_a_client_that_may_not_look(
    tansu: TansuBroker, kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to describe configurations the broker answers error 29; the service starts and says so."""
    kafka = kafka_config(tansu)
    asyncio.run(create_topics(kafka))
    whole = AIOKafkaAdminClient.describe_configs

    async def describe_configs(self: AIOKafkaAdminClient, resources: list[Any]) -> list[Any]:
        replies = await whole(self, resources)
        for reply in replies:
            reply.resources = [(29, "denied", kind, name, []) for _, _, kind, name, _ in reply.resources]
        return replies

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_configs", describe_configs)
    asyncio.run(TopicsWatch(kafka).require())
    assert "does not show the settings of" in caplog.text
    assert {status.settings for status in asyncio.run(topic_statuses(kafka))} == {None}
