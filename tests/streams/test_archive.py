"""An archive holds what the topics hold, whatever happens while it is written."""

import asyncio
import os
import resource
import signal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

import streams.archive.writer as writing
from schemas import atomic
from schemas.errors import AlphawireError, ConfigurationError
from streams.archive.parquet_log import Kept, ParquetLog, read_kept
from streams.archive.writer import Report, archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog, Log
from streams.kafka.topics import create_topics, topic_name
from tests.support.live import minute_bars, records, topics_and_bars, write_config

DAYS = {1_380_844_800_000: "2013-10-04", 1_380_931_200_000: "2013-10-05", -1: "1969-12-31", 2**62: "unknown"}


def run(log: Log, out: Path, *topics: str, **options: Any) -> Report:
    return asyncio.run(archive(log, out, topics or ("bars",), **options))


def contents(source: ParquetLog, topic: str = "bars", partition: int = 0) -> list[tuple[Any, ...]]:
    async def read() -> list[tuple[Any, ...]]:
        return [plain(record) async for record in source.records(topic, partition)]

    return asyncio.run(read())


def plain(record: Any) -> tuple[Any, ...]:
    headers = tuple(record.headers)
    return (record.partition, record.offset, record.timestamp, record.key, record.value, headers)


@pytest.fixture(scope="module")
def source(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> ParquetLog:
    """An archive of some 400 odd records, in segments of 50: itself a source for others, without a broker."""
    folder = tmp_path_factory.mktemp("source")
    config = write_config(folder / "a.yaml", tansu.bootstrap, "archive.")

    async def produce() -> None:
        await create_topics(config.kafka)
        async with open_producer(config.kafka) as producer:
            for number in range(400):
                value = None if number % 17 == 3 else os.urandom(number % 40)
                await producer.send(
                    topic_name(config.kafka, "bars"),
                    value,
                    None if value is not None and number % 13 == 5 else b"key",
                    partition=0,
                    timestamp_ms=list(DAYS)[number // 3 % len(DAYS)] if number > 20 else 1_380_844_800_000 + number,
                    headers=[("h", b"\x00\xff"), ("h", b"")] if number % 7 == 0 else [],
                )

    asyncio.run(produce())
    run(KafkaLog(config.kafka), folder / "archive", size=50)
    found = ParquetLog(folder / "archive")
    assert contents(found) == [plain(record) for record in records(config, "bars")]
    assert len(contents(found)) == 400
    return found


def test_files_lie_by_the_day_of_their_records(source: ParquetLog) -> None:
    files = list((source.folder / "bars").rglob("*.parquet"))
    assert {path.parent.name for path in files} == {f"day={day}" for day in DAYS.values()}
    for path in files:
        times = pq.ParquetFile(path).read().column("timestamp").to_pylist()
        assert {DAYS.get(time // 86_400_000 * 86_400_000, DAYS.get(time)) for time in times} == {path.parent.name[4:]}


def test_a_second_run_goes_on_after_the_last_offset(tansu: TansuBroker, tmp_path: Path) -> None:
    bars = minute_bars(600)
    config = write_config(tmp_path / "a.yaml", tansu.bootstrap, "archive-twice.")
    topics_and_bars(config, bars.iloc[:250])
    seen: list[tuple[int, int | None]] = []
    first = run(KafkaLog(config.kafka), tmp_path / "out", progress=lambda more, at: seen.append((more, at)))
    assert sum(more for more, _ in seen) == sum(first.records.values()) == 250
    assert max(at or 0 for _, at in seen) == int(bars["close_time"].iloc[:250].max())
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")}
    topics_and_bars(config, bars.iloc[250:])
    assert sum(run(KafkaLog(config.kafka), tmp_path / "out").records.values()) == 350
    assert sum(run(KafkaLog(config.kafka), tmp_path / "out").records.values()) == 0
    assert all(path.read_bytes() == was for path, was in files.items())
    there = ParquetLog(tmp_path / "out")
    found = contents(there, "bars", 0) + contents(there, "bars", 1)
    assert found == [plain(record) for record in records(config, "bars")]


def killed_at(step: int, source: ParquetLog, out: Path) -> bool:
    """An archiving process that is killed at its `step`-th write or rename; False: it came to its end."""
    child = os.fork()
    if child == 0:
        done = 0

        def maybe(*_: Any) -> None:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

        to_disk, replace = atomic._to_disk, Path.replace
        atomic._to_disk = lambda file: (maybe(), to_disk(file), maybe())[1]  # type: ignore[assignment]
        Path.replace = lambda self, to: (maybe(), replace(self, to), maybe())[1]  # type: ignore[assignment, method-assign]
        code = 1
        try:
            run(source, out, size=60)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def test_killed_at_any_moment_it_leaves_no_half_file_and_goes_on(source: ParquetLog, tmp_path: Path) -> None:
    whole, step, kills = contents(source), 1, 0
    while killed_at(step, source, out := tmp_path / f"out-{step}"):
        kills += 1
        there = contents(ParquetLog(out)) if (out / "archive.json").exists() else []
        assert there == whole[: len(there)]
        report = run(source, out, size=60)
        assert sum(report.records.values()) == len(whole) - len(there)
        assert contents(ParquetLog(out)) == whole
        assert not list(out.rglob("*.part"))
        step += 8
    assert kills > 12


def test_a_full_disk_is_one_line_and_leaves_what_was_there(source: ParquetLog, tmp_path: Path) -> None:
    import shutil

    half, out = tmp_path / "half", tmp_path / "out"
    shutil.copytree(source.folder, half)
    _keep(half, Kept(200, read_kept(half / "bars", 0).segments[:4]))
    run(ParquetLog(half), out, size=60)
    before = contents(ParquetLog(out))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        with pytest.raises(AlphawireError, match=r"cannot write .*; what was archived before is untouched"):
            run(source, out, size=200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert contents(ParquetLog(out)) == before
    run(source, out)
    assert contents(ParquetLog(out)) == contents(source)


def _keep(folder: Path, kept: Kept) -> None:
    (folder / "bars" / "partition-0.json").write_bytes(msgspec.json.encode(kept))


def test_what_the_log_dropped_meanwhile_is_told(source: ParquetLog, tmp_path: Path) -> None:
    """The log as it was with 100 records, then as it is without its first 200."""
    import shutil

    log, out = tmp_path / "log", tmp_path / "out"
    shutil.copytree(source.folder, log)
    kept = read_kept(log / "bars", 0)
    _keep(log, Kept(100, kept.segments[:2]))
    assert not run(ParquetLog(log), out).gaps
    _keep(log, Kept(400, kept.segments[4:]))
    report = run(ParquetLog(log), out)
    assert report.lost == ["archive.bars/0: offsets 100 to 199 were gone before this run"]
    assert [(gap.begin, gap.end) for gap in report.gaps["archive.bars/0"]] == [(100, 200)]
    assert contents(ParquetLog(out)) == contents(source)[:100] + contents(source)[200:]
    again = run(ParquetLog(log), out)
    assert (again.lost, len(again.gaps["archive.bars/0"])) == ([], 1)


def test_a_hole_in_the_log_is_told(source: ParquetLog, tmp_path: Path) -> None:
    import shutil

    log = tmp_path / "log"
    shutil.copytree(source.folder, log)
    kept = read_kept(log / "bars", 0)
    _keep(log, Kept(400, [*kept.segments[:3], *kept.segments[5:]]))
    report = run(ParquetLog(log), tmp_path / "out")
    assert [(gap.begin, gap.end) for gap in report.gaps["archive.bars/0"]] == [(150, 250)]


def test_folders_that_will_not_do(source: ParquetLog, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds files that are no archive"):
        run(source, tmp_path / "full")
    run(source, tmp_path / "out")
    other = ParquetLog(source.folder)
    other.about.partitioner = "crc32"
    with pytest.raises(ConfigurationError, match=r"is an archive of topics with prefix 'archive\.'"):
        run(other, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="holds no topic signals; archive it with --topic signals"):
        run(source, tmp_path / "out", "signals")
    with writing._writing(tmp_path / "out"), pytest.raises(ConfigurationError, match="is being written to by another"):
        run(source, tmp_path / "out")
    shutil.copytree(source.folder, tmp_path / "other")
    _keep(tmp_path / "other", Kept(300, read_kept(tmp_path / "other" / "bars", 0).segments[:6]))
    with pytest.raises(ConfigurationError, match="the topic was made anew; give another folder"):
        run(ParquetLog(tmp_path / "other"), tmp_path / "out")


def test_a_damaged_file_is_named(source: ParquetLog, tmp_path: Path) -> None:
    run(source, tmp_path / "out")
    file = next((tmp_path / "out" / "bars").rglob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    with pytest.raises(ConfigurationError, match=rf"{file.name} is damaged or missing"):
        contents(ParquetLog(tmp_path / "out"))
    file.unlink()
    with pytest.raises(ConfigurationError, match=rf"{file.name} is damaged or missing"):
        contents(ParquetLog(tmp_path / "out"))
