"""How many bytes the records of a topic take on the log, by the headers of the batches as the broker sends them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest import mock

from schemas.configuration import Kafka
from streams.kafka import header_repair
from streams.kafka.clients import read_batches_to_end
from streams.kafka.header_repair import RepairedRecords
from streams.kafka.topics import topic_name

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CONTROL = 0x20
HEADER = 61
"""Bytes before the records: KIP-98's batch."""


@dataclass
class Stored:
    """What a topic's batches take; those of transactions' end marks are left out."""

    records: int = 0
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    codecs: set[str] = field(default_factory=set)

    @property
    def bytes_each(self) -> float:
        return sum(self.sizes.values()) / self.records

    def take(self, partition: int, data: bytes) -> None:
        """The batches of a fetch; the last one may be cut off, and then comes again."""
        for base, size, flags in _batches(data):
            if not flags & CONTROL:
                self.sizes[partition, base] = size
                self.codecs.add(CODECS[flags & 7])


def _batches(data: bytes) -> Iterator[tuple[int, int, int]]:
    """First offset, size and flags of each whole batch."""
    at = 0
    while at + HEADER <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            return
        yield base, 12 + length, struct.unpack_from(">h", data, at + 21)[0]
        at += 12 + length


async def stored(kafka: Kafka, topic: str) -> Stored:
    """Of all partitions of `topic`, as it is now."""
    found, number = Stored(), 0

    class Counted(RepairedRecords):
        def __init__(self, data: bytes) -> None:
            found.take(number, bytes(data))
            super().__init__(data)

    with mock.patch.object(header_repair, "RepairedRecords", Counted):
        for number in range(kafka.partitions):
            async for records in read_batches_to_end(kafka, topic_name(kafka, topic), number):
                found.records += len(records)
    return found
