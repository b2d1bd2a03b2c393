"""An archive of topics in Parquet, read as a log.

    DIR/archive.json                            prefix and partitioner of the topics
    DIR/TOPIC/partition-0.json                  what is archived of the partition; only what it lists counts
    DIR/TOPIC/day=2013-10-04/0-SEGMENT.parquet  the records of a day (UTC) of a segment

Columns: partition, offset, timestamp, key, value, headers. A segment is a stretch of offsets, numbered by its first
one; it has a file for each day of its records' timestamps.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from schemas.errors import ConfigurationError
from streams.archive.schemas import archived_schemas
from streams.kafka.gaps import Gaps, Span, merged
from streams.kafka.log import Log, LogRecord
from streams.kafka.schema_registry import Schemas

T = TypeVar("T")
ABOUT = "archive.json"
BATCH = 5_000


class Segment(msgspec.Struct):
    begin: int
    end: int
    records: int
    files: list[str]


class Kept(msgspec.Struct):
    """What is archived of one partition: everything before `next`, but for the `gaps`."""

    next: int = 0
    segments: list[Segment] = []
    gaps: list[Span] = []

    @property
    def records(self) -> int:
        return sum(segment.records for segment in self.segments)

    @property
    def oldest(self) -> int:
        return self.segments[0].begin if self.segments else self.next


class About(msgspec.Struct):
    """What an archive is of: partitions by topic, as alphawire calls it, and the full names of those that are called
    otherwise on the broker.
    """

    prefix: str
    partitioner: str
    topics: dict[str, int]
    version: int = 1
    names: dict[str, str] = {}
    source: str = ""
    """How the bars are read: `Kafka.bars_source`."""


class ArchivedRecord(NamedTuple):
    """A record as a consumer hands it out."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class ParquetLog(Log):
    """The archive in `folder` as a log; `ConfigurationError` where it is none, or a file is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = read_about(folder)
        self._schemas = archived_schemas(folder)

    @property
    def prefix(self) -> str:
        return self.about.prefix

    @property
    def topics(self) -> Mapping[Any, str]:
        return self.about.names

    @property
    def bars_source(self) -> str:
        return self.about.source

    @property
    def schemas(self) -> Schemas | None:
        return self._schemas

    @property
    def partitioner(self) -> str:
        return self.about.partitioner

    async def partition_count(self, topic: str = "bars") -> int:
        self._require(topic)
        return self.about.topics[topic]

    async def offset_range(self, topic: str, partition: int, isolation: str = "read_uncommitted") -> tuple[int, int]:
        kept = self.kept(topic, partition)
        return kept.oldest, kept.next

    async def batches(
        self,
        topic: str,
        partition: int,
        start: int = 0,
        isolation: str = "read_uncommitted",
        gaps: Gaps | None = None,
    ) -> AsyncGenerator[Sequence[LogRecord], None]:
        kept = self.kept(topic, partition)
        if gaps is not None:
            gaps.spans += _gaps(kept, start)
        for segment in kept.segments:
            if segment.end > start:
                records = read_segment(self.folder / topic, segment)
                records = [record for record in records if record.offset >= start]
                for first in range(0, len(records), BATCH):
                    yield records[first : first + BATCH]

    def kept(self, topic: str, partition: int) -> Kept:
        """What there is of a partition."""
        self._require(topic)
        return read_kept(self.folder / topic, partition)

    def _require(self, topic: str) -> None:
        if topic not in self.about.topics:
            raise ConfigurationError(f"{self.folder} holds no topic {topic}; archive it with --topic {topic}")


def _gaps(kept: Kept, start: int) -> list[Span]:
    """Gaps from offset `start` on: those of the log, and offsets that no listed segment covers."""
    reached, gaps = start, list[Span]()
    for begin, end in [*((segment.begin, segment.end) for segment in kept.segments), (kept.next, kept.next)]:
        gaps += [Span(reached, begin)] if begin > reached else []
        reached = max(reached, end)
    gaps += [Span(max(gap.begin, start), gap.end) for gap in kept.gaps if gap.end > start]
    return merged(gaps)


def is_archive(folder: str | Path) -> bool:
    return (Path(folder) / ABOUT).is_file()


def read_about(folder: Path) -> About:
    return _read(folder / ABOUT, About)


def read_kept(folder: Path, partition: int) -> Kept:
    path = folder / f"partition-{partition}.json"
    return _read(path, Kept) if path.exists() else Kept()


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; archive again, to a new folder") from None


def read_segment(folder: Path, segment: Segment) -> list[ArchivedRecord]:
    """All records of a segment by offset; `ConfigurationError` when a file is missing or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records: list[ArchivedRecord] = []
    for name in segment.files:
        try:
            table = pq.read_table(folder / name, page_checksum_verification=True, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"{folder / name} is damaged or missing: {str(error).splitlines()[0]}") from None
        columns = [table.column(field).to_numpy().tolist() for field in ArchivedRecord._fields[:-1]]
        records += map(ArchivedRecord._make, zip(*columns, _headers(table.column("headers")), strict=True))
    if len(records) != segment.records:
        raise ConfigurationError(
            f"{folder}: {segment.files[0]} and the files of the same number hold {len(records)} records, not"
            f" {segment.records}"
        )
    return sorted(records, key=attrgetter("offset"))


def _headers(column: Any) -> list[tuple[tuple[str, bytes], ...]]:
    """Of each record; most have none, and Arrow's lists are slow to look at one by one."""
    import pyarrow.compute as pc

    headers: list[tuple[tuple[str, bytes], ...]] = [()] * len(column)
    rows = np.flatnonzero(pc.list_value_length(column).to_numpy())
    for row, own in zip(rows.tolist(), column.take(rows).to_pylist(), strict=True):
        headers[row] = tuple((header["name"], header["value"]) for header in own)
    return headers
