"""The bars of some records while they are decoded: arrays with a row for each record."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from plugins.base.bars import BAR, BarBatch
from plugins.base.streaming import IntArray
from schemas.wire import Bar, bar_length, canonical_interval, months_of
from streams.consuming.bar_scanner import Bytes, Strings, scan
from streams.consuming.decoding.compiled.scanner import Scanner
from streams.kafka.log import RecordColumns

ODD = -(2**62)
"""A length that no bar has."""


class Intervals:
    """The spellings of intervals that were seen, with length and canonical name, each by its number.

    `lengths`: in ms; 0 where a bar closes when enough has been traded; `ODD` of months, whose bars are not plain.
    """

    def __init__(self) -> None:
        self.strings = Strings()
        self.lengths: IntArray = np.zeros(0, np.int64)
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, interval: str) -> int:
        """Of one that is valid."""
        if interval not in self._numbers:
            self._numbers[interval] = self.strings.add(interval.encode())
            self.lengths = np.append(self.lengths, ODD if months_of(interval) else bar_length(interval))
            self.names.append(canonical_interval(interval))
        return self._numbers[interval]


class BarTable:
    """A row for each of the `records`; `plain` are those whose bar is known.

    `numbers`: of the symbol and of the interval, time of opening (ms since the epoch, UTC), 1 for a bar that is
    closed, time of closing.
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self.records = records
        count = len(records)
        self.offsets = offsets_of(records)
        self.bars = np.empty(count, BAR)
        self.numbers: IntArray = np.empty((count, 5), np.int64)
        self.plain = np.zeros(count, np.bool_)

    def scan(self, symbols: Strings, intervals: Intervals, begin: int = 0) -> None:
        """Finds the plain ones, from row `begin` on, among records whose strings were seen before."""
        records = self.records[begin:] if begin else self.records
        bars, numbers = self.bars[begin:], self.numbers[begin:]
        values, keys = _texts(records, "value"), _texts(records, "key")
        rows = bars.view(np.float64).reshape(len(bars), -1)
        scan(
            values, keys, symbols.tables, intervals.strings.tables, intervals.lengths, rows, numbers, self.plain[begin:]
        )  # fmt: skip
        bars["time"] = numbers[:, 4]

    def scan_declared(self, scanner: Scanner, symbols: Strings, intervals: Intervals) -> None:
        """The same of records as a source declares them."""
        values, keys = _texts(self.records, "value"), _texts(self.records, "key")
        rows = self.bars.view(np.float64).reshape(len(self.bars), -1)
        scanner.scan(values, keys, symbols, intervals.lengths, rows, self.numbers, self.plain)
        self.bars["time"] = self.numbers[:, 4]

    def put(self, row: int, bar: Bar, symbol: int, interval: int) -> None:
        """What the record of a row says, with the numbers of its symbol and interval."""
        # + 0.0: a volume of -0.0 is 0.0, not another value
        self.bars[row] = (bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume + 0.0)
        self.numbers[row] = symbol, interval, bar.open_time, bar.closed, bar.close_time
        self.plain[row] = True

    def spread(
        self, counts: Sequence[int], odd: Mapping[int, Sequence[Bar]]
    ) -> "tuple[BarTable, dict[int, list[Bar]]]":
        """A table with as many rows for each record as `counts` says, and the bars of `odd` ones by their rows."""
        own = np.repeat(np.arange(len(counts)), counts)
        wider = BarTable(records_at(self.records, own.tolist()))
        for name in ("bars", "numbers", "plain"):
            getattr(wider, name)[:] = getattr(self, name)[own]
        begins = np.cumsum([0, *counts])
        return wider, {int(begins[row]) + n: [bar] for row, bars in odd.items() for n, bar in enumerate(bars)}

    @property
    def unclosed(self) -> int:
        """How many bars are still forming."""
        return int((self.plain & (self.numbers[:, 3] == 0)).sum())

    def batches(self, symbols: Sequence[str], intervals: Sequence[str]) -> dict[str, BarBatch]:
        """The closed bars by interval, in the order in which these come; names by their numbers."""
        rows = np.flatnonzero(self.plain & (self.numbers[:, 3] != 0))
        found, first, own = np.unique(self.numbers[rows, 1], return_index=True, return_inverse=True)
        places: dict[str, list[int]] = {}
        for place in np.argsort(first).tolist():
            places.setdefault(intervals[found[place]], []).append(place)
        return {
            name: self._batch(rows[np.isin(own, some)] if len(places) > 1 else rows, symbols)
            for name, some in places.items()
        }

    def _batch(self, rows: IntArray, symbols: Sequence[str]) -> BarBatch:
        names = [symbols[number] for number in self.numbers[rows, 0].tolist()]
        if len(rows) == len(self.offsets):
            return BarBatch(names, self.bars, self.offsets, self.numbers[:, 2])
        return BarBatch(names, self.bars[rows], self.offsets[rows], self.numbers[rows, 2])


def joined(parts: Sequence[dict[str, BarBatch]]) -> dict[str, BarBatch]:
    """The batches of parts that follow each other as one for each interval."""
    if len(parts) == 1:
        return parts[0]
    of_interval: dict[str, list[BarBatch]] = {}
    for part in parts:
        for interval, batch in part.items():
            of_interval.setdefault(interval, []).append(batch)
    return {
        interval: BarBatch(
            [symbol for batch in batches for symbol in batch.symbols],
            np.concatenate([batch.bars for batch in batches]),
            np.concatenate([batch.offsets for batch in batches]),
            np.concatenate([batch.opens for batch in batches if batch.opens is not None]),
        )
        for interval, batches in of_interval.items()
    }


def offsets_of(records: Sequence[Any]) -> IntArray:
    """Of each record."""
    if isinstance(records, RecordColumns):
        return records.offsets
    return np.fromiter((record.offset for record in records), np.int64, len(records))


def records_at(records: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    """The records of these rows."""
    return records.at(rows) if isinstance(records, RecordColumns) else [records[row] for row in rows]


def _texts(records: Sequence[Any], name: str) -> tuple[Bytes, IntArray]:
    """All keys, or values, one after the other, and where each ends; none is as an empty one."""
    if isinstance(records, RecordColumns):
        return records.texts(name)
    whole = [text or b"" for text in map(attrgetter(name), records)]
    ends = np.cumsum(np.fromiter(map(len, whole), np.int64, len(whole)))
    return np.frombuffer(b"".join(whole), np.uint8), ends
