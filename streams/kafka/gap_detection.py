"""Holes in the log, seen where aiokafka takes the batches of a fetch apart.

A consumer hands out neither the marks of transactions nor what an aborted one wrote, so a jump in the offsets of its
records says nothing. The batches do: each names its first and last offset, and after a compaction still does. What
no batch covers, and what a batch covers without a record, is a hole. A mark is none; nor is a batch that is skipped.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords

from streams.kafka.gaps import Gaps
from streams.kafka.header_repair import RepairedRecords


class WatchedRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka has no types for it
    """What a fetch brought of a partition, told to the consumer's `Gaps`, where it has such."""

    def __init__(
        self, tp: Any, records: Any, aborted: Any, fetch_offset: int, key_deserializer: Any, *options: Any
    ) -> None:
        holes = key_deserializer if isinstance(key_deserializer, Gaps) else None
        super().__init__(tp, records, aborted, fetch_offset, None if holes else key_deserializer, *options)
        if holes is not None:
            self._records = _Batches(records, self, holes)


class _Batches:
    """Batches, each told as it is reached."""

    def __init__(self, records: RepairedRecords, owner: PartitionRecords, holes: Gaps) -> None:
        self._records, self._owner, self._holes = records, owner, holes

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begin = max(getattr(batch, "base_offset", 0), self._owner.next_fetch_offset)
        self._holes.reach(begin, batch.next_offset)
        whole = batch.is_control_batch or getattr(batch, "whole", False)
        return batch if whole else _Sparse(batch, begin, self._holes)


class _Sparse:
    """A batch some of whose records are gone (or one of before Kafka 0.11, which does not say how many it had): its
    holes are told as its records are looked at, so none are of one that is skipped, as its transaction was aborted.
    """

    def __init__(self, batch: Any, begin: int, holes: Gaps) -> None:
        self._batch, self._begin, self._holes = batch, begin, holes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        expected = self._begin
        for record in self._batch:
            self._holes.add(expected, record.offset)
            expected = max(expected, record.offset + 1)
            yield record
        self._holes.add(expected, self._batch.next_offset)


def watch_holes() -> None:
    """All consumers of this process from here on; no harm when it is so already, nor to those without `Gaps`."""
    fetcher.PartitionRecords = WatchedRecords
