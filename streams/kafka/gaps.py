"""Which offsets of a partition hold no record any more: what a compaction or a deletion took.

How they are found: `streams.kafka.gap_detection`. What is no record (a mark of a transaction) or never counted (what
an aborted one wrote) is no hole.
"""

import sys
from collections.abc import Iterable, Sequence

import msgspec

SHOWN = 5
"""Holes of a partition that are told one by one."""


class Span(msgspec.Struct):
    """Offsets from `begin` up to, not including, `end`."""

    begin: int
    end: int


def merged(spans: Iterable[Span]) -> list[Span]:
    """In their order; those that touch are one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if result and span.begin <= result[-1].end:
            result[-1] = Span(result[-1].begin, max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


class Gaps:
    """Found while a partition is read, in their order.

    A consumer takes it as its `key_deserializer`: of what one can give to a consumer, that alone is handed on to where
    aiokafka takes the batches apart.
    """

    def __init__(self) -> None:
        self.found: list[Span] = []
        self.reached = 0
        self.end = sys.maxsize

    def begin(self, start: int, first: int, end: int) -> None:
        """It is read from `start` on, nothing being there before `first`, up to `end`; earlier sights are forgotten."""
        self.found, self.reached, self.end = [], start, end
        self.reach(first, first)

    def add(self, begin: int, end: int) -> None:
        """Nothing is at [begin, end), as far as that is before `self.end`; no harm where it is empty."""
        if begin >= (end := min(end, self.end)):
            return
        if self.found and self.found[-1].end == begin:
            begin = self.found.pop().begin
        self.found.append(Span(begin, end))

    def reach(self, begin: int, end: int) -> None:
        """The log goes on at `begin`, up to `end`; what lies between there and what was reached before is a hole."""
        self.add(self.reached, begin)
        self.reached = max(self.reached, end)

    def within(self, begin: int, end: int) -> list[Span]:
        """The part of the holes that lies in [begin, end)."""
        cut = (Span(max(hole.begin, begin), min(hole.end, end)) for hole in self.found)
        return [hole for hole in cut if hole.begin < hole.end]


def told(place: str, holes: Sequence[Span]) -> list[str]:
    """In words, for ``bars/0`` as `place`; many holes in one sentence."""
    if len(holes) <= SHOWN:
        return [f"{place}: offsets {hole.begin} to {hole.end - 1} hold no records ({_size(hole)})" for hole in holes]
    total, span = sum(map(_size, holes)), f"{holes[0].begin} to {holes[-1].end - 1}"
    return [f"{place}: {total} of the offsets {span} hold no records, in {len(holes)} places"]


def _size(hole: Span) -> int:
    return hole.end - hole.begin
