"""What the owner of a partition has to write, in order, and how far it is; the same whatever it reads."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from streams.publishing.writer import Record


@dataclass(frozen=True)
class Reached:
    """How far a partition is: everything before `position` is dealt with; for the strategies that are folded by
    themselves (None: there are none), before `behind`.
    """

    position: int
    behind: int | None = None


class Output(NamedTuple):
    """Records to write, and what is reached then; `apart`: not before all earlier ones are on the log, and no later one
    before these.
    """

    records: list[Record]
    reached: Reached
    apart: bool


class PendingOutput:
    """The output of the owner of a partition, called `place` (``bars/3``), until its publisher takes it.

    Offsets, in the order in which a record passes them: `position` (fed), `published` (what it came to is
    acknowledged), `marked` (the log says so).
    """

    def __init__(self, place: str, number: int, position: int, marked: int, behind: int | None = None) -> None:
        self.place = place
        self.number = number
        self.position = position
        self.reached = Reached(position, behind)
        self.noted = Reached(marked, behind)
        self.snapshot_position = position
        self.switched = False
        """Is an `applied` among what was taken last?"""
        self.waiting = 0
        self._output: deque[Output] = deque()
        self.wake = asyncio.Event()
        self.drained = asyncio.Event()

    @property
    def published(self) -> int:
        return self.reached.position

    @property
    def marked(self) -> int:
        return self.noted.position

    @property
    def unmarked(self) -> bool:
        """Is more published than the log says?"""
        return self.news(self.reached)

    def acknowledged(self, offset: int) -> bool:
        """Is all on the log that states at this offset include?"""
        return self.published >= offset

    def note(self, reached: Reached) -> None:
        """A marker of what is `reached` is on the log."""
        self.noted = Reached(max(self.noted.position, reached.position), reached.behind)

    def news(self, reached: Reached) -> bool:
        """Would a marker of what is `reached` say more than the last one?"""
        return reached.position > self.noted.position or reached.behind != self.noted.behind

    def marker_record(self, reached: Reached) -> Record:
        """What is reached is on the log."""
        raise NotImplementedError

    def round_ready(self) -> bool:
        """May a round of snapshots be taken now?"""
        return True

    @property
    def round_due(self) -> bool:
        """Is one wanted before its time?"""
        return False

    def _now(self) -> Reached:
        return Reached(self.position)

    def _put(self, records: list[Record], apart: bool = False) -> None:
        self._output.append(Output(records, self._now(), apart))
        self.waiting += len(records)
        self.wake.set()

    def take(self, limit: int, together: bool = False) -> tuple[list[Record], Reached]:
        """What waits, whole chunks up to about `limit` records, and what is reached once it is written; `together`: all
        of it arrives, or nothing.
        """
        records: list[Record] = []
        reached, self.switched = self.reached, False
        while self._output and (not records or len(records) + len(self._output[0].records) <= limit):
            alone = self._output[0].apart and not together
            if alone and records:
                break
            part = self._output.popleft()
            records += part.records
            reached, self.switched = part.reached, self.switched or part.apart
            if alone:
                break
        self.waiting -= len(records)
        self.drained.set()
        if self._output:
            self.wake.set()
        return records, reached
