"""Making the topics, and what must hold of them before a service starts: they are there, with equal partitions."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.clients import open_admin
from streams.kafka.topics.specs import TOPICS, partitions_wanted, topic_name

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

VISIBLE_TIMEOUT = 10.0
LEADER_TIMEOUT = 20.0


@dataclass(frozen=True)
class Created:
    """Full names of the topics that were created, and of those that existed."""

    created: list[str]
    existing: list[str]


async def create_topics(kafka: Kafka) -> Created:
    """Make the topics that are missing; harmless when all are there.

    Raises
    ------
    ConfigurationError
        When a topic is there with another number of partitions than the configuration says.
    BrokerError
        When no broker answers, or it refuses.
    """
    async with open_admin(kafka) as admin:
        there = await _partition_counts(admin)
        _check_counts(kafka, there)
        names = [topic_name(kafka, name) for name in TOPICS]
        if missing := [name for name in TOPICS if topic_name(kafka, name) not in there]:
            _check_errors(kafka, await admin.create_topics([_new_topic(kafka, name) for name in missing]))
            _check_counts(kafka, await _visible(admin, kafka, names))
    return Created([name for name in names if name not in there], [name for name in names if name in there])


def _new_topic(kafka: Kafka, name: str) -> "NewTopic":
    from aiokafka.admin import NewTopic

    settings = dict(TOPICS[name].settings)
    if kafka.replication > 2:
        settings["min.insync.replicas"] = str(kafka.replication - 1)
    return NewTopic(topic_name(kafka, name), partitions_wanted(kafka, name), kafka.replication, topic_configs=settings)


async def _visible(admin: "AIOKafkaAdminClient", kafka: Kafka, names: list[str]) -> dict[str, int]:
    """Wait until the broker shows all topics: it answers a creation a moment before."""
    try:
        async with asyncio.timeout(VISIBLE_TIMEOUT):
            while not (there := await _partition_counts(admin)).keys() >= set(names):
                await asyncio.sleep(0.02)
    except TimeoutError:
        lost = ", ".join(name for name in names if name not in there)
        raise BrokerError(
            f"{kafka.bootstrap} took the topics {lost}, and does not show them after {VISIBLE_TIMEOUT:.0f} s"
        ) from None
    return there


def _check_counts(kafka: Kafka, there: dict[str, int]) -> None:
    bars = topic_name(kafka, "bars")
    _check_equal(kafka, there)
    for name, spec in TOPICS.items():
        full, wanted = topic_name(kafka, name), partitions_wanted(kafka, name)
        if (count := there.get(full, wanted)) == wanted:
            continue
        if spec.equal:
            mend = f"kafka.partitions says {wanted}; set it to what {bars} has, or choose another kafka.prefix"
        elif spec.count is not None:
            mend = f"kafka.{spec.count} says {wanted}; set it to {count}, or choose another kafka.prefix"
        else:
            mend = f"needs {wanted}; delete that topic, or choose another kafka.prefix"
        raise ConfigurationError(f"topic {full} has {count} partitions and {mend}")


def _check_equal(kafka: Kafka, there: dict[str, int]) -> None:
    """`ConfigurationError` when `bars` was given other partitions than what is joined with it: by its key a symbol may
    live on another one now, away from its state and its signals.
    """
    counts = {full: there[full] for name in TOPICS if TOPICS[name].equal and (full := topic_name(kafka, name)) in there}
    bars = topic_name(kafka, "bars")
    others = {full: count for full, count in counts.items() if count != counts.get(bars, count)}
    if others:
        other, count = next(iter(others.items()))
        raise ConfigurationError(
            f"topic {bars} has {counts[bars]} partitions and {other} has {count}: a symbol's bars may lie on"
            " another partition than its state, and Kafka cannot take partitions away; start a new set of topics:"
            f" choose another kafka.prefix, set kafka.partitions: {counts[bars]}, run `alphawire topics create`,"
            " and send the bars there (`alphawire produce bars FILE`)"
        )


def _check_errors(kafka: Kafka, reply: Any) -> None:
    from aiokafka.errors import NoError, TopicAlreadyExistsError

    for topic, code, *message in reply.topic_errors:
        if code not in (NoError.errno, TopicAlreadyExistsError.errno):
            reason = message[0] if message and message[0] else f"error {code}"
            raise BrokerError(f"{kafka.bootstrap} does not create topic {topic}: {reason}")


async def _partition_counts(admin: "AIOKafkaAdminClient") -> dict[str, int]:
    """Topics that can be used (each partition has a leader) with their number of partitions."""
    return {name: topic.partitions for name, topic in (await described(admin)).items() if topic.led}


@dataclass(frozen=True)
class TopicOnBroker:
    """A topic's number of partitions, and of the replicas that each has; not `led` while a partition has no leader."""

    partitions: int
    replicas: int
    led: bool


async def described(admin: "AIOKafkaAdminClient") -> dict[str, TopicOnBroker]:
    """All topics of the broker."""
    from aiokafka.errors import UnknownTopicOrPartitionError

    return {
        topic["topic"]: TopicOnBroker(
            len(topic["partitions"]),
            min((len(part["replicas"]) for part in topic["partitions"]), default=0),
            not topic["error_code"] and all(part["leader"] >= 0 for part in topic["partitions"]),
        )
        for topic in await admin.describe_topics()
        if topic["error_code"] != UnknownTopicOrPartitionError.errno
    }


async def list_topics(kafka: Kafka) -> dict[str, int | None]:
    """Our topics by full name, each with its number of partitions, or None when it is not there."""
    async with open_admin(kafka) as admin:
        there = await _partition_counts(admin)
    return {full: there.get(full) for full in (topic_name(kafka, name) for name in TOPICS)}


async def require_topics(kafka: Kafka) -> None:
    """As `required_topics`, with a client of its own."""
    async with open_admin(kafka) as admin:
        await required_topics(admin, kafka)


async def required_topics(
    admin: "AIOKafkaAdminClient", kafka: Kafka, service: str | None = None
) -> dict[str, TopicOnBroker]:
    """Our topics that are there, by full name. Waits for partitions that have no leader yet, as after a broker's
    restart. What only another service than `service` needs may be missing.

    Raises `BrokerError` that names the topics that are missing, or that get no leader; `ConfigurationError` for a wrong
    number of partitions.
    """
    names = [topic_name(kafka, name) for name in TOPICS]
    there = await _with_leaders(admin, kafka, names)
    needed = [topic_name(kafka, name) for name, spec in TOPICS.items() if spec.only_for in (None, service)]
    if missing := [name for name in needed if name not in there]:
        raise BrokerError(
            f"{kafka.bootstrap} has no topic {', '.join(missing)}; create the topics with `alphawire topics create`"
        )
    _check_counts(kafka, {name: topic.partitions for name, topic in there.items()})
    return there


async def _with_leaders(admin: "AIOKafkaAdminClient", kafka: Kafka, names: Sequence[str]) -> dict[str, TopicOnBroker]:
    """Those of `names` that are there, when none of them is without a leader any more."""
    without: list[str] = []
    try:
        async with asyncio.timeout(LEADER_TIMEOUT):
            while True:
                there = {name: topic for name, topic in (await described(admin)).items() if name in names}
                if not (without := [name for name, topic in there.items() if not topic.led]):
                    return there
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BrokerError(
            f"the broker at {kafka.bootstrap} has no leader for topic {', '.join(without) or names[0]}"
            f" after {LEADER_TIMEOUT:.0f} s; see whether it is whole (its log, its disk)"
        ) from None


async def partition_count(kafka: Kafka, name: str = "bars") -> int:
    """How many partitions the topic `name` has; `BrokerError` when it is not there, or gets no leader."""
    full = topic_name(kafka, name)
    async with open_admin(kafka) as admin:
        there = await _with_leaders(admin, kafka, [full])
    if full not in there:
        raise BrokerError(f"{kafka.bootstrap} has no topic {full}; create the topics with `alphawire topics create`")
    return there[full].partitions
