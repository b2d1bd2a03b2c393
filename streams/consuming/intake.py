"""From records on the `bars` topic to batches for the pipeline; what cannot be used becomes a dead letter or is
counted.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from plugins.base.bars import BarBatch
from schemas.errors import BadRecord
from schemas.wire import Bar, decode_bar, encode
from streams.consuming.bar_scanner import Strings
from streams.consuming.bar_table import BarTable, Intervals, joined, records_at
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import OWN, BarDecoder, Decoders
from streams.consuming.decoding.mapping import FAULTS, Several
from streams.kafka.log import Log, RecordColumns
from streams.kafka.partitioner import PartitionerChange, in_force, misplaced

MANY = 8
"""Fewer records are decoded one by one: that is quicker."""


@dataclass(frozen=True)
class DeadLetter:
    """A record that cannot be used, and why."""

    record: Any
    kind: str
    reason: str


@dataclass
class DecodedBars:
    """What a chunk held: a batch for each interval, and the rest.

    `symbols`: those that come for the first time, where the partitioner alone does not say that they lie nowhere else.
    """

    batches: dict[str, BarBatch]
    dead: list[DeadLetter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    symbols: list[str] = field(default_factory=list)


class Intake:
    """Decodes and checks the records of one partition of `bars`; live and replay use the same.

    `partitioner` says which symbols belong on the partition and the source of the `decoders` how records are read,
    where `changes`, each from its offset on, do not. `bound`: what is refused by the clock.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        partitioner: str,
        bound: ClockBound | None = None,
        changes: Sequence[PartitionerChange] = (),
        decoders: Decoders | None = None,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.partitioner = partitioner
        self.bound = bound or ClockBound()
        self._decoders = decoders or Decoders()
        self._decoder = self._decoders.now
        self._changes = list(changes) or [PartitionerChange(0, partitioner, self._decoders.source)]
        kinds = {change.partitioner for change in self._changes}
        self.moving = len(kinds) > 1 or "as_is" in kinds
        """May a symbol have bars on other partitions, too?"""
        self._intervals = Intervals()
        self._forget_symbols()
        self._begin = self._end = 0

    @property
    def any_key(self) -> bool:
        """May a record have another key than its bar's symbol?"""
        return any(self._decoders.of(change.source).any_key for change in self._changes)

    async def prepare(self, records: Iterable[Any]) -> None:
        """Waits until all is known that `read` needs for these records: the schemas of some."""
        for source in {change.source for change in self._changes}:
            if (decoder := self._decoders.of(source)) is not OWN:
                await decoder.prepare(record.value for record in records)

    def bars(self, record: Any) -> list[Bar]:
        """The bars that one record says, whatever else is wrong with them; none where it says none."""
        change = in_force(self._changes, record.offset) or self._changes[0]
        try:
            return self._decoders.of(change.source).bars(record.value, Counter())
        except Several as several:
            return several.bars
        except BadRecord:
            return []

    def is_key(self, key: bytes | None, bar: Bar) -> bool:
        """Is it the key that a record of this bar has to have?"""
        return self._decoder.any_key or key == bar.symbol.encode()

    def read(self, records: Iterable[Any]) -> DecodedBars:
        """The bars of the records, in their order."""
        decoded = DecodedBars({})
        records = records if isinstance(records, RecordColumns) else list(records)
        decoded.batches = joined([self._read(run, decoded) for run in self._runs(records)])
        return decoded

    def _read(self, records: Sequence[Any], decoded: DecodedBars) -> dict[str, BarBatch]:
        """Records that one partitioner judges."""
        own = self._decoder is OWN
        table = self._own(records, decoded) if own else self._declared(records, decoded)
        if unclosed := table.unclosed:
            decoded.counts["unclosed"] += unclosed
        return table.batches(self._names, self._intervals.names)

    def _own(self, records: Sequence[Any], decoded: DecodedBars) -> BarTable:
        """alphawire's own records: the plain ones together, the others one by one."""
        table = BarTable(records)
        for row, record in self._odd(table):
            try:
                self._read_one(table, row, record, decoded)
            except BadRecord as bad:
                decoded.dead.append(DeadLetter(record, bad.kind, bad.reason))
        return table

    def _odd(self, table: BarTable) -> Iterator[tuple[int, Any]]:
        """Rows that are to be read one by one. Once some were, the rest may be plain by what they taught."""
        begin, count, end, taught = 0, MANY * MANY, len(table.records), -1
        while begin < end:
            if end - begin >= MANY and taught < (taught := len(self._names) + len(self._intervals.names)):
                self._scan(table, begin)
            rows = (begin + np.flatnonzero(~table.plain[begin:])).tolist()
            yield from zip(rows[:count], records_at(table.records, rows[:count]), strict=True)
            begin, count = rows[count - 1] + 1 if len(rows) > count else end, 2 * count

    def _scan(self, table: BarTable, begin: int) -> None:
        """Finds the plain ones of the rows from `begin` on."""
        table.scan(self._strings, self._intervals, begin)
        rows = begin + np.flatnonzero(table.plain[begin:])
        table.plain[rows] = ~self.bound.doubtful(table.offsets[rows], table.numbers[rows, 2])

    def _declared(self, records: Sequence[Any], decoded: DecodedBars) -> BarTable:
        """Records as a source says: the plain ones together, the others one by one, of which one may have several."""
        table = BarTable(records)
        if self._scanner is not None and len(records) >= MANY:
            self._teach()
            table.scan_declared(self._scanner, self._strings, self._intervals)
            rows = np.flatnonzero(table.plain)
            table.plain[rows] = ~self.bound.doubtful(table.offsets[rows], table.numbers[rows, 2])
        left: list[int] = np.flatnonzero(~table.plain).tolist()
        odd = {row: self._usable(record, decoded) for row, record in zip(left, records_at(records, left), strict=True)}
        if any(len(bars) > 1 for bars in odd.values()):
            table, odd = table.spread([len(odd.get(row, (None,))) for row in range(len(records))], odd)
        for row, bars in odd.items():
            for bar in bars:
                table.put(row, bar, self._symbols[bar.symbol], self._intervals.number(bar.interval))
        return table

    def _usable(self, record: Any, decoded: DecodedBars) -> list[Bar]:
        """The bars of a record that can be used; the others are one dead letter."""
        faults, bars = list[BadRecord](), list[Bar]()
        try:
            bars = self._decoder.bars(record.value, decoded.counts)
        except Several as several:
            faults, bars = [several], several.bars
        except BadRecord as bad:
            if bad.kind == "unknown_schema":
                self.bound.refuse(record.offset)
            faults = [bad]
        kept = [bar for bar in self._in_time(record, bars, faults) if self._has_place(record, bar, decoded, faults)]
        if self._scanner is not None and len(kept) == 1:
            self._learn(record.value, kept[0])
        if faults:
            reasons = "; ".join(bad.reason for bad in faults[:FAULTS])
            more = f"; and {len(faults) - FAULTS} more" if len(faults) > FAULTS else ""
            decoded.dead.append(DeadLetter(record, faults[0].kind, reasons + more))
        return kept

    def _teach(self) -> None:
        if isinstance(self._decoder, BarDecoder) and self._scanner is not None:
            self._decoder.teach(self._scanner)

    def _learn(self, value: bytes, bar: Bar) -> None:
        """What its symbol and interval are called in its records."""
        if isinstance(self._decoder, BarDecoder) and self._scanner is not None:
            symbol, interval = self._decoder.names(value)
            self._scanner.symbols.learn(symbol, self._symbols[bar.symbol])
            self._scanner.intervals.learn(interval, self._intervals.number(bar.interval))

    def _in_time(self, record: Any, bars: list[Bar], faults: list[BadRecord]) -> list[Bar]:
        """The log says by the offset what a clock refuses, so it refuses all of a record or none."""
        try:
            if bars:
                self.bound.check(record.offset, max(bars, key=lambda bar: bar.open_time))
        except BadRecord as bad:
            faults.append(bad)
            return []
        return bars

    def _has_place(self, record: Any, bar: Bar, decoded: DecodedBars, faults: list[BadRecord]) -> bool:
        try:
            self._place(bar, record.key, decoded)
        except BadRecord as bad:
            faults.append(bad)
            return False
        return True

    def _read_one(self, table: BarTable, row: int, record: Any, decoded: DecodedBars) -> None:
        bar = decode_bar(record.value)
        self._place(bar, record.key, decoded)
        self.bound.check(record.offset, bar)
        table.put(row, bar, self._symbols[bar.symbol], self._intervals.number(bar.interval))

    def _place(self, bar: Bar, key: bytes | None, decoded: DecodedBars) -> None:
        """`BadRecord` for a symbol that does not belong here, by the key or the partitioner."""
        if bar.symbol in self._symbols and self.is_key(key, bar):
            return
        self._check_key(bar.symbol, bar.symbol.encode() if self._decoder.any_key else key)
        if self.moving:
            decoded.symbols.append(bar.symbol)

    def _runs(self, records: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """The records in parts, each judged by one partitioner."""
        while True:
            count = self._count_inside(records)
            if count or not len(records):
                yield records[:count]
            if count == len(records):
                return
            records = records[count:]
            self._enter(records[0].offset)

    def _count_inside(self, records: Sequence[Any]) -> int:
        """How many of the first records are in the present stretch."""
        if isinstance(records, RecordColumns):
            outside = iter(np.flatnonzero((records.offsets < self._begin) | (records.offsets >= self._end)).tolist())
        else:
            outside = (n for n, record in enumerate(records) if not self._begin <= record.offset < self._end)
        return next(outside, len(records))

    def _enter(self, offset: int) -> None:
        """The stretch of offsets that one partitioner judges."""
        begun = [change for change in self._changes if change.offset <= offset]
        change = (begun or self._changes)[-1 if begun else 0]
        self.partitioner, self._decoder = change.partitioner, self._decoders.of(change.source)
        self._forget_symbols()
        self._begin = begun[-1].offset if begun else 0
        self._end = min((change.offset for change in self._changes[len(begun) :]), default=sys.maxsize)

    def _forget_symbols(self) -> None:
        """Those whose key and place were looked at, by their numbers."""
        self._symbols: dict[str, int] = {}
        self._names: list[str] = []
        self._strings = Strings()
        self._scanner = self._decoder.scanner()

    def belongs(self, symbol: str) -> bool:
        """Does a partitioner that is, or ever was, in force put the symbol here?"""
        kinds = {change.partitioner for change in self._changes}
        return any(misplaced(symbol, self.partition, self.partitions, kind) is None for kind in kinds)

    def _check_key(self, symbol: str, key: bytes | None) -> None:
        if key != symbol.encode():
            mend = "" if self._decoder is OWN else "; declare key: any in the source where it need not be"
            raise BadRecord("wrong_key", f"the key {_shown(key)} is not the symbol {symbol!r}{mend}")
        if fault := misplaced(symbol, self.partition, self.partitions, self.partitioner):
            raise BadRecord("wrong_partition", fault)
        self._symbols[symbol] = self._strings.add(key)
        self._names.append(symbol)


def log_intake(
    log: Log, partition: int, count: int, changes: Sequence[PartitionerChange], bound: ClockBound | None = None
) -> Intake:
    """That of one of `count` partitions of a log, on which the `changes` are."""
    return Intake(partition, count, log.partitioner, bound, changes, Decoders(log.bars_source, log.schemas))


def prepare_intake() -> None:
    """Loads or compiles what the first bars would otherwise wait for."""
    value = encode(Bar("A", "1m", 0, 60_000, 1.0, 1.0, 1.0, 1.0, 1.0))
    Intake(0, 1, "as_is").read([_Trial(offset, b"A", value) for offset in range(MANY)])


class _Trial(NamedTuple):
    offset: int
    key: bytes
    value: bytes


def _shown(key: bytes | None) -> str:
    return "none" if key is None else repr(key[:80])
