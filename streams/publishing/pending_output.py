"""What the owner of a partition has to write, in order, and how far it is, whatever it reads."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.publishing.tallies import NOTHING, Tally
from streams.publishing.writer import Output, Record, count_of


@dataclass(frozen=True)
class Progress:
    """How far a partition is: everything before `position` is dealt with; for the strategies that are behind the others
    (None: there are none), everything before `behind`.
    """

    position: int
    behind: int | None = None


class OutputBatch(NamedTuple):
    """What to write, as how many records, and what is reached then; `apart`: not before all earlier ones are on the
    log, and no later one before these; `tally`: what it consists of.
    """

    output: Sequence[Output]
    size: int
    reached: Progress
    apart: bool
    tally: Tally


class PendingOutput:
    """The output of the owner of a partition, called `place` (``bars/3``), until its publisher takes it.

    Offsets, in the order in which a record passes them: `position` (fed), `published` (what it led to is
    acknowledged), `marked` (the log says so).
    """

    def __init__(self, place: str, number: int, position: int, marked: int, behind: int | None = None) -> None:
        self.place = place
        self.number = number
        self.position = position
        self.reached = Progress(position, behind)
        self.marked_progress = Progress(marked, behind)
        self.snapshot_position = position
        self.switched = False
        """Is an `applied` record in what was taken last?"""
        self.waiting = 0
        self.written: Tally = Counter()
        """What is on the log, since the partition was taken over."""
        self._taken: Tally = Counter()
        self._output: deque[OutputBatch] = deque()
        self.wake = asyncio.Event()
        self.drained = asyncio.Event()

    @property
    def published(self) -> int:
        return self.reached.position

    @property
    def marked(self) -> int:
        return self.marked_progress.position

    @property
    def unmarked(self) -> bool:
        """Is more published than the log says?"""
        return self.advances(self.reached)

    def acknowledged(self, offset: int) -> bool:
        """Is all on the log that states at this offset include?"""
        return self.published >= offset

    def note_marker(self, reached: Progress) -> None:
        """A marker of what is `reached` is on the log."""
        self.marked_progress = Progress(max(self.marked_progress.position, reached.position), reached.behind)

    def advances(self, reached: Progress) -> bool:
        """Would a marker of what is `reached` say more than the last one?"""
        return reached.position > self.marked_progress.position or reached.behind != self.marked_progress.behind

    def marker_record(self, reached: Progress) -> Record:
        """What is reached is on the log."""
        raise NotImplementedError

    def round_ready(self) -> bool:
        """May a round of snapshots be taken now?"""
        return True

    @property
    def round_due(self) -> bool:
        """Is one wanted before its time?"""
        return False

    def _now(self) -> Progress:
        return Progress(self.position)

    def note_written(self) -> None:
        """What was taken is acknowledged."""
        self.written += self._taken
        self._taken = Counter()

    def _put(self, output: Sequence[Output], apart: bool = False, tally: Tally = NOTHING) -> None:
        count = count_of(output)
        self._output.append(OutputBatch(output, count, self._now(), apart, tally))
        self.waiting += count
        self.wake.set()

    def take(self, limit: int, together: bool = False) -> tuple[list[Output], Progress]:
        """What waits, whole chunks up to about `limit` records, and what is reached once it is written; `together`: all
        of it arrives, or nothing.
        """
        output: list[Output] = []
        count, reached, self.switched = 0, self.reached, False
        while self._output and (not count or count + self._output[0].size <= limit):
            alone = self._output[0].apart and not together
            if alone and count:
                break
            part = self._output.popleft()
            output += part.output
            count += part.size
            self._taken += part.tally
            reached, self.switched = part.reached, self.switched or part.apart
            if alone:
                break
        self.waiting -= count
        self.drained.set()
        if self._output:
            self.wake.set()
        return output, reached
