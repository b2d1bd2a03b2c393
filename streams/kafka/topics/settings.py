"""How the broker keeps the topics, beside how they should be kept: what differs, and what that would do.

Topics may have been made by somebody else, or changed since. A setting is refused where the log would lose what
`applied`, closings or states need, or where nothing could be written; any other that may hurt is a warning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.kafka.topics.specs import LARGEST_BATCH, TOPICS

Settings = Mapping[str, str]
"""A topic's settings by Kafka's names; what a broker does not report is not judged."""

SMALLEST_LIMIT = LARGEST_BATCH + 88 * 1024
"""Bytes that `max.message.bytes` must allow: a full batch, or a dead letter with its headers, which may be larger."""
COMPACTED = {
    "bars": "only the newest bar of each symbol stays, so no state can be rebuilt",
    "predictions": "closings of cross-sections are lost, which a restart must obey",
    "news.scores": "scores are lost, and with them the states of strategies with news",
    "side.inputs": "which bars of references were used is lost, which a restart must obey",
    "control": "what the workers applied is lost, which restarts, replay and verify must obey",
    "signals": "only the newest signal of each symbol stays, so consumers and verify miss the others",
    "predictions.shadow": "only the newest prediction of each strategy stays",
    "news": "only the last version of each article stays",
    "dead-letters": "dead letters are lost, and the marks of those that were put back",
}
"""What compaction does to a topic that should not be compacted."""
NOT_WITHOUT = ("bars", "predictions", "news.scores", "side.inputs", "control")
"""Topics of `COMPACTED` with which no service starts when they are compacted."""
DELETED = {
    "bars": "bars are deleted, read or not, at that age by their own times: history at once",
    "control": COMPACTED["control"],
    "state": "snapshots and markers are lost, and a partition's next owner would not know what is published",
}
"""What deletion does to a topic whose records should stay."""
WRITTEN = tuple(name for name in TOPICS if name not in ("bars", "news"))
"""Topics that the services write; the others are their users'."""


@dataclass(frozen=True)
class SettingFault:
    """A setting of a topic that may hurt, its effect, and the value that mends it; `refused`: no service starts."""

    topic: str
    setting: str
    value: str
    mend: str
    effect: str
    refused: bool

    def __str__(self) -> str:
        return f"topic {self.topic} has {self.setting}={self.value}: {self.effect}; set {self.setting}={self.mend}"


@dataclass(frozen=True)
class _Topic:
    """A topic as the broker has it; `name` is without the prefix."""

    name: str
    full_name: str
    settings: Settings
    replicas: int

    def number(self, setting: str) -> int | None:
        value = self.settings.get(setting, "")
        return int(value) if value.lstrip("-").isdigit() else None

    def fault(self, setting: str, mend: object, effect: str, refused: bool = False) -> SettingFault:
        return SettingFault(self.full_name, setting, self.settings[setting], str(mend), effect, refused)

    @property
    def policies(self) -> set[str]:
        return policies(self.settings)

    @property
    def intended(self) -> Settings:
        return TOPICS[self.name].settings


def setting_faults(name: str, full_name: str, settings: Settings, replicas: int) -> list[SettingFault]:
    """What of the topic's settings may hurt; `name` is that without the prefix, `replicas` how many a partition has."""
    topic = _Topic(name, full_name, settings, replicas)
    judges = (_policy, _deletion, _largest_message, _times, _replication)
    return [fault for judge in judges for fault in judge(topic)]


def _policy(topic: _Topic) -> Iterator[SettingFault]:
    wanted = topic.intended["cleanup.policy"]
    if wanted == "delete" and "compact" in topic.policies:
        effect = COMPACTED.get(topic.name, "records without a key are refused")
        yield topic.fault("cleanup.policy", wanted, effect, topic.name in NOT_WITHOUT)
    elif wanted == "compact" and topic.policies == {"delete"} and not _limits(topic):
        yield topic.fault("cleanup.policy", wanted, "it grows without bound, and a restart reads all of it")


def _deletion(topic: _Topic) -> Iterator[SettingFault]:
    if "delete" not in topic.policies or topic.intended.get("retention.ms", "-1") != "-1":
        return
    refused = topic.name in ("control", "state")
    effect = DELETED.get(topic.name, "records are deleted that should be kept for ever")
    if topic.intended["cleanup.policy"] == "compact":
        if _limits(topic):
            yield topic.fault("cleanup.policy", "compact", f"{effect} ({kept(topic.settings)})", refused)
        return
    for setting in _limits(topic):
        value = duration(topic.settings[setting]) if setting == "retention.ms" else f"{topic.settings[setting]} bytes"
        yield topic.fault(setting, -1, f"{effect} (limit: {value})", refused)


def _limits(topic: _Topic) -> list[str]:
    """The settings by which records are deleted."""
    limits = {name: topic.number(name) for name in ("retention.ms", "retention.bytes")}
    return [name for name, limit in limits.items() if limit is not None and limit >= 0]


def _largest_message(topic: _Topic) -> Iterator[SettingFault]:
    limit = topic.number("max.message.bytes")
    wanted = int(topic.intended.get("max.message.bytes", SMALLEST_LIMIT))
    if limit is None or limit >= wanted:
        return
    if topic.name in WRITTEN and limit < SMALLEST_LIMIT:
        yield topic.fault("max.message.bytes", wanted, f"batches of {LARGEST_BATCH} bytes would be refused", True)
    else:
        larger = "the list of a round of snapshots" if topic.name == "state" else "a record"
        yield topic.fault("max.message.bytes", wanted, f"{larger} that is larger would be refused")


def _times(topic: _Topic) -> Iterator[SettingFault]:
    if "message.timestamp.type" not in topic.intended:
        return
    if topic.settings.get("message.timestamp.type") == "LogAppendTime":
        yield topic.fault("message.timestamp.type", "CreateTime", "records lose the times that they were stamped with")
    oldest, wanted = topic.number("message.timestamp.before.max.ms"), topic.intended["message.timestamp.before.max.ms"]
    if oldest is not None and oldest < int(wanted):
        age = duration(str(oldest))
        yield topic.fault("message.timestamp.before.max.ms", wanted, f"records older than {age} would be refused")


def _replication(topic: _Topic) -> Iterator[SettingFault]:
    setting, replicas = "min.insync.replicas", topic.replicas
    needed = topic.number(setting) or 1
    if needed > replicas:
        effect = f"nothing can be written, as a partition has {_replicas(replicas)}"
        yield topic.fault(setting, max(1, replicas - 1), effect, True)
    elif needed == replicas > 1:
        effect = f"nothing can be written while one of the {replicas} replicas is away"
        yield topic.fault(setting, replicas - 1, effect)
    elif needed == 1 and replicas > 2 and setting in topic.settings:
        effect = "a record that one broker alone had acknowledged is lost with that broker"
        yield topic.fault(setting, replicas - 1, effect)
    if replicas > 1 and topic.settings.get("unclean.leader.election.enable") == "true":
        effect = "a broker that lacks acknowledged records may become the leader"
        yield topic.fault("unclean.leader.election.enable", "false", effect)


def _replicas(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


def policies(settings: Settings) -> set[str]:
    """Those of `cleanup.policy`; empty where the broker does not report it."""
    return {policy.strip() for policy in settings.get("cleanup.policy", "").split(",")} - {""}


def kept(settings: Settings) -> str:
    """How long a topic's records are kept, in words."""
    chosen = policies(settings)
    if not chosen:
        return "unknown: the broker does not report it"
    limits = []
    if "delete" in chosen:
        age, size = settings.get("retention.ms", "-1"), settings.get("retention.bytes", "-1")
        limits = [duration(age)] if age != "-1" else []
        limits += [f"at most {size} bytes a partition"] if size != "-1" else []
    if "compact" in chosen:
        return ", ".join(["the latest of each key (compacted)", *limits])
    return ", ".join(limits) or "for ever"


def differences(name: str, settings: Settings) -> dict[str, tuple[str, str]]:
    """Settings that are not as intended: what the broker has, and what was intended."""
    return {
        setting: (settings[setting], wanted)
        for setting, wanted in TOPICS[name].settings.items()
        if settings.get(setting, wanted) != wanted
    }


def duration(milliseconds: str) -> str:
    """In the largest unit that it is a whole number of.

    >>> duration("604800000"), duration("5400000"), duration("1000"), duration("1500")
    ('7 days', '90 minutes', '1 second', '1500 ms')
    """
    number = int(milliseconds)
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)):
        if number >= size and number % size == 0:
            return f"{number // size} {unit}{'' if number == size else 's'}"
    return f"{number} ms"
