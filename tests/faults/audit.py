"""What no reader of signals ever sees, and what yet must be right: snapshots, rosters, markers, owners."""

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Marker, Roster, Snapshot, StateRecord
from streams.consuming.intake import Intake
from streams.recovery.state import decode_applied
from tests.faults.watch import Observation

BATCH_HEADER = struct.Struct(">qiibIhiqqqhii")
"""Of a record batch, format 2: base offset, length, …, attributes, …, producer id, its epoch, …, number of records."""

_decode_state = msgspec.json.Decoder(StateRecord).decode


def snapshot_faults(
    strategies: Sequence[ReadyStrategy],
    intake: Intake,
    bars: Sequence[Any],
    state: Sequence[Any],
    control: Sequence[Any],
) -> Iterator[str]:
    """Every snapshot on the log against a fresh fold of the bars from its origin up to its offset."""
    entries = [entry for record in control if (entry := decode_applied(record.value)) is not None]
    settings = {entry.strategy: RunSettings(entry.origin.offset, entry.publish_from, entry.offset) for entry in entries}
    pipeline, position = Pipeline(strategies, Source("bars", intake.partition, ""), settings), 0
    by_offset: dict[int, list[Snapshot]] = {}
    for record in state:
        if record.value and isinstance(found := _decode_state(record.value), Snapshot):
            by_offset.setdefault(found.offset, []).append(found)
    for offset, snapshots in sorted(by_offset.items()):
        pipeline.feed(intake.read(bars[position:offset]).batches)
        position = offset
        fresh = fresh_states(pipeline, offset)
        for snapshot in snapshots:
            name = f"{snapshot.owner}/{snapshot.symbol}"
            if fresh.get(name) != (snapshot.count, snapshot.payload):
                yield f"the snapshot {name} at offset {offset} of partition {intake.partition} is not what a fold gives"


def fresh_states(pipeline: Pipeline, offset: int) -> dict[str, tuple[int, bytes]]:
    """Count and payload of all states there are."""
    for group in pipeline.groups.values():
        group.dirty[: len(group.symbols)] = True
    return {f"{s.owner}/{s.symbol}": (s.count, s.payload) for s in pipeline.capture(offset).snapshots()}


def roster_faults(partition: int, state: Sequence[Any]) -> Iterator[str]:
    """Every marker names a roster that came before it; each round is whole when its marker comes; no marker
    goes back.

    In what is compacted already, a state may have been superseded by one that comes after the marker.
    """
    latest: dict[str, Snapshot] = {}
    roster, digest, before = None, "", Marker("", partition, 0, {})
    there = [record for record in state if record.value]
    compacted = _compacted(there)
    superseding = _snapshots(there[:compacted])
    for number, record in enumerate(there):
        found = _decode_state(record.value)
        if isinstance(found, Snapshot):
            latest[f"{found.owner}/{found.symbol}"] = found
        elif isinstance(found, Roster):
            roster, digest = found, hashlib.sha256(record.value).hexdigest()
        else:
            yield from _marker_faults(found, before, roster, digest, superseding if number < compacted else latest)
            before = found


def _compacted(state: Sequence[Any]) -> int:
    """How many records at the beginning may be what compaction left: it leaves one of each key."""
    seen: set[bytes] = set()
    for number, record in enumerate(state):
        if record.key in seen:
            return number
        seen.add(record.key)
    return len(state)


def _snapshots(state: Sequence[Any]) -> dict[str, Snapshot]:
    found = (_decode_state(record.value) for record in state)
    return {f"{record.owner}/{record.symbol}": record for record in found if isinstance(record, Snapshot)}


def _marker_faults(
    marker: Marker, before: Marker, roster: Roster | None, digest: str, latest: Mapping[str, Snapshot]
) -> Iterator[str]:
    where = f"the marker of partition {marker.partition} at offset {marker.offset}"
    if marker.offset < before.offset:
        yield f"{where} goes back from {before.offset}"
    if marker.floor is None or marker.floor == before.floor:
        return
    if roster is None or roster.floor != marker.floor or digest != marker.roster:
        yield f"{where} names a roster that is not there"
        return
    for key, count in roster.counts.items():
        if key not in latest or latest[key].count < count:
            yield f"{where} names a round that lacks {key}"


def observation_faults(
    observations: Sequence[Observation], sources: Mapping[tuple[int, str], Sequence[int]]
) -> Iterator[str]:
    """`sources`: offsets of the bars whose signals there must be, by partition and strategy."""
    for seen in observations:
        for (partition, strategy), offsets in sources.items():
            if partition == seen.partition:
                wanted, found = sum(offset < seen.offset for offset in offsets), seen.signals.get(strategy, 0)
                if found != wanted:
                    yield (
                        f"when the marker of partition {partition} said {seen.offset},"
                        f" {found} of {wanted} signals of {strategy} were there"
                    )


def owners(logs: Path, topic: str, partition: int) -> Iterator[tuple[int, int, int]]:
    """Base offset, producer id and epoch of each batch on the broker's disk, control batches left out."""
    for segment in sorted((logs / f"{topic}-{partition}").glob("*.log")):
        data, at = segment.read_bytes(), 0
        while at + BATCH_HEADER.size <= len(data):
            base, length, *_, attributes, _, _, _, producer, epoch, _, _ = BATCH_HEADER.unpack_from(data, at)
            if length <= 0:
                break
            if not attributes & 0x20:
                yield base, producer, epoch
            at += 12 + length


def owner_faults(logs: Path, topic: str, partition: int) -> Iterator[str]:
    """One owner at a time: each writes with a newer epoch than the one before, and none that was fenced ever again."""
    now: tuple[int, int] | None = None
    for base, producer, epoch in owners(logs, topic, partition):
        if producer < 0:
            yield f"{topic}/{partition}: a batch at {base} without a transaction"
        elif now is not None and producer != now[0]:
            yield f"{topic}/{partition}: at {base} another producer id, {producer} after {now[0]}"
        elif now is not None and epoch < now[1]:
            yield f"{topic}/{partition}: at {base} a fenced owner writes, epoch {epoch} after {now[1]}"
        now = (producer, epoch)
