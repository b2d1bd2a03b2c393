"""The topics, their names, and how each is kept."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.clients import open_admin

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

VISIBLE_TIMEOUT = 10.0
PARTITION_CHECK = 10.0
"""Seconds between looks at the topics' partitions."""
LEADER_TIMEOUT = 20.0
EVENT_TIME = {
    # history carries the close of its bars, years before the broker's clock
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}
# retention goes by these times, so any limit would remove history as soon as it comes
FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", **EVENT_TIME}
LARGE = {**FOR_EVER, "max.message.bytes": str(5 << 20)}
ONE_DAY = {"cleanup.policy": "delete", "retention.ms": "86400000"}
# compaction leaves the newest segment alone, so small ones: a restore reads all that is not compacted yet
COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": "60000",
    "segment.bytes": str(32 << 20),
    "min.cleanable.dirty.ratio": "0.1",
    # one record lists all states of a round: with many thousand symbols on a partition beyond the usual megabyte
    "max.message.bytes": str(16 << 20),
    **EVENT_TIME,
}


@dataclass(frozen=True)
class TopicSpec:
    """One topic; `equal`: a symbol's records keep the partition number of its bars, otherwise it has one partition, or
    as many as the setting `count` of the section `kafka` says.
    """

    equal: bool
    settings: dict[str, str]
    count: str | None = None

    @property
    def kept(self) -> str:
        """How long its records are kept, in words."""
        if self.settings["cleanup.policy"] == "compact":
            return "the latest of each key (compacted)"
        return (
            "for ever"
            if self.settings["retention.ms"] == "-1"
            else f"{int(self.settings['retention.ms']) // 3_600_000} hours"
        )


TOPICS = {
    "bars": TopicSpec(True, FOR_EVER),
    "signals": TopicSpec(True, FOR_EVER),
    "predictions": TopicSpec(True, FOR_EVER),
    "predictions.shadow": TopicSpec(True, FOR_EVER),
    "news": TopicSpec(False, LARGE, "news_partitions"),
    "news.scores": TopicSpec(True, FOR_EVER),
    "plugins": TopicSpec(False, COMPACT),
    "plugins.requests": TopicSpec(False, ONE_DAY),
    "plugins.replies": TopicSpec(False, ONE_DAY),
    "control": TopicSpec(True, FOR_EVER),
    "dead-letters": TopicSpec(True, FOR_EVER),
    "state": TopicSpec(True, COMPACT),
}
"""Every topic that alphawire creates, by its name without the prefix."""


@dataclass(frozen=True)
class Created:
    """Full names of the topics that were created, and of those that existed."""

    created: list[str]
    existing: list[str]


class Prefixed(Protocol):
    """What says the prefix of its topics: the configuration of Kafka, and a log."""

    @property
    def prefix(self) -> str: ...


def topic_name(of: Prefixed, name: str) -> str:
    """Full name of the topic `name` (``bars``): the prefix before it."""
    if name not in TOPICS:
        raise KeyError(f"{name!r} is none of our topics: {', '.join(TOPICS)}")
    return of.prefix + name


def partitions_wanted(kafka: Kafka, name: str) -> int:
    spec = TOPICS[name]
    if spec.count is not None:
        return int(getattr(kafka, spec.count))
    return kafka.partitions if spec.equal else 1


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


async def watch_partitions(kafka: Kafka, every: float = PARTITION_CHECK) -> None:
    """Looks at the topics now and then for as long as it is let; `ConfigurationError` when their partitions do not
    match any more. A broker that does not answer is others' concern.
    """
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(BrokerError):
            await require_topics(kafka)


def _check_errors(kafka: Kafka, reply: Any) -> None:
    from aiokafka.errors import NoError, TopicAlreadyExistsError

    for topic, code, *message in reply.topic_errors:
        if code not in (NoError.errno, TopicAlreadyExistsError.errno):
            reason = message[0] if message and message[0] else f"error {code}"
            raise BrokerError(f"{kafka.bootstrap} does not create topic {topic}: {reason}")


async def _partition_counts(admin: "AIOKafkaAdminClient") -> dict[str, int]:
    """Topics that can be used (each partition has a leader) with their number of partitions."""
    return {name: count for name, count in (await _described(admin)).items() if count is not None}


async def _described(admin: "AIOKafkaAdminClient") -> dict[str, int | None]:
    """All topics with their number of partitions, None while one of these has no leader."""
    from aiokafka.errors import UnknownTopicOrPartitionError

    return {
        topic["topic"]: None
        if topic["error_code"] or any(part["leader"] < 0 for part in topic["partitions"])
        else len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["error_code"] != UnknownTopicOrPartitionError.errno
    }


async def list_topics(kafka: Kafka) -> dict[str, int | None]:
    """Our topics by full name, each with its number of partitions, or None when it is not there."""
    async with open_admin(kafka) as admin:
        there = await _partition_counts(admin)
    return {full: there.get(full) for full in (topic_name(kafka, name) for name in TOPICS)}


async def require_topics(kafka: Kafka) -> None:
    """Waits for partitions that have no leader yet, as after a broker's restart.

    Raises `BrokerError` that names the topics that are missing, or that get no leader; `ConfigurationError` for a wrong
    number of partitions.
    """
    names = [topic_name(kafka, name) for name in TOPICS]
    async with open_admin(kafka) as admin:
        there = await _with_leaders(admin, kafka, names)
    if missing := [name for name in names if name not in there]:
        raise BrokerError(
            f"{kafka.bootstrap} has no topic {', '.join(missing)}; create the topics with `alphawire topics create`"
        )
    _check_counts(kafka, there)


async def _with_leaders(admin: "AIOKafkaAdminClient", kafka: Kafka, names: list[str]) -> dict[str, int]:
    """Those of `names` that are there, when none of them is without a leader any more."""
    without: list[str] = []
    try:
        async with asyncio.timeout(LEADER_TIMEOUT):
            while True:
                there = {name: count for name, count in (await _described(admin)).items() if name in names}
                if not (without := [name for name, count in there.items() if count is None]):
                    return {name: count for name, count in there.items() if count is not None}
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
    if (count := there.get(full)) is None:
        raise BrokerError(f"{kafka.bootstrap} has no topic {full}; create the topics with `alphawire topics create`")
    return count
