"""Detects gaps in the log where aiokafka parses the batches of a fetch.

A consumer hands out neither the markers of transactions nor what an aborted one wrote, so a jump in the offsets of its
records proves nothing. Batches do: each names its first and last offset, and still does after a compaction. An offset
that no batch covers is a gap, and so is one that a batch covers without a record. Markers and skipped batches are none.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords

from streams.kafka.gaps import Gaps, PartitionGaps
from streams.kafka.header_repair import RepairedRecords


class WatchedRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka has no types for it
    """The records that a fetch brought of a partition, reported to the consumer's `Gaps`, if it has any."""

    def __init__(
        self, tp: Any, records: Any, aborted: Any, fetch_offset: int, key_deserializer: Any, *options: Any
    ) -> None:
        gaps = key_deserializer.of(tp) if isinstance(key_deserializer, PartitionGaps) else key_deserializer
        watched = isinstance(key_deserializer, Gaps | PartitionGaps)
        super().__init__(tp, records, aborted, fetch_offset, None if watched else key_deserializer, *options)
        if isinstance(gaps, Gaps):
            self._records = _Batches(records, self, gaps)


class _Batches:
    """Batches, each reported when it is reached."""

    def __init__(self, records: RepairedRecords, owner: PartitionRecords, gaps: Gaps) -> None:
        self._records, self._owner, self._gaps = records, owner, gaps

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begin = max(getattr(batch, "base_offset", 0), self._owner.next_fetch_offset)
        self._gaps.reach(begin, batch.next_offset)
        whole = batch.is_control_batch or getattr(batch, "whole", False)
        return batch if whole else _Sparse(batch, begin, self._gaps)


class _Sparse:
    """A batch that lacks records (or one from before Kafka 0.11, which does not say how many it had). Its gaps are
    reported while its records are read, so a batch of an aborted transaction, which is skipped, reports none.
    """

    def __init__(self, batch: Any, begin: int, gaps: Gaps) -> None:
        self._batch, self._begin, self._gaps = batch, begin, gaps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        expected = self._begin
        for record in self._batch:
            self._gaps.add(expected, record.offset)
            expected = max(expected, record.offset + 1)
            yield record
        self._gaps.add(expected, self._batch.next_offset)


def watch_gaps() -> None:
    """Patches aiokafka for all consumers of this process; those without `Gaps` work as before. Idempotent."""
    fetcher.PartitionRecords = WatchedRecords
