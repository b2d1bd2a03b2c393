"""What the log knows of one partition.

The `state` topic holds snapshots, the roster of the last complete round of them, and the marker of what is published;
`control` holds what was applied. `streams.recovery.plan` decides where an owner goes on from it.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import msgspec

from schemas.canonical import sha256_hex
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import (
    Applied,
    DeletedUnread,
    LeaveOut,
    Marker,
    RefusedBars,
    Roster,
    Snapshot,
    canonical_interval,
    decode_control,
    decode_signal,
    decode_state,
)
from schemas.wire.cross_sections import Prediction, decode_prediction_record
from streams.kafka.gaps import Span, merged
from streams.kafka.log import Log
from streams.kafka.partitioner import PartitionerChange, with_change
from streams.kafka.topics import topic_name

logger = logging.getLogger("alphawire.state")
TAIL = 2_000
ROSTERS = 4


@dataclass
class StoredState:
    """The latest of each record on the log."""

    marker: Marker | None = None
    rosters: dict[str, Roster] = field(default_factory=dict)
    """The last few, by the SHA-256 of their bytes: the marker names one of them."""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    history: dict[str, list[Applied]] = field(default_factory=dict)
    """All that was ever applied, by strategy, in the order of the log."""
    partitioners: list[PartitionerChange] = field(default_factory=list)
    """Which partitioner judges the bars, from each offset on; empty: no worker said it yet."""
    beyond: dict[str, int] = field(default_factory=dict)
    """By strategy, the offset after its last signal on the log, where that was looked for."""
    bars: str | None = None
    """The topic that markers are taken of; None: of any."""
    refused: dict[int, int] = field(default_factory=dict)
    """By offset, the clock (ms) by which a bar was refused."""
    left_out: dict[int, LeaveOut] = field(default_factory=dict)
    """By offset, the bars that an operator asked to leave out."""
    unread: dict[str, list[Span]] = field(default_factory=dict)
    """By topic and partition (``bars/0``), the offsets of records that were deleted before they were read."""
    track: str = ""
    tracks: dict[str, "StoredState"] = field(default_factory=dict)
    """Marker and rosters of the other tracks."""

    def of_track(self, track: str) -> "StoredState":
        """The same as the owner of a track sees it: its marker and rosters, what is published on any of them."""
        markers = [other.marker for other in (self, *self.tracks.values()) if other.marker]
        own = self if not track else self.tracks.get(track) or StoredState()
        marker = own.marker
        if markers:
            marker = marker or Marker(markers[0].topic, markers[0].partition, 0, {}, track=track)
            marker = msgspec.structs.replace(marker, published=self.published)
        return replace(self, marker=marker, rosters=own.rosters, track=track)

    @property
    def published(self) -> dict[str, int]:
        """By strategy: everything before this offset is on the log."""
        published: dict[str, int] = {}
        for track in (self, *self.tracks.values()):
            for name, offset in (track.marker.published if track.marker else {}).items():
                published[name] = max(offset, published.get(name, 0))
        return published

    @property
    def roster(self) -> Roster | None:
        """That of the last complete round, which the marker names."""
        return self.rosters.get(self.marker.roster or "") if self.marker else None

    @property
    def applied(self) -> dict[str, Applied]:
        """What is in force."""
        return {name: entries[-1] for name, entries in self.history.items()}

    def dealt_with(self, entry: Applied) -> int:
        """Everything before this offset is dealt with for a strategy, beyond the marker too: by its last signal on the
        log; of one that publishes changes, and may have had nothing to say, by its states.
        """
        own = (snapshot.offset for snapshot in self.snapshots.values() if snapshot.owner == entry.strategy)
        said = max(own, default=0) if entry.config.get("publish") == "changes" else 0
        return max(self.beyond.get(entry.strategy, 0), said)

    def memory_begin(self, intervals: Collection[str]) -> int | None:
        """Where the memory of repeats begins: it belongs to the interval, so with the first strategy of it, ever."""
        entries = [entry for entries in self.history.values() for entry in entries]
        return min((entry.origin.offset for entry in entries if interval_of(entry) in intervals), default=None)

    def left_out_of(self, interval: str) -> list[int]:
        """The bars of the interval that are to be left out: they are in no state of its strategies, nor in its memory
        of repeats.
        """
        return sorted(at for at, one in self.left_out.items() if canonical_interval(one.interval) == interval)

    def take_state(self, value: bytes | None, key: bytes | None = None) -> None:
        """A record of `state`, in log order."""
        if value is None:
            self.snapshots.pop((key or b"").decode("utf-8", "replace"), None)
            return
        try:
            record = decode_state(value)
        except BadRecord as error:
            logger.warning("a foreign record on the state topic is ignored: %s", error)
            return
        if isinstance(record, Marker | Roster) and record.track != self.track:
            other = self.tracks.setdefault(record.track, StoredState(bars=self.bars, track=record.track))
            other.take_state(value, key)
        elif isinstance(record, Marker):
            self.marker = record if self.bars in (None, record.topic) else self.marker
        elif isinstance(record, Roster):
            self.rosters[sha256_hex(value)] = record
            if len(self.rosters) > ROSTERS:
                del self.rosters[next(iter(self.rosters))]
        elif isinstance(record, Snapshot):
            self.snapshots[f"{record.owner}/{record.symbol}"] = record

    def take_control(self, value: bytes | None) -> None:
        """A record of `control`, in log order."""
        try:
            record = decode_control(value)
        except BadRecord:
            return
        if isinstance(record, Applied):
            self.history.setdefault(record.strategy, []).append(record)
            if record.partitioner is not None:
                change = PartitionerChange(record.partitioner_from, record.partitioner, record.source or "")
                self.partitioners = with_change(self.partitioners, change)
        elif isinstance(record, RefusedBars) and self.bars in (None, record.topic):
            self.refused |= zip(record.offsets, record.clocks, strict=True)
        elif isinstance(record, LeaveOut) and self.bars in (None, record.topic):
            self.left_out[record.offset] = record
        elif isinstance(record, DeletedUnread):
            place = f"{record.topic}/{record.partition}"
            self.unread[place] = merged([*self.unread.get(place, []), Span(record.begin, record.end)])


def interval_of(entry: Applied) -> str:
    """That of the strategy's bars; a configuration may name it otherwise (``60m`` for ``1h``)."""
    return canonical_interval(str(entry.config.get("interval")))


def marker_key(topic: str, partition: int, track: str = "") -> bytes:
    return f"{topic}/{partition}{track and f'/{track}'}".encode()


def roster_key(topic: str, partition: int, track: str = "") -> bytes:
    return marker_key(topic, partition, track) + b"/roster"


def snapshot_key(snapshot: Snapshot) -> bytes:
    return f"{snapshot.owner}/{snapshot.symbol}".encode()


async def load(log: Log, partition: int) -> StoredState:
    """Reads the partition of `state` and `control` to their ends."""
    stored = StoredState(bars=topic_name(log, "bars"))
    async for record in log.records("state", partition, isolation="read_committed"):
        stored.take_state(record.value, record.key)
    await _take_control(log, partition, stored)
    return stored


async def load_control(log: Log, partition: int) -> StoredState:
    """What `control` alone says of a partition: which bars a clock refused or an operator left out, which
    partitioner judges the others; nothing in an archive of bars alone.
    """
    stored = StoredState(bars=topic_name(log, "bars"))
    try:
        await log.partition_count("control")
    except ConfigurationError:
        return stored
    await _take_control(log, partition, stored)
    return stored


async def _take_control(log: Log, partition: int, stored: StoredState) -> None:
    async for record in log.records("control", partition, isolation="read_committed"):
        stored.take_control(record.value)


def decode_applied(value: bytes | None) -> Applied | None:
    """The `applied` record, or None for anything else on `control`."""
    try:
        record = decode_control(value)
    except BadRecord:
        return None
    return record if isinstance(record, Applied) else None


async def look_beyond(log: Log, partition: int, names: Collection[str]) -> dict[str, int]:
    """By strategy, the offset after the bar of its last signal on the log, which without transactions may lie beyond
    the marker.
    """

    def place(value: bytes | None) -> tuple[str, int]:
        signal = decode_signal(value)
        return signal.content.strategy, signal.provenance.offset

    return await _look_back(log, "signals", partition, names, place)


async def look_beyond_predictions(log: Log, partition: int, name: str, home: int) -> dict[str, int]:
    """The same for a strategy with cross-sections: its predictions lie on their own partition, its `home`."""

    def place(value: bytes | None) -> tuple[str, int] | None:
        record = decode_prediction_record(value)
        if isinstance(record, Prediction) and record.provenance.partition == partition:
            return record.strategy, record.provenance.offset
        return None

    return await _look_back(log, "predictions", home, [name], place)


async def _look_back(
    log: Log,
    topic: str,
    partition: int,
    names: Collection[str],
    place: Callable[[bytes | None], tuple[str, int] | None],
) -> dict[str, int]:
    """Looks back from the end until each has been seen; `place` tells strategy and offset of the bar."""
    begin, end = await log.offset_range(topic, partition)
    start, beyond = end, dict[str, int]()
    while start > begin and not beyond.keys() >= set(names):
        start = max(begin, end - 2 * max(end - start, TAIL // 2))
        beyond = {}
        async for record in log.records(topic, partition, start):
            try:
                placed = place(record.value)
            except BadRecord:
                continue
            if placed is not None:
                name, offset = placed
                beyond[name] = max(beyond.get(name, 0), offset + 1)
    return beyond
