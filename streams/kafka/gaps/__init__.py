"""Gaps in a log: offsets of a partition whose records a compaction or a deletion took away.

`streams.kafka.gaps.detection` finds them. A transaction's marker, and what an aborted transaction wrote, are no gap.
"""

import sys
from collections.abc import Iterable, Sequence

import msgspec

SHOWN = 5
"""Up to so many gaps of a partition are listed one by one."""


class Span(msgspec.Struct):
    """Offsets from `begin` up to, not including, `end`."""

    begin: int
    end: int


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order; spans that touch become one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if result and span.begin <= result[-1].end:
            result[-1] = Span(result[-1].begin, max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


class Gaps:
    """The gaps of a partition, in order, collected while it is read.

    A consumer takes it as its `key_deserializer`: of all options of a consumer, aiokafka hands only that one on to
    where it parses the batches.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.reached = 0
        self.end = sys.maxsize

    def begin(self, start: int, first: int, end: int) -> None:
        """Starts over: the partition is read from `start` to `end`, and holds nothing before `first`."""
        self.spans, self.reached, self.end = [], start, end
        self.reach(first, first)

    def add(self, begin: int, end: int) -> None:
        """[begin, end) holds nothing, as far as it lies before `self.end`; it may be empty."""
        if begin >= (end := min(end, self.end)):
            return
        if self.spans and self.spans[-1].end == begin:
            begin = self.spans.pop().begin
        self.spans.append(Span(begin, end))

    def reach(self, begin: int, end: int) -> None:
        """The log continues from `begin` to `end`; what lies between `begin` and the last end is a gap."""
        self.add(self.reached, begin)
        self.reached = max(self.reached, end)

    def within(self, begin: int, end: int) -> list[Span]:
        """The parts of the gaps that lie in [begin, end)."""
        return clipped(self.spans, begin, end)


class PartitionGaps:
    """The gaps of the partitions that a consumer reads on, for as long as it has them; it takes them as `Gaps`."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, int], Gaps] = {}

    def begin(self, at: tuple[str, int], position: int) -> None:
        """The partition is read from here on."""
        self._gaps[at] = Gaps()
        self._gaps[at].reached = position

    def of(self, at: tuple[str, int]) -> Gaps | None:
        return self._gaps.get(at)

    def forget(self) -> None:
        self._gaps.clear()

    def take(self, at: tuple[str, int], begin: int, end: int) -> list[Span]:
        """Those in [begin, end), once."""
        gaps = self._gaps.get(at)
        if gaps is None or not gaps.spans:
            return []
        found = gaps.within(begin, end)
        gaps.spans = [gap for gap in gaps.spans if gap.end > end]
        return found


def clipped(gaps: Iterable[Span], begin: int, end: int) -> list[Span]:
    """The parts of the gaps that lie in [begin, end)."""
    cut = (Span(max(gap.begin, begin), min(gap.end, end)) for gap in gaps)
    return [gap for gap in cut if gap.begin < gap.end]


def describe_gaps(place: str, gaps: Sequence[Span]) -> list[str]:
    """One line for each gap of ``bars/0``, the `place`; one line for all where there are many."""
    if len(gaps) <= SHOWN:
        return [f"{place}: offsets {gap.begin} to {gap.end - 1} hold no records ({_size(gap)})" for gap in gaps]
    total, span = sum(map(_size, gaps)), f"{gaps[0].begin} to {gaps[-1].end - 1}"
    return [f"{place}: {total} of the offsets {span} hold no records, in {len(gaps)} places"]


def describe_unread(place: str, gaps: Sequence[Span]) -> list[str]:
    """The same for records that nobody of the group had read."""
    return [
        f"{place}: offsets {gap.begin} to {gap.end - 1} ({_size(gap)}) were deleted before they were read, so nothing"
        " was made of them"
        for gap in gaps
    ]


def size_of(gaps: Iterable[Span]) -> int:
    """Offsets in all of them."""
    return sum(map(_size, gaps))


def _size(gap: Span) -> int:
    return gap.end - gap.begin
