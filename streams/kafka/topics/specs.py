"""Every topic: its name, and how it is kept."""

from dataclasses import dataclass
from typing import Protocol

from schemas.configuration import Kafka

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
    as many as the setting `count` of the section `kafka` says. `only_for`: the one service that cannot do without it.
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
    "plugins": TopicSpec(False, COMPACT),
    "plugins.requests": TopicSpec(False, ONE_DAY),
    "plugins.replies": TopicSpec(False, ONE_DAY),
    "control": TopicSpec(True, FOR_EVER),
    "dead-letters": TopicSpec(True, FOR_EVER),
    "state": TopicSpec(True, COMPACT),
    "trades": TopicSpec(True, FOR_EVER, only_for="bars"),
    "trades.state": TopicSpec(True, COMPACT, only_for="bars"),
}
"""Every topic that alphawire creates, by its name without the prefix."""


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
