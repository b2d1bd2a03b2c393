"""An archive of topics in Parquet, read as if it were the log.

    DIR/archive.json                            prefix and partitioner of the topics
    DIR/TOPIC/partition-0.json                  what is archived of the partition; only what it lists counts
    DIR/TOPIC/day=2013-10-04/0-SEGMENT.parquet  the records of a day (UTC) of a segment

Columns: partition, offset, timestamp, key, value, headers. A segment is a stretch of offsets, numbered by its first
one; it has a file for each day of its records' timestamps.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError

T = TypeVar("T")
ABOUT = "archive.json"
BATCH = 5_000


class Span(msgspec.Struct):
    """Offsets from `begin` up to, not including, `end`."""

    begin: int
    end: int


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
    """What an archive is of: partitions by topic (without the prefix)."""

    prefix: str
    partitioner: str
    topics: dict[str, int]
    version: int = 1


class ArchivedRecord(NamedTuple):
    """A record as a consumer hands it out."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Archived(Kafka):
    """Where the topics are, when that is an archive: `streams.kafka.clients` reads this instead of a broker."""

    folder: Path
    topics: dict[str, int]

    def batches(self, topic: str, partition: int, start: int = 0) -> Iterator[list[ArchivedRecord]]:
        """Records from offset `start` on, in their order."""
        for segment in self.kept(topic, partition).segments:
            if segment.end > start:
                records = read_segment(self.folder / self._short(topic), segment)
                records = [record for record in records if record.offset >= start]
                yield from (records[first : first + BATCH] for first in range(0, len(records), BATCH))

    def holes(self, topic: str, partition: int, start: int = 0) -> list[Span]:
        """What is gone from offset `start` on: what the log lacked, and what no segment is listed for."""
        kept, reached, holes = self.kept(topic, partition), start, list[Span]()
        for begin, end in [*((segment.begin, segment.end) for segment in kept.segments), (kept.next, kept.next)]:
            holes += [Span(reached, begin)] if begin > reached else []
            reached = max(reached, end)
        holes += [Span(max(gap.begin, start), gap.end) for gap in kept.gaps if gap.end > start]
        return merged(holes)

    def offset_range(self, topic: str, partition: int) -> tuple[int, int]:
        kept = self.kept(topic, partition)
        return kept.oldest, kept.next

    def kept(self, topic: str, partition: int) -> Kept:
        """What there is of a partition of the topic with this full name."""
        name = self._short(topic)
        if name not in self.topics:
            raise ConfigurationError(f"{self.folder} holds no topic {name}; archive it with --topic {name}")
        return read_kept(self.folder / name, partition)

    def _short(self, topic: str) -> str:
        return topic.removeprefix(self.prefix)


def merged(spans: Iterable[Span]) -> list[Span]:
    """In their order; those that touch are one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def is_archive(folder: str | Path) -> bool:
    return (Path(folder) / ABOUT).is_file()


def archived(folder: Path) -> Archived:
    """The archive in `folder` as a place where topics are."""
    about = read_about(folder)
    settings: Any = {"prefix": about.prefix, "partitioner": about.partitioner, "partitions": about.topics["bars"]}
    return Archived(folder=folder, topics=about.topics, **settings)


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
        columns = [table.column(field).to_pylist() for field in ArchivedRecord._fields[:-1]]
        columns.append([tuple((h["name"], h["value"]) for h in row) for row in table.column("headers").to_pylist()])
        records += map(ArchivedRecord._make, zip(*columns, strict=True))
    if len(records) != segment.records:
        raise ConfigurationError(
            f"{folder}: {segment.files[0]} and the files of the same number hold {len(records)} records, not"
            f" {segment.records}"
        )
    return sorted(records, key=lambda record: record.offset)
