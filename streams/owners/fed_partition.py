"""What the owners of bars and of predictions have in common for a partition: it is fed chunk by chunk."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping

from plugins.pipeline.outcome import Failure
from streams.consuming.transport import Chunk
from streams.publishing.pending_output import PendingOutput


class FedPartition(PendingOutput, ABC):
    """State and pending output of one partition; `feed` never awaits, so a rebalance only ever sees whole chunks."""

    counts: Counter[str]

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
        self._step_over(chunk)

    @abstractmethod
    def _step_over(self, chunk: Chunk) -> None:
        """The records of the chunk from `position` on; afterwards that is the chunk's end."""
