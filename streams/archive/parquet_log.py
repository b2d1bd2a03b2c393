"""An archive of topics in Parquet, read as a log.

    DIR/archive.json                            prefix and partitioner of the topics
    DIR/TOPIC/partition-0.json                  what is archived of the partition; only what it lists counts
    DIR/TOPIC/day=2013-10-04/0-SEGMENT.parquet  the records of a day (UTC) of a segment

Columns: partition, offset, timestamp, key, value, headers. A segment is a stretch of offsets, numbered by its first
one; it has a file for each day of its records' timestamps.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import msgspec
import numpy as np

from plugins.base.streaming import IntArray
from schemas.errors import ConfigurationError
from streams.archive.schemas import archived_schemas
from streams.kafka.gaps import Gaps, Span, merged
from streams.kafka.log import Log, LogRecord, RecordColumns, Texts
from streams.kafka.schema_registry import Schemas

if TYPE_CHECKING:
    import pyarrow as pa

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


class ArchivedRecords(RecordColumns):
    """The records of a table of Arrow."""

    def __init__(self, table: "pa.Table") -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, at: int) -> LogRecord: ...
    @overload
    def __getitem__(self, at: slice) -> "ArchivedRecords": ...
    def __getitem__(self, at: "int | slice") -> "LogRecord | ArchivedRecords":
        if isinstance(at, slice):
            begin, end, step = at.indices(len(self))
            table = self._table
            part = table.slice(begin, max(end - begin, 0)) if step == 1 else table.take(np.arange(begin, end, step))
            return ArchivedRecords(part)
        return _records(self._table.slice(range(len(self))[at], 1))[0]

    def __iter__(self) -> Iterator[LogRecord]:
        return iter(_records(self._table))

    def at(self, rows: Sequence[int]) -> list[LogRecord]:
        return _records(self._table.take(rows)) if len(rows) else []

    @property
    def offsets(self) -> IntArray:
        return np.array(self._table.column("offset").to_numpy(), np.int64)

    def texts(self, name: str) -> Texts:
        parts = [_text(chunk) for chunk in self._table.column(name).chunks]
        data = np.concatenate([part for part, _ in parts]) if len(parts) != 1 else parts[0][0]
        data.flags.writeable = False  # as joined bytes are, for which the code is compiled
        return data, np.cumsum(np.concatenate([lengths for _, lengths in parts]))


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
            if segment.end > start and segment.records:
                records = read_segment(self.folder / topic, segment)
                for first in range(int(np.searchsorted(records.offsets, start)), len(records), BATCH):
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


def read_segment(folder: Path, segment: Segment) -> ArchivedRecords:
    """All records of a segment by offset; `ConfigurationError` when a file is missing or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for name in segment.files:
        try:
            tables.append(pq.read_table(folder / name, page_checksum_verification=True, partitioning=None))
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"{folder / name} is damaged or missing: {str(error).splitlines()[0]}") from None
    count = sum(table.num_rows for table in tables)
    if count != segment.records:
        raise ConfigurationError(
            f"{folder}: {segment.files[0]} and the files of the same number hold {count} records, not {segment.records}"
        )
    table = pa.concat_tables(tables)
    offsets = table.column("offset").to_numpy()
    ordered = len(offsets) < 2 or bool((np.diff(offsets) >= 0).all())
    return ArchivedRecords(table if ordered else table.take(np.argsort(offsets, kind="stable")))


def _records(table: "pa.Table") -> list[LogRecord]:
    """One object each."""
    columns = [table.column(field).to_numpy().tolist() for field in ArchivedRecord._fields[:-1]]
    return list(map(ArchivedRecord._make, zip(*columns, _headers(table.column("headers")), strict=True)))


def _text(column: "pa.Array") -> Texts:
    """The bytes of its texts one after the other, and how long each is."""
    column = column.fill_null(b"") if column.null_count else column
    _, bounds, data = column.buffers()
    ends = np.frombuffer(bounds, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.frombuffer(data or b"", np.uint8)
    return data[ends[0] : ends[-1]], np.diff(ends)


def _headers(column: Any) -> list[tuple[tuple[str, bytes], ...]]:
    """Of each record; most have none, and Arrow's lists are slow to look at one by one."""
    import pyarrow.compute as pc

    headers: list[tuple[tuple[str, bytes], ...]] = [()] * len(column)
    rows = np.flatnonzero(pc.list_value_length(column).to_numpy())
    for row, own in zip(rows.tolist(), column.take(rows).to_pylist(), strict=True):
        headers[row] = tuple((header["name"], header["value"]) for header in own)
    return headers
