"""Writes topics to Parquet, a segment at a time; only a complete segment is listed.

Layout and reading: `streams.archive.parquet_log`.
"""

import asyncio
import contextlib
import fcntl
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from schemas.atomic import atomic_write
from schemas.errors import AlphawireError, ConfigurationError
from streams.archive.parquet_log import (
    ABOUT,
    About,
    ParquetLog,
    Segment,
    is_archive,
    read_about,
    read_kept,
    read_segment,
)
from streams.archive.schemas import SchemaKeeper
from streams.kafka.gaps import Gaps, Span, merged
from streams.kafka.log import Log, LogRecord
from streams.kafka.topics import TOPICS, topic_name
from streams.kafka.topics.specs import COMPACT

DEFAULT = ("state", "signals", "control", "bars")
"""The ends are fixed in this order, so whatever is archived, its inputs are archived, too."""
SEGMENT_RECORDS = 100_000
SEGMENT_BYTES = 64 << 20
DAY_MS = 86_400_000
Progress = Callable[[int, int | None], None]


@dataclass
class Report:
    """What a run added; `lost`: offsets that the log had dropped before they were archived."""

    records: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, list[Span]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


async def archive(
    log: Log, out: Path, topics: Sequence[str] = DEFAULT, progress: Progress | None = None, size: int = SEGMENT_RECORDS
) -> Report:
    """Adds to the archive in `out` what the topics hold beyond it, up to their current ends.

    Parameters
    ----------
    progress
        Called with how many records were read, and the timestamp (ms) of the last.
    size
        Records of a segment: what one run may have to read again after a crash.

    Raises
    ------
    ConfigurationError
        `out` is no archive, is one of other topics, or is being written to.
    AlphawireError
        The folder cannot be written, or the broker went away: what was complete stays, and another run goes on there.
    """
    ordered = [name for name in [*DEFAULT, *topics] if name in topics]
    ordered = list(dict.fromkeys(["bars", *ordered] if "bars" not in ordered else ordered))
    with _writing(out):
        about = await _about(log, out, ordered)
        report = Report()
        ends: dict[tuple[str, int], int] = {}
        for name in ordered:
            for partition in range(about.topics[name]):
                _, end = await log.offset_range(name, partition, "read_committed")
                ends[name, partition] = end
        for (name, partition), end in ends.items():
            if name in topics:
                await _Partition(log, out, name, partition, end, size, progress).run(report)
        return report


async def _about(log: Log, out: Path, names: Sequence[str]) -> About:
    counts = {name: await log.partition_count(name) for name in names}
    if not is_archive(out):
        if any(entry.name != ".lock" for entry in out.iterdir()):
            raise ConfigurationError(f"{out} holds files that are no archive; give a new or empty folder")
        about = About(log.prefix, log.partitioner, counts, names=dict(log.topics), source=log.bars_source)
    else:
        there = read_about(out)
        about = About(
            log.prefix, log.partitioner, there.topics | counts, names=dict(log.topics), source=log.bars_source
        )
        same = all(there.topics.get(name, count) == count for name, count in counts.items())
        # a partitioner or a source may change, and then `applied` on control says from which bar on
        read = (there.partitioner, there.source) == (about.partitioner, about.source)
        placed = read or "control" in about.topics
        called = all(topic_name(ParquetLog(out), name) == topic_name(log, name) for name in about.topics)
        if not called or not placed or not same:
            names = f", names {there.names}" if there.names else ""
            raise ConfigurationError(
                f"{out} is an archive of topics with prefix {there.prefix!r}{names}, partitioner {there.partitioner}"
                f" and partitions {there.topics}; give another folder"
            )
    _write_json(out / ABOUT, about)
    return about


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Locks the folder for this process, and removes the leftovers of a crash."""
    try:
        out.mkdir(exist_ok=True)
        with (out / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(f"{out} is being written to by another `alphawire archive`") from None
            for leftover in out.rglob("*.part"):
                leftover.unlink()
            yield
    except OSError as error:
        raise AlphawireError(
            f"cannot write {error.filename or out}: {error.strerror or error}; what was archived before is untouched,"
            " and the next run goes on from there"
        ) from None


class _Partition:
    """One partition of one topic on its way into the archive."""

    def __init__(
        self, log: Log, out: Path, name: str, partition: int, end: int, size: int, progress: Progress | None
    ) -> None:
        self.log, self.name, self.partition, self.end, self.size = log, name, partition, end, size
        self.folder = out / name
        self.place = f"{topic_name(log, name)}/{partition}"
        self.compacted = TOPICS[name].settings == COMPACT
        self.progress = progress
        self.kept = read_kept(self.folder, partition)
        self.gaps = Gaps()
        self.keeper = SchemaKeeper(out, log.schemas) if name in ("bars", "trades") and log.schemas else None

    async def run(self, report: Report) -> None:
        before = self.kept.records
        await self._check_and_skip(report)
        await self._read()
        report.records[self.place] = self.kept.records - before
        report.total[self.place] = self.kept.records
        if self.kept.gaps:
            report.gaps[self.place] = self.kept.gaps

    async def _check_and_skip(self, report: Report) -> None:
        """Is this still the log that the archive is of, and does it reach back to where we go on?"""
        kept = self.kept
        oldest, _ = await self.log.offset_range(self.name, self.partition)
        if self.end < kept.next or not await self._goes_on(oldest):
            raise ConfigurationError(
                f"{self.folder.parent} holds other records of {self.place} before offset {kept.next} than the log has:"
                " the topic was made anew; give another folder"
            )
        if oldest > kept.next and not self.compacted:
            gap = Span(kept.next, oldest)
            if kept.segments:
                report.lost.append(f"{self.place}: offsets {gap.begin} to {gap.end - 1} were gone before this run")
            kept.gaps.append(gap)
            kept.next = oldest

    async def _goes_on(self, oldest: int) -> bool:
        """The last archived record is the same on the log, as far as it is still there."""
        filled = [segment for segment in self.kept.segments if segment.records]
        if self.compacted or not filled:
            return True
        last = read_segment(self.folder, filled[-1])[-1]
        if last.offset < oldest:
            return True
        batches = self.log.batches(self.name, self.partition, last.offset, "read_committed")
        async with contextlib.aclosing(batches):
            async for records in batches:
                first = records[0]
                return (first.offset, first.key, first.value) == (last.offset, last.key, last.value)
        return False

    async def _read(self) -> None:
        waiting: list[LogRecord] = []
        weight = 0
        begin = self.kept.next
        if begin >= self.end:
            self._commit([], self.end)
            return
        batches = self.log.batches(self.name, self.partition, begin, "read_committed", self.gaps)
        async with contextlib.aclosing(batches):
            async for records in batches:
                new = [record for record in records if record.offset < self.end]
                if not new:
                    break
                if self.keeper:
                    await self.keeper.keep(record.value for record in new)
                waiting += new
                weight += sum(len(record.value or b"") + len(record.key or b"") for record in new)
                if self.progress:
                    self.progress(len(new), new[-1].timestamp)
                while len(waiting) >= self.size or weight >= SEGMENT_BYTES:
                    segment, waiting = waiting[: self.size], waiting[self.size :]
                    await asyncio.to_thread(self._commit, segment, segment[-1].offset + 1)
                    weight = 0
        self._commit(waiting, self.end)

    def _commit(self, records: Sequence[LogRecord], end: int) -> None:
        """Writes the segment, then lists it: a crash before that leaves the archive as it was."""
        kept = self.kept
        if end > kept.next:  # a segment without records, too: markers of transactions are no gap
            files = self._write(records)
            kept.segments.append(Segment(kept.next, end, len(records), files))
        if not self.compacted:
            kept.gaps = merged([*kept.gaps, *self.gaps.within(kept.next, end)])
        kept.next = max(kept.next, end)
        self.folder.mkdir(exist_ok=True)
        _write_json(self.folder / f"partition-{self.partition}.json", kept)

    def _write(self, records: Sequence[LogRecord]) -> list[str]:
        days: dict[str, list[LogRecord]] = {}
        for day, group in itertools.groupby(records, lambda record: record.timestamp // DAY_MS):
            days.setdefault(_date(day), []).extend(group)
        files = []
        for date, of_day in days.items():
            name = f"day={date}/{self.partition}-{self.kept.next:020d}.parquet"
            _write_parquet(self.folder / name, of_day)
            files.append(name)
        return files


def _date(day: int) -> str:
    """The date of a day since the epoch; a producer may send any number as timestamp."""
    try:
        return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "unknown"


def _write_parquet(path: Path, records: Sequence[LogRecord]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    header = pa.struct([("name", pa.string()), ("value", pa.binary())])
    columns = {
        "partition": pa.array([r.partition for r in records], pa.int32()),
        "offset": pa.array([r.offset for r in records], pa.int64()),
        "timestamp": pa.array([r.timestamp for r in records], pa.int64()),
        "key": pa.array([r.key for r in records], pa.binary()),
        "value": pa.array([r.value for r in records], pa.binary()),
        "headers": pa.array([[{"name": n, "value": v} for n, v in r.headers] for r in records], pa.list_(header)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        pq.write_table(pa.table(columns), aside, compression="zstd", write_page_checksum=True)


def _write_json(path: Path, document: msgspec.Struct) -> None:
    with atomic_write(path) as aside:
        aside.write_bytes(msgspec.json.encode(document))
