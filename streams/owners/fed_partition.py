"""What the owners of bars and of predictions have in common for a partition: it is fed chunk by chunk."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence

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
    unread: Sequence[Span] = ()
    """Offsets of records that were gone before they were read."""

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
        if not gaps:
            return
        self.unread = merged([*self.unread, *gaps])
        self.counts["deleted_unread"] += size_of(gaps)
        for line in describe_unread(self.place, gaps):
            where = {"partition": self.number, "offset": gaps[0].begin}
            log.error("%s; keep them longer (retention of %s), or read faster", line, self.topic, extra=where)
        key = f"{self.topic}/{self.number}".encode()
        said = (DeletedUnread(self.topic, self.number, gap.begin, gap.end) for gap in gaps)
        self._put([Record(self.names.control, key, encode(record)) for record in said], apart=True)

    @abstractmethod
    def _step_over(self, chunk: Chunk) -> None:
        """The records of the chunk from `position` on; afterwards that is the chunk's end."""
