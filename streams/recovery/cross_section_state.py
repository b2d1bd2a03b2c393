"""What the log knows of one partition of `predictions`: its marker, and the states of its strategies."""

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field

from schemas.errors import BadRecord
from schemas.wire import Applied, Gathered, Marker, decode_state
from streams.kafka.log import Log
from streams.kafka.topics import topic_name
from streams.recovery.state import load_control


@dataclass
class CrossSectionState:
    """The latest of each record; `begin` and `end` are the offsets that the partition of `topic` holds now.

    A former owner's records all lie before `written`, beyond `end` where a transaction is open.
    """

    topic: str
    begin: int = 0
    end: int = 0
    written: int = 0
    marker: Marker | None = None
    strategies: dict[str, Gathered] = field(default_factory=dict)
    applied: dict[tuple[str, str], Applied] = field(default_factory=dict)
    """By strategy and configuration hash, what was ever in force on a partition of the bars, where a cross-section is
    predicted by it.
    """

    def take(self, value: bytes | None) -> None:
        """A record of `state`, in log order."""
        try:
            record = decode_state(value)
        except BadRecord:
            return
        if isinstance(record, Marker) and record.topic == self.topic:
            self.marker = record
        elif isinstance(record, Gathered) and record.topic == self.topic:
            self.strategies[record.strategy] = record

    @property
    def reached(self) -> int:
        """How far the partition was dealt with, as any of its records says."""
        marked = self.marker.offset if self.marker else 0
        return max([marked, *(state.offset for state in self.strategies.values())])

    def published(self, strategy: str) -> int:
        """What the strategy's records before this offset led to is on the log."""
        state = self.strategies.get(strategy)
        marked = self.marker.published.get(strategy, 0) if self.marker else 0
        return max(marked, state.offset if state else 0)

    def knows(self, strategy: str) -> bool:
        """Has the strategy been dealt with before?"""
        return strategy in self.strategies or bool(self.marker and strategy in self.marker.published)

    def needed(self, strategy: str) -> int:
        """The oldest record that the strategy still needs: what waits for its closing, else what comes next."""
        state = self.strategies.get(strategy)
        return min(state.floor, state.offset) if state else self.published(strategy)


def cross_section_state_key(state: Gathered) -> bytes:
    return f"{state.topic}/{state.partition}/{state.strategy}".encode()


async def load_cross_sections(log: Log, partition: int, predicting: Set[str] = frozenset()) -> CrossSectionState:
    """Reads the partition of `state` to its end; of the strategies that are `predicting` what was applied, too."""
    stored = CrossSectionState(topic_name(log, "predictions"))
    async for record in log.records("state", partition, isolation="read_committed"):
        stored.take(record.value)
    (stored.begin, stored.end), (_, stored.written) = await asyncio.gather(
        log.offset_range("predictions", partition, isolation="read_committed"),
        log.offset_range("predictions", partition),
    )
    if predicting:
        numbers = range(await log.partition_count("control"))
        for control in await asyncio.gather(*(load_control(log, number) for number in numbers)):
            for name in predicting & control.history.keys():
                stored.applied |= {(name, entry.config_hash): entry for entry in control.history[name]}
    return stored
