"""Reads records whose header names are not UTF-8.

Kafka's brokers and its Java client take any bytes there, aiokafka raises in the middle of a fetch, at the same offset
each time: whoever may write to `bars` could stop a partition for ever. Here such bytes become question marks.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint


class RepairedRecords(_MemoryRecordsPy):  # type: ignore[misc]  # marked final, for its own type checks
    """The batches of a fetch."""

    def next_batch(self, *options: Any) -> Any:
        raw = self._next_slice
        batch = super().next_batch(*options)
        return _Batch(batch, raw) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """As aiokafka's, until a header's name cannot be decoded: from there on by its slower twin, in Python."""

    def __init__(self, batch: Any, raw: Any) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    @property
    def whole(self) -> bool:
        """Has it a record for each of its offsets? After a compaction it may not."""
        *_, count = _DefaultRecordBatchPy.HEADER_STRUCT.unpack_from(self._raw)
        return bool(count == self._batch.last_offset_delta + 1)

    def __next__(self) -> Any:
        """The marker of a batch that is a transaction's end; that one the broker wrote."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._batch:
                yield record
                given += 1
        except UnicodeDecodeError:
            yield from islice(_mended(self._raw), given, None)


def _mended(raw: Any) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(raw)
    records: Iterator[Any] = iter(batch)  # decompresses
    data, position = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        position = _mend_record(data, position)
    return records


def _mend_record(data: bytearray, position: int) -> int:
    """Mends the names of the headers of the record at `position`, and returns where the next one begins.

    Record: length, attributes, time, offset (varints), key, value, number of headers, then name and value of each.
    """
    length, position = decode_varint(data, position)
    end: int = position + length
    for _ in range(3):
        _, position = decode_varint(data, position)
    for _ in range(2):
        _, position = _field(data, position)
    count, position = decode_varint(data, position)
    for _ in range(count):
        begin, position = _field(data, position)
        name = data[begin:position]
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            data[begin:position] = bytes(byte if byte < 0x80 else 0x3F for byte in name)
        _, position = _field(data, position)
    return end


def _field(data: bytearray, position: int) -> tuple[int, int]:
    """Begin and end of the bytes that follow their length, which is -1 for none."""
    length, begin = decode_varint(data, position)
    return begin, begin + max(length, 0)


def read_tolerantly() -> None:
    """Patches aiokafka for all consumers of this process. Idempotent."""
    fetcher.MemoryRecords = RepairedRecords
