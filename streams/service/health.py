"""How the owned partitions stand, and whether a worker is fit to work. For supervisors and load balancers:
``/health/live`` and ``/health/ready``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from streams.kafka.gaps import describe_unread
from streams.owners.bars_owner import BarsOwner
from streams.owners.chunk_owner import ChunkOwner


@dataclass(frozen=True)
class PartitionStatus:
    """How far an owned partition of bars or of predictions is. It is read up to `position`; what everything before
    `published` led to is on the log; its own log ends at `end`, by the last fetch (None: none since it was assigned).

    `restored`: its state is what the log says, and it goes on from there.
    """

    place: str
    number: int
    position: int
    published: int
    end: int | None
    restored: bool

    @property
    def lag(self) -> int | None:
        """Records that are on the log and not dealt with; None while the log's end is not known."""
        return None if self.end is None else max(self.end - self.published, 0)

    @property
    def behind(self) -> bool:
        """Is something fed and not published, or on the log and not fed?"""
        return self.position > self.published or (self.end is not None and self.end > self.position)


def partition_statuses(app: Any, bars: ChunkOwner[Any, Any]) -> dict[str, list[PartitionStatus]]:
    """Those of all partitions that the process owns, in the order of their numbers: of `bars`, and of `predictions`
    where there are cross-sections.
    """
    return {owner.kind: _statuses(app, owner) for owner in _owners(app, bars)}


def _owners(app: Any, bars: ChunkOwner[Any, Any]) -> list[ChunkOwner[Any, Any]]:
    return [bars, app.cross_sections] if app.cross_sections else [bars]


def _statuses(app: Any, owner: ChunkOwner[Any, Any]) -> list[PartitionStatus]:
    def end(number: int) -> int | None:
        offset: int | None = app.consumer.log_end(TP(owner.topic, number)) if app.consumer else None
        return offset

    return [
        PartitionStatus(
            part.place, number, max(track.position for track in owner.tracks_of(part)), owner.published(number),
            end(number), part.restored,
        )
        for number, part in sorted(owner.partitions.items())
    ]  # fmt: skip


def unready(app: Any, bars: BarsOwner) -> dict[str, str]:
    """The conditions that fail, of `assigned`, `restored`, `strategies`, `symbols`, `deleted`, `registry` and `lag`,
    each with the reason; empty when ready.

    A worker of a group with more workers than partitions owns none: it is ready as a spare, once others own them.
    """
    if bars.generation < 0 and not app.assignor.assigned_actives():
        return {"assigned": "the group has not given out its partitions yet"}
    owners = _owners(app, bars)
    if unowned := [place for owner in owners if (place := _given_to_nobody(app, owner, bars.partition_count))]:
        return {"assigned": f"the group gave {'; '.join(unowned)} to no worker, its leader did not know of them yet"}
    statuses = partition_statuses(app, bars)
    if missing := [place for owner in owners if (place := _not_restored(app, owner, statuses[owner.kind]))]:
        return {"restored": f"{'; '.join(missing)}: the state is being restored"}
    if waits := bars.waits():
        return {"registry": waits}
    bound = bars.config.worker.ready_lag
    late = [
        f"{status.place} is {'not fetched yet' if status.lag is None else f'{status.lag} {kind} behind'}"
        for kind, own in statuses.items()
        for status in own
        if status.lag is None or status.lag > bound
    ]
    lag = {"lag": f"{'; '.join(late)}; worker.ready_lag is {bound}"} if late else {}
    return _stopped(owners) | _scattered(bars) | _unread(owners) | lag


def _scattered(bars: BarsOwner) -> dict[str, str]:
    """Symbols that lie on several partitions."""
    fault = bars.places.fault()
    return {"symbols": fault} if fault else {}


def _unread(owners: Iterable[ChunkOwner[Any, Any]]) -> dict[str, str]:
    """Records that were deleted before they were read, since the partitions were taken over."""
    parts = [(owner, part) for owner in owners for _, part in sorted(owner.partitions.items())]
    tracks = [track for owner, part in parts for track in owner.tracks_of(part)]
    lines = [line for track in tracks for place, gaps in track.unread.items() for line in describe_unread(place, gaps)]
    return {"deleted": "; ".join(dict.fromkeys(lines))} if lines else {}


def _given_to_nobody(app: Any, owner: ChunkOwner[Any, Any], count: int) -> str | None:
    """The partitions of a topic, in one text, that no member of the group was given: Faust's leader leaves out what its
    client does not know of at that moment.
    """
    given = app.assignor.external_topic_distribution.values()
    left = set(range(count)).difference(*(topics.get(owner.topic, ()) for topics in given))
    return f"{owner.topic}/{', '.join(map(str, sorted(left)))}" if left else None


def _stopped(owners: Iterable[ChunkOwner[Any, Any]]) -> dict[str, str]:
    """Strategies that failed, on the bars and on cross-sections."""
    lines = [
        f"{failure.strategy} stopped on {owner.kind}/{number}, at offset {failure.offset}, {failure.reason}"
        for owner in owners
        for number, failure in owner.failures()
    ]
    return {"strategies": "; ".join(lines)} if lines else {}


def _not_restored(app: Any, owner: ChunkOwner[Any, Any], statuses: Iterable[PartitionStatus]) -> str | None:
    """The partitions of a topic, in one text, that the group gave to this process and that it has not taken over, or
    whose states it still folds silently. The client's own assignment is empty while the group rebalances.
    """
    given = {tp.partition for tp in app.assignor.assigned_actives() if tp.topic == owner.topic}
    missing = given - {status.number for status in statuses if status.restored}
    return owner.place(sorted(missing)) if missing else None
