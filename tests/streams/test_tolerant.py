"""Batches with header names that are no UTF-8, wherever they are; others are read as aiokafka reads them."""

import gzip
import struct
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.kafka.header_repair import RepairedRecords

RECORDS = 6
HEADER = 61
"""Bytes of a batch before its records, by Kafka's protocol guide (magic 2)."""


def batch(codec: int = 0, hostile: tuple[int, ...] = (), names: bytes = b"\xff\xfe\xc0\x80") -> bytes:
    """A batch of a few records; those in `hostile` have a header with that name."""
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 20
    )
    for number in range(RECORDS):
        headers = [("a", None), (f"NA{number:02}", b"NAME"), ("é", b"")] if number in hostile else [("a", b"1")]
        builder.append(number, 1000 + number, key=None if number == 2 else b"k", value=b"v" * number, headers=headers)
    data = bytearray(builder.build())
    for number in hostile:
        place = data.index(b"NA%02d" % number)
        data[place : place + 4] = names
    if codec == 1:
        data = data[:HEADER] + gzip.compress(data[HEADER:])
        data[8:12] = struct.pack(">i", len(data) - 12)
        data[22] |= 1
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def read(kind: Any, data: bytes) -> list[tuple[Any, ...]]:
    records = kind(data)
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(one.next_offset, r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in one]
    return found


@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize("hostile", [(0,), (3,), (RECORDS - 1,), tuple(range(RECORDS)), (1, 2)])
def test_all_records_come_and_what_can_be_read_is_the_same(codec: int, hostile: tuple[int, ...]) -> None:
    data = batch(codec, hostile) + batch(codec)
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords, data)
    expected = read(MemoryRecords, batch(codec, hostile, b"????") + batch(codec))
    assert len(expected) == 2 * RECORDS
    assert read(RepairedRecords, data) == expected


def test_a_name_that_is_cut_in_a_letter() -> None:
    """What is ASCII stays."""
    data = batch(0, (1,), "aé".encode()[:-1] + b"bc")
    assert read(RepairedRecords, data)[1][-1][1] == ("a?bc", b"NAME")


@pytest.mark.parametrize("codec", [0, 1])
def test_others_are_read_as_before(codec: int) -> None:
    data = batch(codec) * 3 + batch(codec)[:-5]
    assert read(RepairedRecords, data) == read(MemoryRecords, data)
    assert RepairedRecords(data).size_in_bytes() == len(data)
