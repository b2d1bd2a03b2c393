"""What the log knows of one partition, and where its owner goes on from it.

The `state` topic holds snapshots, the roster of the last complete round of them, and the marker of what is published;
`control` holds what was applied. A round is trusted only whole: every state that the roster lists must be there, at
its count of bars or further. Anything else is folded again from its origin.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from plugins.pipeline import Pipeline
from plugins.strategy import ReadyStrategy
from schemas.canonical import sha256_hex
from schemas.config import Kafka
from schemas.errors import ConfigurationError
from schemas.messages import Applied, Marker, Origin, Roster, Snapshot, StateRecord
from streams.clients import read_partition_to_end
from streams.topics import topic_name

log = logging.getLogger("alphawire.state")
_state_decoder = msgspec.json.Decoder(StateRecord)
_applied_decoder = msgspec.json.Decoder(Applied)


@dataclass
class Stored:
    """The latest of each record, as found on the log."""

    marker: Marker | None = None
    roster: Roster | None = None
    roster_sha256: str | None = None
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    applied: dict[str, Applied] = field(default_factory=dict)

    def take_state(self, value: bytes | None) -> None:
        """A record of `state`, in log order."""
        try:
            record = _state_decoder.decode(value or b"")
        except msgspec.MsgspecError as error:
            log.warning("a foreign record on the state topic is ignored: %s", error)
            return
        if isinstance(record, Marker):
            self.marker = record
        elif isinstance(record, Roster):
            self.roster, self.roster_sha256 = record, sha256_hex(value or b"")
        else:
            self.snapshots[f"{record.owner}/{record.symbol}"] = record

    def take_control(self, value: bytes | None) -> None:
        """A record of `control`, in log order."""
        if applied := decode_applied(value):
            self.applied[applied.strategy] = applied


def marker_key(topic: str, partition: int) -> bytes:
    return f"{topic}/{partition}".encode()


def roster_key(topic: str, partition: int) -> bytes:
    return f"{topic}/{partition}/roster".encode()


def snapshot_key(snapshot: Snapshot) -> bytes:
    return f"{snapshot.owner}/{snapshot.symbol}".encode()


async def load(kafka: Kafka, partition: int) -> Stored:
    """Reads the partition of `state` and `control` to their ends."""
    stored = Stored()
    async for record in read_partition_to_end(kafka, topic_name(kafka, "state"), partition, isolation="read_committed"):
        stored.take_state(record.value)
    async for record in read_partition_to_end(
        kafka, topic_name(kafka, "control"), partition, isolation="read_committed"
    ):
        stored.take_control(record.value)
    return stored


def decode_applied(value: bytes | None) -> Applied | None:
    """The `applied` record, or None for anything else on `control`."""
    try:
        return _applied_decoder.decode(value or b"")
    except msgspec.MsgspecError:
        return None


@dataclass
class Plan:
    """How a partition goes on: read from `position`, with these states, and what to write first.

    Everything before offset `marked` is on the log already (for a strategy: before its offset in `published`). From
    `settled` on no state is ahead of the reading any more.
    """

    position: int
    snapshots: list[Snapshot]
    applied: dict[str, Applied]
    new: list[Applied]
    published: dict[str, int]
    marked: int
    settled: int
    floor: int | None = None
    roster: str | None = None
    why_rebuilt: str | None = None


def plan(stored: Stored, strategies: Iterable[ReadyStrategy], topic: str, partition: int, begin: int, end: int) -> Plan:
    """Where each strategy goes on; `begin` and `end` are the offsets that the log of the bars holds now."""
    ready = list(strategies)
    applied, new = _applied(stored, ready, topic, partition, begin, end)
    marker = stored.marker
    published = {
        name: max(entry.publish_from, marker.published.get(name, 0) if marker else 0) for name, entry in applied.items()
    }
    marked = marker.offset if marker else 0
    fault = _snapshot_fault(stored, ready, new)
    if fault is None and marker is not None and marker.floor is not None:
        wanted = {strategy.name for strategy in ready} | {f":{strategy.interval}" for strategy in ready}
        snapshots = [snapshot for snapshot in stored.snapshots.values() if snapshot.owner in wanted]
        settled = max((snapshot.offset for snapshot in snapshots), default=marker.floor)
        return Plan(marker.floor, snapshots, applied, new, published, marked, settled, marker.floor, marker.roster)
    position = min((entry.origin.offset for entry in applied.values()), default=end)
    return Plan(position, [], applied, new, published, marked, position, why_rebuilt=fault)


def _applied(
    stored: Stored, strategies: list[ReadyStrategy], topic: str, partition: int, begin: int, end: int
) -> tuple[dict[str, Applied], list[Applied]]:
    """What is in force for each strategy, and which of it is new and must go on the log first."""
    found: dict[str, Applied] = {}
    new: list[Applied] = []
    for strategy in strategies:
        known = stored.applied.get(strategy.name)
        if known is None:
            found[strategy.name] = _first(strategy, topic, partition, begin, end)
            new.append(found[strategy.name])
            continue
        if known.config_hash != strategy.config_hash:
            raise ConfigurationError(
                f"strategy {strategy.name} runs with configuration {known.config_hash} on the log, and is"
                f" {strategy.config_hash} here; a running strategy cannot be changed yet:"
                " give the changed one another name, or restore its configuration and model"
            )
        found[strategy.name] = known
    return found, new


def _first(strategy: ReadyStrategy, topic: str, partition: int, begin: int, end: int) -> Applied:
    """A new strategy's state begins as far back as the configuration says and the topic holds; it publishes from
    `start`.
    """
    origin = begin if strategy.config["origin"] == "earliest" else end
    publish_from = max(origin, end) if strategy.config["start"] == "now" else origin
    return Applied(
        strategy=strategy.name,
        topic=topic,
        partition=partition,
        offset=publish_from,
        origin=Origin(partition, origin),
        publish_from=publish_from,
        config_hash=strategy.config_hash,
        config=strategy.config,
        model=strategy.model_id,
        layout=strategy.layout,
    )


def _snapshot_fault(stored: Stored, strategies: list[ReadyStrategy], new: list[Applied]) -> str | None:
    """Why the stored states cannot be used, or None when they can."""
    marker, roster = stored.marker, stored.roster
    if marker is None or marker.floor is None:
        return None
    floor = marker.floor
    if roster is None or stored.roster_sha256 != marker.roster or roster.floor != floor:
        return "the roster of the last round of snapshots is missing or another one's"
    if early := [entry.strategy for entry in new if entry.origin.offset < floor]:
        return f"{', '.join(early)} is new and begins before the last round of snapshots"
    layouts = {strategy.name: strategy.layout for strategy in strategies}
    for key, count in roster.counts.items():
        snapshot = stored.snapshots.get(key)
        if snapshot is None or snapshot.count < count or (snapshot.offset <= floor and snapshot.count != count):
            return f"the snapshot {key} is missing or stale"
        if sha256_hex(snapshot.payload) != snapshot.sha256:
            return f"the snapshot {key} is damaged"
        if layouts.get(snapshot.owner, snapshot.layout) != snapshot.layout:
            return f"the snapshot {key} has the layout of another plugin version or other parameters"
    return _order_fault(stored, strategies, floor)


def _order_fault(stored: Stored, strategies: list[ReadyStrategy], floor: int) -> str | None:
    """A gate ahead of a strategy behind it would take that strategy's next bars for repeats."""
    for strategy in strategies:
        gate_owner = f":{strategy.interval}"
        for snapshot in stored.snapshots.values():
            if snapshot.owner != gate_owner or snapshot.offset <= floor:
                continue
            if strategy.universe is not None and snapshot.symbol not in strategy.universe:
                continue
            behind = stored.snapshots.get(f"{strategy.name}/{snapshot.symbol}")
            if behind is None or behind.offset < snapshot.offset:
                return f"the snapshot {strategy.name}/{snapshot.symbol} is older than the memory of repeats"
    return None


def restore(pipeline: Pipeline, plan: Plan) -> None:
    """Puts the plan's states into a fresh pipeline and tells its runs where they begin and what is published."""
    for name, run in pipeline.runs.items():
        run.begin = plan.applied[name].origin.offset
        run.publish_from = plan.published[name]
    pipeline.restore(plan.snapshots)
