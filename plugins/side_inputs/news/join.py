"""The one join of news with bars: scores in the order of their log, and what they come to for each bar.

Live, replay, `verify`, `explain`, training and frames all drive this object, so they cannot differ. Whatever it says is
a function of the log of scores alone, in the order of that log:

- `low` is the least mark over all partitions of news, and never goes back. A bar whose close is not after `low` is
  decided: every score that it may know came before.
- A score that comes with an `available_at` not after `low` is *void*: bars that it would count for may be decided.
- A bar that an `Unknown` covers is decided without news, unless it was decided before that record.
- The first score of an (article, symbol) counts. A later one is a repeat, or a correction where the text differs, as
  long as an earlier one lies at most `memory` before it.
- Of copies of a text, if they count once, the first by (available_at, article) counts, and each that follows a pause
  of more than `memory`, in whatever order the log has them: partitions of old news are scored at different speeds. One
  that would come before another on which a bar was decided is void.
"""

import sys
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.wire.news import Mark, NewsRecord, Score, Unknown

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NEWS_COLUMNS = ("news_articles", "news_positive", "news_negative", "news_neutral", "news_uncertainty")
"""Of one bar: the number of its articles, and the sums of their scores."""
NEVER, FOR_EVER = -1, sys.maxsize
SWEEP = 10_000
"""Scores to hold before the first look at which of them no bar can need any more."""


@dataclass(frozen=True)
class Joining:
    """Which scores count: those of `scorer`. None accepts any scorer, ``none`` accepts none, so that all is unknown."""

    scorer: str | None = None
    syndicated: str = "once"
    memory_ms: int = 604_800_000


class Counted(NamedTuple):
    """A score that counts, in the order of sums."""

    available_at: int
    article: str
    positive: float
    negative: float
    neutral: float
    uncertainty: float
    offset: int
    historical: bool = False


class Entry(NamedTuple):
    """A score of a symbol as the join sees it; `text` None: copies of it are not looked for."""

    symbol: str
    score: Counted
    text: str | None = None


@dataclass(frozen=True)
class BarNews:
    """Of some bars: `NEWS_COLUMNS`, the greatest offset of the scores counted (-1: none), and whether one of these is
    historical.
    """

    columns: dict[str, FloatArray]
    offsets: IntArray
    historical: BoolArray

    def at(self, rows: "IntArray | BoolArray") -> "BarNews":
        """The news of the bars `rows` (numbers, or a mask), as copies."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return BarNews(columns, self.offsets[rows], self.historical[rows])


@dataclass
class _Seen:
    """The latest `available_at` of what was seen, by its name."""

    times: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, name: tuple[str, str], time: int, memory: int) -> bool:
        """Was it seen at most `memory` before `time`?"""
        before = self.times.get(name)
        self.times[name] = time if before is None else max(before, time)
        return before is not None and before >= time - memory

    def forget(self, time: int) -> None:
        self.times = {name: latest for name, latest in self.times.items() if latest >= time}


@dataclass
class _Copies:
    """Copies of a text, by symbol and text: (available_at, article) in this order."""

    seen: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)

    def note(self, name: tuple[str, str], copy: tuple[int, str], memory: int) -> tuple[bool, tuple[int, str] | None]:
        """Does this one count, and which later one does not any more?"""
        copies = self.seen.setdefault(name, [])
        place = bisect_left(copies, copy)
        before = copies[place - 1][0] if place else NEVER - memory
        after = copies[place] if place < len(copies) else None
        copies.insert(place, copy)
        displaces = after is not None and before < after[0] - memory <= copy[0]
        return before < copy[0] - memory, after if displaces else None

    def forget(self, time: int) -> None:
        recent = ((name, copies[bisect_left(copies, (time, "")) :]) for name, copies in self.seen.items())
        self.seen = {name: copies for name, copies in recent if copies}


class NewsJoin:
    """Scores, marks and unknowns of one partition go in by `take` (or scores by `add`); `of_bars` gives what is known.

    `low`: `FOR_EVER` for scores that are all there, as in a file. `partition`: whose `Unknown` is obeyed.
    """

    def __init__(self, rule: Joining, low: int = NEVER, partition: int = 0) -> None:
        self.rule = rule
        self.low = low
        self.partition = partition
        self.counts: Counter[str] = Counter()
        self.size = 0
        self._whole = low == FOR_EVER
        self._marks: dict[int, int] = {}
        self._scores: dict[str, list[Counted]] = {}
        self._articles, self._copies = _Seen(), _Copies()
        self._text_of: dict[tuple[str, str], str | None] = {}
        self._unknown: list[tuple[int, int, int]] = []
        self._sweep_at = SWEEP

    @property
    def off(self) -> bool:
        """No scorer: every bar is unknown, and none waits."""
        return self.rule.scorer == "none"

    def take(self, record: NewsRecord, offset: int) -> None:
        """The next record of the log."""
        if isinstance(record, Score):
            if self.rule.scorer in (None, record.scorer.partition("/")[0]):
                self.add(entry_of(record, offset))
            else:
                self.counts["of_another_scorer"] += 1
        elif isinstance(record, Mark):
            self._mark(record)
        elif isinstance(record, Unknown) and record.partition == self.partition:
            self._unknown.append((record.first, record.until, self.low))

    def _mark(self, mark: Mark) -> None:
        count = mark.news_partitions
        self._marks[mark.news_partition] = max(self._marks.get(mark.news_partition, NEVER), mark.up_to)
        marks = [up_to for partition, up_to in self._marks.items() if partition < count]
        if len(marks) == count:
            self.low = max(self.low, min(marks))

    def add(self, entry: Entry) -> None:
        """The next score, of a scorer that counts."""
        symbol, score, text = entry
        name, time, memory = (symbol, score.article), score.available_at, self.rule.memory_ms
        if time <= self.low and not self._whole:
            self.counts["void"] += 1
        elif self._articles.note(name, time, memory):
            self.counts["repeats" if self._text_of.get(name) == text else "corrections"] += 1
        else:
            self._text_of[name] = text
            if self._is_first(symbol, text, score):
                self.counts["scores"] += 1
                insort(self._scores.setdefault(symbol, []), score, key=lambda counted: counted[:2])
                self.size += 1
            else:
                self.counts["syndicated"] += 1

    def _is_first(self, symbol: str, text: str | None, score: Counted) -> bool:
        """Of its copies; one that follows, and counted so far, is taken back."""
        if text is None or self.rule.syndicated != "once":
            return True
        counts, later = self._copies.note((symbol, text), score[:2], self.rule.memory_ms)
        if later is not None:
            self.counts.update(scores=-1, syndicated=1)
            own = self._scores.get(symbol, [])
            place = bisect_left(own, later, key=lambda counted: counted[:2])
            if own[place : place + 1] and own[place][:2] == later:  # else a bar without news has passed it
                del own[place]
                self.size -= 1
        return counts

    def undecided(self, offsets: IntArray, closes: IntArray) -> BoolArray:
        """Mask of the bars that must wait; arguments as of `of_bars`."""
        if self.off:
            return np.zeros(len(closes), np.bool_)
        return np.asarray((closes > self.low) & ~self._covered(offsets, closes), np.bool_)

    def of_bars(self, symbols: Sequence[str], begins: IntArray, closes: IntArray, offsets: IntArray) -> BarNews:
        """The news in (begin, close] of each bar; one that is undecided is unknown.

        Parameters
        ----------
        symbols
            One a bar.
        begins, closes
            Shape (bars,), in ms since the epoch (UTC).
        offsets
            Shape (bars,): the bars' offsets, which an `Unknown` names.
        """
        sums = np.zeros((len(closes), len(NEWS_COLUMNS)))
        last, historical = np.full(len(closes), -1, np.int64), np.zeros(len(closes), np.bool_)
        unknown = np.ones(len(closes), np.bool_) if self.off else (closes > self.low) | self._covered(offsets, closes)
        if self._scores:
            for row, symbol, begin, close in zip(
                range(len(symbols)), symbols, begins.tolist(), closes.tolist(), strict=True
            ):
                if (own := self._scores.get(symbol)) and not unknown[row]:
                    for score in _between(own, begin, close):
                        sums[row] += (1.0, *score[2:6])
                        last[row] = max(last[row], score.offset)
                        historical[row] |= score.historical
        sums[unknown] = np.nan
        return BarNews({name: sums[:, i] for i, name in enumerate(NEWS_COLUMNS)}, last, historical)

    def _covered(self, offsets: IntArray, closes: IntArray) -> BoolArray:
        covered = np.zeros(len(closes), np.bool_)
        if self._unknown and len(offsets):
            begin, end = int(offsets.min()), int(offsets.max())
            for first, until, low in self._unknown:
                if first <= end and until > begin:
                    covered |= (offsets >= first) & (offsets < until) & (closes > low)
        return covered

    @property
    def full(self) -> bool:
        """Is it time to `forget`?"""
        return self.size + len(self._articles.times) >= self._sweep_at

    def forget(self, closes: Mapping[str, int], offset: int) -> None:
        """What no bar from `offset` on can need: scores not after its symbol's last close in `closes`, articles that no
        score can repeat any more. A symbol that is not in `closes` keeps its scores.
        """
        for symbol, close in closes.items():
            if own := self._scores.get(symbol):
                del own[: bisect_right(own, close, key=lambda score: score.available_at)]
                if not own:
                    del self._scores[symbol]
        self.size = sum(map(len, self._scores.values()))
        self._articles.forget(self.low - self.rule.memory_ms)
        self._copies.forget(self.low - self.rule.memory_ms)
        self._text_of = {name: text for name, text in self._text_of.items() if name in self._articles.times}
        self._unknown = [span for span in self._unknown if span[1] > offset]
        self._sweep_at = max(SWEEP, 2 * (self.size + len(self._articles.times)))


def entry_of(record: Score, offset: int) -> Entry:
    """The score of a record at `offset` of `news.scores`."""
    scores = (record.positive, record.negative, record.neutral, record.uncertainty)
    text = None if "empty" in record.flags else record.text_sha256
    return Entry(record.symbol, Counted(record.available_at, record.article, *scores, offset, record.historical), text)


def _between(scores: Sequence[Counted], begin: int, close: int) -> Iterator[Counted]:
    """Those with begin < `available_at` ≤ close, in the order of sums."""
    first = bisect_right(scores, begin, key=lambda score: score.available_at)
    for number in range(first, len(scores)):
        if scores[number].available_at > close:
            return
        yield scores[number]
