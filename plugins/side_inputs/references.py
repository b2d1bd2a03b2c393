"""The one join of bars with those of a reference symbol.

Live, replay, `verify`, `explain`, training and frames all drive this object, so they cannot differ. Live, what it says
is a function of the log of side inputs alone, in the order of that log:

- The bars of a reference ascend. One that is not newer than the last is nothing: a copy, a correction, or late.
- A bar is decided when a bar of its reference that closes then or later is there: all that it may know came before.
- A bar that an `Absent` covers is decided without what comes after that record, unless it was decided before it.

Which bar of the reference a bar is given: the one of the same close. Where there is none, nothing (NaN), or the last
one before, with its age.

>>> join = ReferenceJoin()
>>> join.add("1m", "SPY", trial_bars(2))
>>> first, second = trial_bars(2)["time"].tolist()
>>> bars = Wanted(["AAPL"], np.zeros(2, np.int64), np.array([first, second + 60_000]), np.arange(2))
>>> join.columns("1m", [Reference("SPY")], bars)["with.age SPY"].tolist()
[0.0, nan]
>>> join.columns("1m", [Reference("SPY", stale=True)], bars)["with.age SPY last"].tolist()
[0.0, 1.0]
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.bars import BAR, COLUMNS
from plugins.base.streaming import IntArray, Rows, trial_bars
from schemas.canonical import canonical_json, sha256_hex
from schemas.wire import spacing_ms
from schemas.wire.side_inputs import Absent, ReferenceBar, SideInput

__all__ = ["OF_REFERENCE", "Reference", "ReferenceJoin", "Wanted", "trial_bars"]

OF_REFERENCE = tuple(f"with.{name}" for name in (*COLUMNS, "age"))
"""Columns that a feature may require of a reference; `age`: intervals since its bar closed."""
NEVER = -1
ROOM = 64


@dataclass(frozen=True)
class Reference:
    """Whose bars stand beside a symbol's own: one symbol's for all, or by symbol. `stale`: where it has no bar of that
    close, its last one before.
    """

    symbols: str | Mapping[str, str]
    stale: bool = False

    def of(self, symbol: str) -> str | None:
        """None: the symbol has no reference. Nothing stands beside itself."""
        found = self.symbols if isinstance(self.symbols, str) else self.symbols.get(symbol)
        return None if found == symbol else found

    @cached_property
    def names(self) -> frozenset[str]:
        """All symbols that are references."""
        return frozenset([self.symbols] if isinstance(self.symbols, str) else self.symbols.values())

    @cached_property
    def label(self) -> str:
        """Equal for those that give equal columns."""
        whose = self.symbols if isinstance(self.symbols, str) else sha256_hex(canonical_json(dict(self.symbols)))[:16]
        return f"{whose} last" if self.stale else whose

    def column(self, name: str) -> str:
        """What the pipeline calls the column ``with.close`` of this reference."""
        return f"{name} {self.label}"


class Wanted(NamedTuple):
    """Bars that are to be joined: the places of their symbols in `names`, closes (ms since the epoch, UTC), offsets."""

    names: Sequence[str]
    slots: IntArray
    times: IntArray
    offsets: IntArray


class _Bars:
    """Of one reference: its bars, which ascend, and what was decided without newer ones."""

    def __init__(self) -> None:
        self.count, self.source = 0, NEVER
        self._times, self._rows = np.zeros(ROOM, np.int64), np.zeros(ROOM, BAR)
        self._absent: list[tuple[int, int, int]] = []

    @property
    def latest(self) -> int:
        """Close of the last one."""
        return int(self._times[self.count - 1]) if self.count else NEVER

    def add(self, bars: Rows) -> None:
        """Those that are newer than all before."""
        times = np.concatenate([[self.latest], bars["time"]])
        bars = bars[times[1:] > np.maximum.accumulate(times)[:-1]]
        end = self.count + len(bars)
        if end > len(self._times):
            more = max(end, 2 * len(self._times)) - len(self._times)
            self._times = np.concatenate([self._times, np.zeros(more, np.int64)])
            self._rows = np.concatenate([self._rows, np.zeros(more, BAR)])
        self._times[self.count : end], self._rows[self.count : end], self.count = bars["time"], bars, end

    def note_absent(self, first: int, until: int) -> None:
        """Bars with offsets in [first, until) go on with what there is now."""
        self._absent.append((first, until, self.latest))

    def forget(self, offset: int) -> None:
        """What only bars before the offset obey."""
        self._absent = [span for span in self._absent if span[1] > offset]

    def limits(self, times: IntArray, offsets: IntArray) -> IntArray:
        """Up to which close each of these bars may know."""
        limits = times
        if self._absent and len(offsets):
            begin, end = int(offsets.min()), int(offsets.max())
            for first, until, latest in self._absent:
                if first <= end and until > begin:
                    covered = (offsets >= first) & (offsets < until)
                    limits = np.where(covered, np.minimum(limits, latest), limits)
        return limits

    def at(self, times: IntArray, offsets: IntArray) -> tuple[Rows, NDArray[np.bool_]]:
        """The last bar that each may know, and whether there is one."""
        places = np.searchsorted(self._times[: self.count], self.limits(times, offsets), side="right") - 1
        return self._rows[places], places >= 0


class ReferenceJoin:
    """Bars of references go in by `add`, or as records of one partition's side inputs by `take`; `columns` gives what
    is known. `partition`: whose `Absent` is obeyed.
    """

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self._bars: dict[tuple[str, str], _Bars] = {}
        self._wanted: set[tuple[str, str]] = set()

    def take(self, record: SideInput) -> None:
        """The next record of the log."""
        known = self._of(record.interval, record.reference)
        if isinstance(record, ReferenceBar):
            known.add(_row(record))
            known.source = max(known.source, record.offset)
        elif isinstance(record, Absent) and record.partition == self.partition:
            known.note_absent(record.first, record.until)

    def add(self, interval: str, symbol: str, bars: Rows) -> None:
        """Further bars of a symbol, in any order: those that are not newer than all before are nothing."""
        self._of(interval, symbol).add(bars)

    def copied(self, interval: str, symbol: str) -> int:
        """Offset of the last bar of the symbol that a record was a copy of; -1: there is none."""
        return self._of(interval, symbol).source

    def latest(self, interval: str, symbol: str) -> int:
        """Close of the symbol's last bar; -1: there is none."""
        return self._of(interval, symbol).latest

    @property
    def missing(self) -> list[str]:
        """References that bars asked for and that never had one."""
        return sorted({symbol for interval, symbol in self._wanted if not self._of(interval, symbol).count})

    def waiting_for(self, interval: str, references: Sequence[Reference], bars: Wanted) -> dict[str, IntArray]:
        """By reference symbol, which bars must wait for it."""
        found: dict[str, IntArray] = {}
        for reference in references:
            for symbol, rows in _by_reference(reference, bars):
                known, times = self._of(interval, symbol), bars.times[rows]
                limits = known.limits(times, bars.offsets[rows])
                if len(late := rows[(times > known.latest) & (limits == times)]):
                    found[symbol] = np.union1d(found.get(symbol, late), late)
        return found

    def columns(self, interval: str, references: Sequence[Reference], bars: Wanted) -> dict[str, FloatArray]:
        """By its name in the pipeline (`Reference.column`), each column of the bars; NaN: unknown."""
        found: dict[str, FloatArray] = {}
        for reference in references:
            values = np.full((len(OF_REFERENCE), len(bars.times)), np.nan)
            for symbol, rows in _by_reference(reference, bars):
                self._wanted.add((interval, symbol))
                known = self._of(interval, symbol)
                if known.count:
                    values[:, rows] = _values(
                        known, reference, spacing_ms(interval), bars.times[rows], bars.offsets[rows]
                    )
            found |= {reference.column(name): values[n] for n, name in enumerate(OF_REFERENCE)}
        return found

    def forget(self, offset: int) -> None:
        """Lets go of what no bar from `offset` on can need."""
        for known in self._bars.values():
            known.forget(offset)

    def _of(self, interval: str, symbol: str) -> _Bars:
        return self._bars.setdefault((interval, symbol), _Bars())


def _values(known: _Bars, reference: Reference, length: int, times: IntArray, offsets: IntArray) -> FloatArray:
    rows, there = known.at(times, offsets)
    exact = rows["time"] == times
    age = (times - rows["time"]) / length
    values = np.array([*(rows[name] for name in COLUMNS), age])
    values[:, ~(there & (exact | reference.stale))] = np.nan
    return values


def _by_reference(reference: Reference, bars: Wanted) -> Iterator[tuple[str, IntArray]]:
    """Each reference symbol, and the rows of the bars that it is the reference of."""
    rows_of: dict[str, list[int]] = {}
    for slot in np.unique(bars.slots).tolist():
        if (symbol := reference.of(bars.names[slot])) is not None:
            rows_of.setdefault(symbol, []).append(slot)
    for symbol, slots in rows_of.items():
        mine = np.zeros(len(bars.names), np.bool_)
        mine[slots] = True
        yield symbol, np.flatnonzero(mine[bars.slots])


def _row(bar: ReferenceBar) -> Rows:
    values = bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume
    return np.array([values], BAR)
