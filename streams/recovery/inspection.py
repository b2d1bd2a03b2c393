"""States on the log, as operators see them; and the way to have a strategy's states folded anew."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.clients import gives_producer_ids, offset_range, open_producer
from streams.kafka.log import KafkaLog
from streams.kafka.topics import partition_count, topic_name
from streams.publishing.writer import PRODUCER, Record, Writer
from streams.recovery.plan import NEWS_TRACK, of_track, resume_plan
from streams.recovery.state import StoredState, load, load_control, snapshot_key
from streams.requests.groups import members


@dataclass
class OwnerState:
    """The snapshots of one owner (a strategy, or ``:interval`` for the memory of repeats) on a partition."""

    symbols: int = 0
    bars: int = 0
    bytes: int = 0
    oldest: int | None = None
    """Offset of the oldest snapshot."""


@dataclass
class PartitionState:
    """What the log holds of a partition of the bars, and what a worker with this configuration would make of it."""

    partition: int
    begin: int
    end: int
    marked: int
    floor: int | None
    published: dict[str, int]
    owners: dict[str, OwnerState]
    applied: dict[str, dict[str, Any]]
    rebuilt: dict[str, str] = field(default_factory=dict)
    """Strategies that would be folded again, each with the reason."""
    refused: str | None = None
    """Why a worker with this configuration would not take the partition."""


async def overview(kafka: Kafka, strategies: Sequence[ReadyStrategy]) -> list[PartitionState]:
    """Each partition as the log shows it."""
    return [await _partition(kafka, number, strategies) for number in range(await partition_count(kafka))]


async def _partition(kafka: Kafka, number: int, strategies: Sequence[ReadyStrategy]) -> PartitionState:
    bars = topic_name(kafka, "bars")
    stored = await load(KafkaLog(kafka), number)
    begin, end = await offset_range(kafka, bars, number)
    known = {name: entry.config for name, entry in stored.applied.items()}
    as_written = [strategy.spelled_as(known.get(strategy.name, strategy.config)) for strategy in strategies]
    marker = stored.marker
    state = PartitionState(
        number, begin, end, marker.offset if marker else 0, marker.floor if marker else None,
        stored.published, _owners(stored),
        {name: _in_force(entry) for name, entry in stored.applied.items()},
    )  # fmt: skip
    try:
        for track in ("", NEWS_TRACK):
            if ready := of_track(as_written, track):
                planned = resume_plan(stored.of_track(track), ready, bars, number, begin, end)
                state.rebuilt |= planned.behind or ({track or "*": planned.why_rebuilt} if planned.why_rebuilt else {})
    except ConfigurationError as error:
        state.refused = str(error)
    return state


async def models_in_force(kafka: Kafka, strategy: str) -> dict[int, str | None]:
    """By partition of the bars, the SHA-256 of the model that is in force there, as `control` says; a partition for
    which no worker has said anything yet is missing.
    """
    log, found = KafkaLog(kafka), {}
    for number in range(await partition_count(kafka)):
        if applied := (await load_control(log, number)).applied.get(strategy):
            found[number] = applied.model.sha256 if applied.model else None
    return found


def _owners(stored: StoredState) -> dict[str, OwnerState]:
    owners: dict[str, OwnerState] = defaultdict(OwnerState)
    for snapshot in stored.snapshots.values():
        owner = owners[snapshot.owner]
        owner.symbols += 1
        owner.bars += snapshot.count
        owner.bytes += len(snapshot.payload)
        owner.oldest = snapshot.offset if owner.oldest is None else min(owner.oldest, snapshot.offset)
    return dict(sorted(owners.items()))


def _in_force(entry: Any) -> dict[str, Any]:
    return {
        "offset": entry.offset,
        "origin": entry.origin.offset,
        "config_hash": entry.config_hash,
        "model": entry.model.sha256 if entry.model else None,
        "artifact": entry.artifact,
        "paused": entry.paused,
        "partitioner": entry.partitioner,
        "group": entry.group,
    }


async def rebuild(kafka: Kafka, strategy: str, partitions: Collection[int] | None = None) -> dict[int, int]:
    """Takes the snapshots of `strategy` off the log (of these partitions, or of all), so that the next owner folds them
    anew from their origin, silently up to what is published. Returns how many, by partition.

    Raises
    ------
    ConfigurationError
        When workers of the group are running, as far as the broker can tell: they would write their states again.
    """
    count = await partition_count(kafka)
    if unknown := [number for number in partitions or () if not 0 <= number < count]:
        raise ConfigurationError(
            f"there is no partition {unknown[0]}; {topic_name(kafka, 'bars')} has 0 to {count - 1}"
        )
    if members := await running(kafka):
        raise ConfigurationError(
            f"{members} of the group {kafka.group} are running, and would write their states again; stop them first"
            f" (one that was killed counts until its session of {kafka.session_timeout:g} s is over)"
        )
    topic, taken = topic_name(kafka, "state"), dict[int, int]()
    async with open_producer(kafka, **PRODUCER) as producer:
        for number in sorted(partitions or range(count)):
            snapshots = [s for s in (await load(KafkaLog(kafka), number)).snapshots.values() if s.owner == strategy]
            await Writer(producer).write(number, [Record(topic, snapshot_key(s), None) for s in snapshots])
            taken[number] = len(snapshots)
    return taken


async def running(kafka: Kafka) -> int:
    """How many of its workers read the bars now; 0 where the broker does not know (Tansu shows members for ever)."""
    if not await gives_producer_ids(kafka):
        return 0
    if (count := await members(kafka, kafka.group, topic_name(kafka, "bars"))) is None:
        raise BrokerError(f"{kafka.bootstrap} does not describe the group {kafka.group}; allow it (DESCRIBE)")
    return count
