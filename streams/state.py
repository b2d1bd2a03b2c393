"""What the log knows of one partition, and where its owner goes on from it.

The `state` topic holds snapshots, the roster of the last complete round of them, and the marker of what is published;
`control` holds what was applied. A round is trusted only whole: every state that the roster lists must be there, at
its count of bars or further. Anything else is folded again from its origin.
"""

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from plugins import gate
from plugins.pipeline import Pipeline
from plugins.strategy import ReadyStrategy
from schemas.canonical import sha256_hex
from schemas.config import Kafka
from schemas.errors import BadRecord, ConfigurationError
from schemas.messages import Applied, Marker, Origin, Roster, Snapshot, StateRecord, decode
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
    since: dict[str, int] = field(default_factory=dict)
    """Offset from which each strategy has ever published; its `applied` now may begin later."""

    def take_state(self, value: bytes | None) -> None:
        """A record of `state`, in log order."""
        try:
            record = decode(_state_decoder, value)
        except BadRecord as error:
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
            self.since[applied.strategy] = min(applied.publish_from, self.since.get(applied.strategy, sys.maxsize))


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
        return decode(_applied_decoder, value)
    except BadRecord:
        return None


@dataclass
class Plan:
    """How a partition goes on: read from `position`, with these states, and what to write first.

    Everything before offset `marked` is on the log already; for a strategy (also for those that do not run here):
    before its offset in `published`. From `settled` on no state is ahead of the reading any more.
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
    """Where each strategy goes on; `begin` and `end` are the offsets that the log of the bars holds now.

    Raises `ConfigurationError` for a strategy that was changed, and for bars that are gone though their signals are
    there.
    """
    ready = list(strategies)
    marker = stored.marker or Marker(topic, partition, 0, {})
    if marker.offset > end:
        raise ConfigurationError(
            f"{topic}/{partition} ends at offset {end}, but its signals up to offset {marker.offset} are published:"
            " the topic was made anew, or has lost records; choose another kafka.prefix"
        )
    applied, new = _applied(stored, ready, topic, partition, begin, end)
    snapshots, fault = _usable(stored, ready, applied)
    floor = marker.floor
    if fault is None and floor is not None and floor < begin:
        fault = f"bars before offset {begin} are gone, and the last round of snapshots is of offset {floor}"
    if fault is None and floor is not None:
        settled = max((snapshot.offset for snapshot in snapshots), default=floor)
        published = marker.published | _published(applied, marker)
        return Plan(floor, snapshots, applied, new, published, marker.offset, settled, floor, marker.roster)
    for name in [name for name, entry in applied.items() if entry.origin.offset < begin]:
        fault = (
            f"{fault or 'there are no snapshots'}; {name} has a new origin, as the log no longer reaches its old one"
        )
        applied[name] = _moved(applied[name], max(begin, _published(applied, marker)[name]), begin)
        new.append(applied[name])
    position = max(begin, _memory_begin(stored, applied, end))
    published = marker.published | _published(applied, marker)
    return Plan(position, [], applied, new, published, marker.offset, position, why_rebuilt=fault)


def _published(applied: dict[str, Applied], marker: Marker) -> dict[str, int]:
    return {name: max(entry.publish_from, marker.published.get(name, 0)) for name, entry in applied.items()}


def _memory_begin(stored: Stored, applied: dict[str, Applied], end: int) -> int:
    """The oldest origin of these strategies, and of all that ever shared their memory of repeats."""
    intervals = {entry.config.get("interval") for entry in applied.values()}
    entries = [*applied.values(), *(e for e in stored.applied.values() if e.config.get("interval") in intervals)]
    return min((entry.origin.offset for entry in entries), default=end)


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


def _moved(known: Applied, publish_from: int, begin: int) -> Applied:
    return msgspec.structs.replace(
        known, offset=publish_from, publish_from=publish_from, origin=Origin(known.partition, begin)
    )


def _usable(
    stored: Stored, strategies: list[ReadyStrategy], applied: dict[str, Applied]
) -> tuple[list[Snapshot], str | None]:
    """The states to go on with: those of the last complete round, and later ones. Or why there are none.

    What a round does not list, and is not newer, was left behind by a strategy that did not run then.
    """
    marker, roster = stored.marker, stored.roster
    if marker is None or marker.floor is None:
        return [], None
    floor = marker.floor
    if roster is None or stored.roster_sha256 != marker.roster or roster.floor != floor:
        return [], "the roster of the last round of snapshots is missing or another one's"
    begun = {name for name, entry in applied.items() if entry.origin.offset < floor}
    if absent := sorted(begun.difference(roster.strategies)):
        return [], f"{', '.join(absent)} is not in the last round of snapshots"
    layouts = {strategy.name: strategy.layout for strategy in strategies}
    layouts |= {f":{strategy.interval}": gate.LAYOUT for strategy in strategies}
    used = {
        key: snapshot
        for key, snapshot in stored.snapshots.items()
        if snapshot.owner in layouts and (key in roster.counts or snapshot.offset > floor)
    }
    for key, count in roster.counts.items():
        if key.partition("/")[0] in layouts and _stale(used.get(key), count, floor):
            return [], f"the snapshot {key} is missing or stale"
    for key, snapshot in used.items():
        if sha256_hex(snapshot.payload) != snapshot.sha256:
            return [], f"the snapshot {key} is damaged"
        if layouts[snapshot.owner] != snapshot.layout:
            return [], f"the snapshot {key} has the layout of another plugin version or other parameters"
    fault = _order_fault(used, strategies, floor)
    return ([], fault) if fault else (list(used.values()), None)


def _stale(snapshot: Snapshot | None, count: int, floor: int) -> bool:
    return snapshot is None or snapshot.count < count or (snapshot.offset <= floor and snapshot.count != count)


def _order_fault(snapshots: dict[str, Snapshot], strategies: list[ReadyStrategy], floor: int) -> str | None:
    """A gate ahead of a strategy behind it would take that strategy's next bars for repeats."""
    for strategy in strategies:
        for snapshot in snapshots.values():
            if snapshot.owner != f":{strategy.interval}" or snapshot.offset <= floor:
                continue
            if strategy.universe is not None and snapshot.symbol not in strategy.universe:
                continue
            behind = snapshots.get(f"{strategy.name}/{snapshot.symbol}")
            if behind is None or behind.offset < snapshot.offset:
                return f"the snapshot {strategy.name}/{snapshot.symbol} is older than the memory of repeats"
    return None


def restore(pipeline: Pipeline, plan: Plan) -> None:
    """Puts the plan's states into a fresh pipeline and tells its runs where they begin and what is published."""
    for name, run in pipeline.runs.items():
        run.begin = plan.applied[name].origin.offset
        run.publish_from = plan.published[name]
    pipeline.restore(plan.snapshots)
