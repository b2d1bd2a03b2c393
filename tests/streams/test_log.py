"""The two logs, of a broker and of Parquet, answer alike: the second is made out of the first."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Config
from schemas.errors import AlphawireError
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.gaps import Gaps
from streams.kafka.log import KafkaLog, Log
from streams.kafka.topics import topic_name
from tests.support.live import minute_bars, topics_and_bars, write_config


@pytest.fixture(scope="module")
def logs(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Log, Log]:
    folder = tmp_path_factory.mktemp("log")
    config = write_config(folder / "a.yaml", tansu.bootstrap, "log.")
    topics_and_bars(config, minute_bars(400))
    log = KafkaLog(config.kafka)
    asyncio.run(archive(log, folder / "archive", ["bars", "signals"], size=30))
    return config, log, ParquetLog(folder / "archive")


def plain(record: Any) -> tuple[Any, ...]:
    headers = tuple(record.headers)
    return record.partition, record.offset, record.timestamp, record.key, record.value, headers


async def read(log: Log, topic: str, partition: int, start: int) -> tuple[list[Any], list[Any], list[Any]]:
    """All records one by one, and by batches, and what is told to be gone."""
    gaps = Gaps()
    single = [plain(record) async for record in log.records(topic, partition, start, "read_committed")]
    batches = [batch async for batch in log.batches(topic, partition, start, "read_committed", gaps)]
    assert all(len(batch) > 0 for batch in batches)
    return single, [plain(record) for batch in batches for record in batch], gaps.spans


@pytest.mark.parametrize("start", [0, 1, 44, 45, 10_000])
def test_they_give_the_same_records(logs: tuple[Config, Log, Log], start: int) -> None:
    _, *both = logs
    for partition in (0, 1):
        for topic in ("bars", "signals"):
            kafka, parquet = (asyncio.run(read(log, topic, partition, start)) for log in both)
            assert kafka[0] == kafka[1] == parquet[0] == parquet[1]
            assert [offset for _, offset, *_ in kafka[0]] == list(range(start, start + len(kafka[0])))
            assert kafka[2] == parquet[2] == []
    counts = [len(asyncio.run(read(both[0], "bars", partition, 0))[0]) for partition in (0, 1)]
    assert sum(counts) == 400


def test_they_agree_on_what_there_is(logs: tuple[Config, Log, Log]) -> None:
    config, *both = logs
    assert [(log.prefix, log.partitioner, topic_name(log, "bars")) for log in both] == [
        ("log.", "murmur2", topic_name(config.kafka, "bars"))
    ] * 2
    for topic in ("bars", "signals"):
        assert [asyncio.run(log.partition_count(topic)) for log in both] == [2, 2]
        for partition in (0, 1):
            kafka, parquet = (asyncio.run(log.offset_range(topic, partition, "read_committed")) for log in both)
            assert kafka == parquet


def test_a_topic_that_is_not_there_is_named(logs: tuple[Config, Log, Log], tmp_path: Path) -> None:
    config, _, parquet = logs
    other = KafkaLog(config.kafka.model_copy(update={"prefix": "nobody."}))
    for log, line in (
        (other, r"has no topic nobody\.control; create the topics"),
        (parquet, r"holds no topic control; archive it with --topic control"),
    ):
        with pytest.raises(AlphawireError, match=line):
            asyncio.run(log.partition_count("control"))
    with pytest.raises(AlphawireError, match="holds no topic control"):
        asyncio.run(read(parquet, "control", 0, 0))
