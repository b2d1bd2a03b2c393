"""From records on the `bars` topic to batches for the pipeline; what cannot be used becomes a dead letter or is
counted.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugins.base.bars import BAR, BarBatch
from schemas.errors import BadRecord
from schemas.wire import Bar, canonical_interval, decode_bar
from streams.consuming.clock_bound import ClockBound
from streams.kafka.partitioner import PartitionerChange, misplaced


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

    `partitioner` says which symbols belong on the partition, where `changes`, each from its offset on, do not. `bound`:
    what is refused by the clock.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        partitioner: str,
        bound: ClockBound | None = None,
        changes: Sequence[PartitionerChange] = (),
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.partitioner = partitioner
        self.bound = bound or ClockBound()
        self._changes = [PartitionerChange(0, partitioner)] if not changes else list(changes)
        kinds = {change.partitioner for change in self._changes}
        self.moving = len(kinds) > 1 or "as_is" in kinds
        """May a symbol have bars on other partitions, too?"""
        self._keys: dict[str, bytes] = {}
        self._begin = self._end = 0

    def read(self, records: Iterable[Any]) -> DecodedBars:
        decoded = DecodedBars({})
        kept: dict[str, list[tuple[Bar, int]]] = defaultdict(list)
        for record in records:
            if not self._begin <= record.offset < self._end:
                self._enter(record.offset)
            try:
                bar = decode_bar(record.value)
                if record.key is None or self._keys.get(bar.symbol) != record.key:
                    self._check_key(bar.symbol, record.key)
                    if self.moving:
                        decoded.symbols.append(bar.symbol)
                self.bound.check(record.offset, bar)
            except BadRecord as bad:
                decoded.dead.append(DeadLetter(record, bad.kind, bad.reason))
                continue
            if bar.closed:
                kept[canonical_interval(bar.interval)].append((bar, record.offset))
            else:
                decoded.counts["unclosed"] += 1
        decoded.batches = {interval: _batch(bars) for interval, bars in kept.items()}
        return decoded

    def _enter(self, offset: int) -> None:
        """The stretch of offsets that one partitioner judges."""
        self._keys.clear()
        begun = [change for change in self._changes if change.offset <= offset]
        self.partitioner = (begun or self._changes)[-1 if begun else 0].partitioner
        self._begin = begun[-1].offset if begun else 0
        self._end = min((change.offset for change in self._changes[len(begun) :]), default=sys.maxsize)

    def belongs(self, symbol: str) -> bool:
        """Does a partitioner that is, or ever was, in force put the symbol here?"""
        kinds = {change.partitioner for change in self._changes}
        return any(misplaced(symbol, self.partition, self.partitions, kind) is None for kind in kinds)

    def _check_key(self, symbol: str, key: bytes | None) -> None:
        if key != symbol.encode():
            raise BadRecord("wrong_key", f"the key {_shown(key)} is not the symbol {symbol!r}")
        if fault := misplaced(symbol, self.partition, self.partitions, self.partitioner):
            raise BadRecord("wrong_partition", fault)
        self._keys[symbol] = key


def _batch(bars: list[tuple[Bar, int]]) -> BarBatch:
    # + 0.0: a volume of -0.0 is 0.0, not another value
    rows = np.array([(b.close_time, b.open, b.high, b.low, b.close, b.volume + 0.0) for b, _ in bars], BAR)
    offsets = np.array([offset for _, offset in bars], np.int64)
    return BarBatch([bar.symbol for bar, _ in bars], rows, offsets)


def _shown(key: bytes | None) -> str:
    return "none" if key is None else repr(key[:80])
