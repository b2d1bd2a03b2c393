"""Every topic: its name, and how it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError

LARGEST_BATCH = 512 * 1024
"""Bytes: what the services publish comes in batches of up to this size."""
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
    as many as the setting `count` of the section `kafka` says. `only_for`: what alone cannot do without it, a
    service or strategies with references.
    """

    equal: bool
    settings: dict[str, str]
    count: str | None = None
    only_for: str | None = None


TOPICS = {
    "bars": TopicSpec(True, FOR_EVER),
    "signals": TopicSpec(True, FOR_EVER),
    "predictions": TopicSpec(True, FOR_EVER),
    "predictions.shadow": TopicSpec(True, FOR_EVER),
    "news": TopicSpec(False, LARGE, "news_partitions"),
    "news.scores": TopicSpec(True, FOR_EVER),
    "side.inputs": TopicSpec(True, FOR_EVER, only_for="references"),
    "plugins": TopicSpec(False, COMPACT),
    "plugins.requests": TopicSpec(False, ONE_DAY),
    "plugins.replies": TopicSpec(False, ONE_DAY),
    "control": TopicSpec(True, FOR_EVER),
    "dead-letters": TopicSpec(True, FOR_EVER),
    "state": TopicSpec(True, COMPACT),
    "trades": TopicSpec(True, FOR_EVER, only_for="bars"),
    "trades.state": TopicSpec(True, COMPACT, only_for="bars"),
}
"""Every topic that alphawire uses, by what alphawire calls it."""


class NamedTopics(Protocol):
    """What says how its topics are called: the configuration of Kafka, and a log."""

    @property
    def prefix(self) -> str: ...

    @property
    def topics(self) -> Mapping[Any, str]:
        """Full names of those that are not called by prefix and name."""
        ...


def topic_name(of: NamedTopics, name: str) -> str:
    """Full name of the topic `name` (``bars``): the configured one, else the prefix before it."""
    if name not in TOPICS:
        raise KeyError(f"{name!r} is none of our topics: {', '.join(TOPICS)}")
    return of.topics.get(name, of.prefix + name)


def partitions_wanted(kafka: Kafka, name: str) -> int:
    spec = TOPICS[name]
    if spec.count is not None:
        return int(getattr(kafka, spec.count))
    return kafka.partitions if spec.equal else 1


def require_own_bars(kafka: Kafka, who: str) -> None:
    """`ConfigurationError` where `who` would write bars of alphawire's own to a topic that is read otherwise."""
    if kafka.bars_source:
        bars = topic_name(kafka, "bars")
        raise ConfigurationError(
            f"{who} writes alphawire's own bars, and a source of the configuration says that {bars} holds others: give"
            " kafka.topics another name for bars, or leave that source out"
        )
