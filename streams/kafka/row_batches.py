"""Rendered records of a topic, and batches of them without an object for each.

The bytes of a batch are those that aiokafka makes of the same records.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from plugins.base.streaming import IntArray
from plugins.pipeline.records.rendering import RenderedRecords
from plugins.pipeline.records.texts import Bytes, copy

MOST_OVERHEAD = 40
"""Bytes of a record besides its key and value: six lengths and differences, attributes, the number of headers."""


@dataclass(frozen=True, slots=True)
class RecordRows:
    """Records from number `first` on, to be written to `topic`, each with its symbol as key and its bar's close as
    timestamp.
    """

    topic: str
    rendered: RenderedRecords
    first: int = 0
    partition: None = None

    def __len__(self) -> int:
        return len(self.rendered) - self.first

    def later(self, count: int) -> "RecordRows | None":
        """Those after the first `count`; None where there are none."""
        return replace(self, first=self.first + count) if count < len(self) else None

    def key_values(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Key, value and timestamp of each."""
        signals, keys = self.rendered, self.rendered.keys
        starts, data, names = [0, *signals.ends.tolist()], signals.data.tobytes(), keys.data.tobytes()
        for row in range(self.first, len(signals)):
            name = int(signals.numbers[row])
            key = names[keys.starts[name] : keys.starts[name + 1]]
            yield key, data[starts[row] : starts[row + 1]], int(signals.times[row])


class RowBatch(BatchBuilder):  # type: ignore[misc]
    """A batch of a producer, filled by rows: aiokafka's own builder in Python closes, compresses and signs it."""

    _relative_offset: int

    def __init__(self, producer: Any) -> None:
        accumulator = producer._message_accumulator
        manager, size = accumulator._txn_manager, accumulator._batch_size
        transactional = manager is not None and manager.transactional_id is not None
        super().__init__(size, accumulator._compression_type, is_transactional=transactional)
        self._builder = _DefaultRecordBatchBuilderPy(2, accumulator._compression_type, transactional, -1, -1, 0, size)

    def extend(self, rows: RecordRows) -> int:
        """Takes as many of the rows, in order, as there is room for: one at least, if they are the first."""
        builder, signals, first = self._builder, rows.rendered, rows.first
        count, used = self._relative_offset, len(builder._buffer)
        if not count:
            builder._first_timestamp = builder._max_timestamp = int(signals.times[first])
        largest = signals.keys.longest + MOST_OVERHEAD
        start = int(signals.ends[first - 1]) if first else 0
        whole = len(signals.data) - start + len(rows) * largest
        longest = int(signals.ends[first]) - start + largest if not count else 0
        out = np.empty(min(whole, max(builder._batch_size - used, longest, 0) + largest), np.uint8)
        taken, written, latest = _pack(
            out, signals.data, signals.ends, signals.times, signals.keys.data, signals.keys.starts, signals.numbers,
            first, count, builder._first_timestamp, builder._batch_size - used,
        )  # fmt: skip
        builder._buffer += out[:written].tobytes()
        builder._max_timestamp = max(builder._max_timestamp, latest)
        builder._num_records += taken
        self._relative_offset = count + taken
        builder._last_offset = max(0, self._relative_offset - 1)
        return int(taken)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def prepare_rows() -> None:
    """Loads or compiles what the first batch would otherwise wait for."""
    none, data = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    _pack(data, data, none, none, data, np.zeros(1, np.int64), none, 0, 0, 0, 0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pack(
    out: Bytes, data: Bytes, ends: IntArray, times: IntArray, keys: Bytes, starts: IntArray, numbers: IntArray,
    first: int, offset: int, base_time: int, room: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Records (format 2) of the rows from `first` on; the first of a batch, at `offset` 0, always fits.

    A record: length, attributes, differences of time and offset (varints), key, value, number of headers.
    """
    at, row, latest = 0, first, base_time
    while row < len(ends):
        start, name = ends[row - 1] if row else 0, numbers[row]
        key, value = starts[name + 1] - starts[name], ends[row] - start
        length = 2 + _size(times[row] - base_time) + _size(offset) + _size(key) + key + _size(value) + value
        if at + length + _size(length) > room and offset:
            break
        at = _write_varint(out, at, length)
        out[at] = 0
        at = _write_varint(out, at + 1, times[row] - base_time)
        at = _write_varint(out, at, offset)
        at = copy(out, _write_varint(out, at, key), keys, starts[name], starts[name + 1])
        at = copy(out, _write_varint(out, at, value), data, start, ends[row])
        out[at] = 0
        at, row, offset, latest = at + 1, row + 1, offset + 1, max(latest, times[row])
    return row - first, at, latest


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _size(value: int) -> int:
    """Bytes of a varint, zigzag."""
    rest, size = (value << 1) ^ (value >> 63), 1
    while rest & ~0x7F:
        rest, size = (rest >> 7) & 0x1FFFFFFFFFFFFFF, size + 1
    return size


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _write_varint(out: Bytes, at: int, value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    while rest & ~0x7F:
        out[at] = rest & 0x7F | 0x80
        at, rest = at + 1, (rest >> 7) & 0x1FFFFFFFFFFFFFF
    out[at] = rest
    return at + 1
