"""The topics, their names, and how each is kept."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from schemas.config import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.clients import open_admin

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

TOPIC_ALREADY_EXISTS = 36
FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}
EVENT_TIME = {
    # history carries the close of its bars, years before the broker's clock
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}
# small segments and a low dirty ratio: a restore reads what compaction has not removed yet
COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": "600000",
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True)
class TopicSpec:
    """One topic: `partitions` is ``equal`` when a symbol's records must keep the partition number of its bars."""

    name: str
    partitions: Literal["equal", "one"]
    settings: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))


def _spec(name: str, partitions: Literal["equal", "one"], *settings: dict[str, str]) -> TopicSpec:
    return TopicSpec(
        name, partitions, MappingProxyType({key: value for part in settings for key, value in part.items()})
    )


TOPICS = {
    spec.name: spec
    for spec in (
        _spec("bars", "equal", FOR_EVER, EVENT_TIME),
        _spec("signals", "equal", FOR_EVER, EVENT_TIME),
        _spec("plugins", "one", COMPACT),
        _spec("plugins.requests", "one", {"retention.ms": "86400000"}),
        _spec("plugins.replies", "one", {"retention.ms": "86400000"}),
        _spec("control", "equal", FOR_EVER, EVENT_TIME),
        _spec("dead-letters", "equal", FOR_EVER, EVENT_TIME),
        _spec("state", "equal", COMPACT, EVENT_TIME),
    )
}
"""Every topic that alphawire creates, by its name without the prefix."""


@dataclass(frozen=True)
class Created:
    """Full names of the topics that were made, and of those that were there."""

    created: list[str]
    existing: list[str]


def topic_name(kafka: Kafka, name: str) -> str:
    """Full name of the topic `name` (``bars``): the configured prefix before it."""
    return kafka.prefix + TOPICS[name].name


def partitions_wanted(kafka: Kafka, name: str) -> int:
    return kafka.partitions if TOPICS[name].partitions == "equal" else 1


async def create_topics(kafka: Kafka) -> Created:
    """Make the topics that are missing; harmless when all are there.

    Raises
    ------
    ConfigurationError
        When a topic is there with another number of partitions than the configuration says.
    BrokerError
        When no broker answers, or it refuses.
    """
    from aiokafka.admin import NewTopic

    async with open_admin(kafka) as admin:
        there = await _partition_counts(admin)
        _check_counts(kafka, there)
        missing = [name for name in TOPICS if topic_name(kafka, name) not in there]
        if missing:
            wanted = [
                NewTopic(
                    topic_name(kafka, name),
                    partitions_wanted(kafka, name),
                    kafka.replication,
                    topic_configs=dict(TOPICS[name].settings),
                )
                for name in missing
            ]
            _check_errors(kafka, await admin.create_topics(wanted))
            _check_counts(kafka, await _partition_counts(admin))
    names = [topic_name(kafka, name) for name in TOPICS]
    made = [topic_name(kafka, name) for name in missing]
    return Created(made, [name for name in names if name not in made])


def _check_counts(kafka: Kafka, there: dict[str, int]) -> None:
    for name in TOPICS:
        full, wanted = topic_name(kafka, name), partitions_wanted(kafka, name)
        if there.get(full, wanted) != wanted:
            raise ConfigurationError(
                f"topic {full} has {there[full]} partitions and kafka.partitions says {wanted}; set kafka.partitions to what `{kafka.prefix}bars` has, "
                "or choose another kafka.prefix: partitions cannot change without moving symbols"
            )


def _check_errors(kafka: Kafka, reply: Any) -> None:
    for topic, code, *message in reply.topic_errors:
        if code not in (0, TOPIC_ALREADY_EXISTS):
            raise BrokerError(
                f"{kafka.bootstrap} does not create topic {topic}: {message[0] if message and message[0] else f'error {code}'}"
            )


async def _partition_counts(admin: "AIOKafkaAdminClient") -> dict[str, int]:
    return {
        topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics() if not topic["error_code"]
    }


async def list_topics(kafka: Kafka) -> dict[str, int | None]:
    """Our topics by full name, each with its number of partitions, or None when it is not there."""
    async with open_admin(kafka) as admin:
        there = await _partition_counts(admin)
    return {full: there.get(full) for full in (topic_name(kafka, name) for name in TOPICS)}


async def require_topics(kafka: Kafka) -> None:
    """`BrokerError` that names the topics that are missing; `ConfigurationError` for a wrong number of partitions."""
    there = await list_topics(kafka)
    if missing := [name for name, count in there.items() if count is None]:
        raise BrokerError(
            f"{kafka.bootstrap} has no topic {', '.join(missing)}; create the topics with `alphawire topics create`"
        )
    _check_counts(kafka, {name: count for name, count in there.items() if count is not None})


async def partition_count(kafka: Kafka, name: str = "bars") -> int:
    """How many partitions the topic `name` has; `BrokerError` when it is not there."""
    full = topic_name(kafka, name)
    if (count := (await list_topics(kafka))[full]) is None:
        raise BrokerError(f"{kafka.bootstrap} has no topic {full}; create the topics with `alphawire topics create`")
    return count
