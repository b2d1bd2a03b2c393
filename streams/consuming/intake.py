"""From records on the `bars` topic to batches for the pipeline; what cannot be used becomes a dead letter or is
counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugins.base.bars import BAR, BarBatch
from schemas.errors import BadRecord
from schemas.wire import Bar, decode_bar
from streams.consuming.clock_bound import ClockBound
from streams.kafka.partitioner import partition_of


@dataclass(frozen=True)
class DeadLetter:
    """A record that cannot be used, and why."""

    record: Any
    kind: str
    reason: str


@dataclass
class DecodedBars:
    """What a chunk held: a batch for each interval, and the rest."""

    batches: dict[str, BarBatch]
    dead: list[DeadLetter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Intake:
    """Decodes and checks the records of one partition of `bars`; live and replay use the same. `bound`: what is refused
    by the clock.
    """

    def __init__(self, partition: int, partitions: int, partitioner: str, bound: ClockBound | None = None) -> None:
        self.partition = partition
        self.partitions = partitions
        self.partitioner = partitioner
        self.bound = bound or ClockBound()
        self._keys: dict[str, bytes] = {}

    def read(self, records: Iterable[Any]) -> DecodedBars:
        decoded = DecodedBars({})
        kept: dict[str, list[tuple[Bar, int]]] = defaultdict(list)
        for record in records:
            try:
                bar = decode_bar(record.value)
                if record.key is None or self._keys.get(bar.symbol) != record.key:
                    self._check_key(bar.symbol, record.key)
                self.bound.check(record.offset, bar)
            except BadRecord as bad:
                decoded.dead.append(DeadLetter(record, bad.kind, bad.reason))
                continue
            if bar.closed:
                kept[bar.interval].append((bar, record.offset))
            else:
                decoded.counts["unclosed"] += 1
        decoded.batches = {interval: _batch(bars) for interval, bars in kept.items()}
        return decoded

    def _check_key(self, symbol: str, key: bytes | None) -> None:
        if key != symbol.encode():
            raise BadRecord("wrong_key", f"the key {_shown(key)} is not the symbol {symbol!r}")
        if self.partitioner != "as_is":
            home = partition_of(key, self.partitions, self.partitioner)
            if home != self.partition:
                raise BadRecord(
                    "wrong_partition",
                    f"{symbol} belongs on partition {home} by {self.partitioner};"
                    " set kafka.partitioner to what the producer uses (librdkafka: crc32), or to as_is",
                )
        self._keys[symbol] = key


def _batch(bars: list[tuple[Bar, int]]) -> BarBatch:
    # + 0.0: a volume of -0.0 is 0.0, not another value
    rows = np.array([(b.close_time, b.open, b.high, b.low, b.close, b.volume + 0.0) for b, _ in bars], BAR)
    offsets = np.array([offset for _, offset in bars], np.int64)
    return BarBatch([bar.symbol for bar, _ in bars], rows, offsets)


def _shown(key: bytes | None) -> str:
    return "none" if key is None else repr(key[:80])
