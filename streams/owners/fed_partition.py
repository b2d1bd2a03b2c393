"""What the owners of bars and of predictions have in common for a partition: it is fed chunk by chunk."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from plugins.pipeline.outcome import Failure
from schemas.wire import DeletedUnread, encode
from streams.consuming.transport import Chunk
from streams.kafka.gaps import Span, clipped, describe_unread, merged, size_of
from streams.publishing.pending_output import PendingOutput
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Record

log = logging.getLogger("alphawire.partition")


class FedPartition(PendingOutput, ABC):
    """State and pending output of one partition; `feed` never awaits, so a rebalance only ever sees whole chunks."""

    counts: Counter[str]
    names: TopicNames
    topic: str
    """Which it is a partition of."""
    whole_from: int = 0
    """Gaps before this offset are known, or were read before they became gaps."""
    unread: Mapping[str, Sequence[Span]] = MappingProxyType({})
    """By place (``bars/0``), the offsets of records that were gone before they were read."""

    @property
    def traced(self) -> str:
        """What its bars are called in a trace (`streams.process.trace`)."""
        return f"{self.topic}/{self.number}"

    @property
    @abstractmethod
    def failures(self) -> Mapping[str, Failure]:
        """Strategies that stopped."""

    @property
    @abstractmethod
    def restored(self) -> bool:
        """Is its state what the log says?"""

    def feed(self, chunk: Chunk) -> None:
        """Steps over a chunk; what it leads to waits until the publisher takes it."""
        if chunk.next <= self.position:
            return
        if chunk.start > self.position:
            raise AssertionError(f"{self.place}: a gap from {self.position} to {chunk.start}")
        self.note_unread(clipped(chunk.gaps, max(self.whole_from, self.position), chunk.next))
        self._step_over(chunk)

    def note_unread(self, gaps: Sequence[Span]) -> None:
        """Says that these are gone: here, and on the log before anything that comes after them."""
        self._note_unread(gaps, self.place, self.topic)

    def _note_unread(self, gaps: Sequence[Span], place: str, topic: str) -> None:
        if not gaps:
            return
        self.unread = {**self.unread, place: merged([*self.unread.get(place, ()), *gaps])}
        self.counts["deleted_unread"] += size_of(gaps)
        log_unread(log, place, topic, gaps)
        self._put(unread_records(self.names.control, topic, self.number, gaps), apart=True)

    @abstractmethod
    def _step_over(self, chunk: Chunk) -> None:
        """The records of the chunk from `position` on; afterwards that is the chunk's end."""


def log_unread(log: logging.Logger, place: str, topic: str, gaps: Sequence[Span]) -> None:
    """An error for each gap, with the mend."""
    for line, gap in zip(describe_unread(place, gaps), gaps, strict=True):
        where = {"partition": int(place.rpartition("/")[2]), "offset": gap.begin}
        log.error("%s; keep them longer (retention of %s), or read faster", line, topic, extra=where)


def unread_records(control: str, topic: str, number: int, gaps: Sequence[Span]) -> list[Record]:
    """What `control` is to say of gaps in a partition of `topic`."""
    said = (DeletedUnread(topic, number, gap.begin, gap.end) for gap in gaps)
    return [Record(control, f"{topic}/{number}".encode(), encode(record)) for record in said]
