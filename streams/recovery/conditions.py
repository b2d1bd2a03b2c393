"""What holds for a whole partition while an owner has it, beside what its strategies are: said in each `applied`.

A partitioner, or a source of the bars, that is new takes effect from the first bar on that nothing on the log depends
on yet. So what was published, and every state, is of the former one, whoever folds it again and from where.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from schemas.configuration import Kafka
from schemas.wire import Applied
from streams.kafka.partitioner import PartitionerChange, with_change
from streams.recovery.plan import ResumePlan
from streams.recovery.state import StoredState


@dataclass(frozen=True)
class Conditions:
    """`end`: where the log of the bars ended when the owner came."""

    group: str
    partitioners: Sequence[PartitionerChange]
    exactly_once: bool
    end: int

    def said_in(self, entry: Applied, known: Applied | None) -> Applied:
        """The entry with all of it, where `known` is in force; the very same one where it says so already."""
        change = self.partitioners[-1]
        said = msgspec.structs.replace(
            entry, group=self.group, partitioner=change.partitioner, partitioner_from=change.offset,
            source=change.source or None, exactly_once_from=self._exactly_once_from(known),
        )  # fmt: skip
        return entry if said == entry else said

    def _exactly_once_from(self, known: Applied | None) -> int | None:
        """What was published without transactions may be there twice."""
        if not self.exactly_once:
            return None
        if known is None:
            return 0
        return self.end if known.exactly_once_from is None else known.exactly_once_from


def conditions_of(stored: StoredState, kafka: Kafka, exactly_once: bool, end: int) -> Conditions:
    """Those of an owner by this configuration, on a partition of which the log knows what is `stored`."""
    partitioners, now = stored.partitioners, (kafka.partitioner, kafka.bars_source)
    if not partitioners or partitioners[-1][1:] != now:
        change = PartitionerChange(_reached(stored) if partitioners else 0, *now)
        partitioners = with_change(partitioners, change)
    return Conditions(kafka.group, partitioners, exactly_once, end)


def _reached(stored: StoredState) -> int:
    """Nothing on the log depends on the bars from this offset on."""
    marked = [track.marker.offset for track in (stored, *stored.tracks.values()) if track.marker]
    published = [*stored.published.values(), *stored.beyond.values()]
    return max([0, *marked, *published, *(snapshot.offset for snapshot in stored.snapshots.values())])


def say(plan: ResumePlan, stored: StoredState, conditions: Conditions) -> None:
    """The plan as it is carried out under these conditions, which its `applied` records say."""
    plan.partitioners = conditions.partitioners
    for name, entry in plan.applied.items():
        plan.applied[name] = conditions.said_in(entry, stored.applied.get(name))
    plan.new = [entry for name, entry in plan.applied.items() if entry is not stored.applied.get(name)]
