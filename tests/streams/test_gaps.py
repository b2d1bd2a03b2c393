"""What is gone from the middle of a log is told, and what never was a record is not."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.sources.bars import log_gaps, topic_bars
from schemas.configuration import Config
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.clients import client_settings, open_admin
from streams.kafka.gaps import Gaps, Span, describe_gaps
from streams.kafka.gaps.detection import WatchedRecords
from streams.kafka.header_repair import RepairedRecords
from streams.kafka.log import KafkaLog, Log
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline
from tests.support.live import minute_bars, records, strategy, write_config

PRODUCER = 7
BARS = minute_bars(300)


def batch(
    offsets: Iterable[int], base: int | None = None, end: int | None = None, transactional: bool = False
) -> bytes:
    """Records at these offsets in a batch of [base, end), as a compaction leaves it."""
    offsets = list(offsets)
    first = offsets[0] if base is None else base
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=transactional, producer_id=PRODUCER if transactional else -1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 20,
    )  # fmt: skip
    for offset in offsets:
        builder.append(offset - first, 1000, key=b"k", value=b"v", headers=[])
    data = bytearray(builder.build())
    data[0:8] = first.to_bytes(8, "big")
    data[23:27] = ((offsets[-1] + 1 if end is None else end) - first - 1).to_bytes(4, "big")
    return bytes(data)


def mark(offset: int, committed: bool) -> bytes:
    """The end of a transaction, by Kafka's protocol guide: key version 0, type 0 (abort) or 1 (commit)."""
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=True, producer_id=PRODUCER, producer_epoch=0, base_sequence=-1, batch_size=1 << 20
    )
    builder.append(0, 1000, key=bytes([0, 0, 0, committed]), value=bytes(6), headers=[])
    data = bytearray(builder.build())
    data[0:8] = offset.to_bytes(8, "big")
    data[22] |= 0x20
    return bytes(data)


def fetched(gaps: Gaps, data: bytes, offset: int, aborted: Any = ()) -> list[int]:
    """Offsets that a consumer gives out of one fetch from `offset` on."""
    at = TopicPartition("bars", 0)
    given = WatchedRecords(at, RepairedRecords(data), list(aborted), offset, gaps, None, False, READ_COMMITTED)
    return [record.offset for record in given]


def spans(*pairs: tuple[int, int]) -> list[Span]:
    return [Span(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("data", "offsets", "expected"),
    [
        (batch(range(0, 5)) + batch(range(5, 9)), range(9), []),
        (batch(range(0, 5)) + batch(range(8, 10)), [*range(5), 8, 9], [(5, 8)]),
        (batch([0, 3, 4], end=7) + batch([7]), [0, 3, 4, 7], [(1, 3), (5, 7)]),
        (batch([2, 3], base=0), [2, 3], [(0, 2)]),
        (batch(range(0, 3), transactional=True) + mark(3, True) + batch([4]), [0, 1, 2, 4], []),
        (batch([1], base=0, end=3, transactional=True) + mark(3, True), [1], [(0, 1), (2, 3)]),
    ],
    ids=["whole", "between batches", "in a batch", "at a batch's begin", "a mark", "committed and compacted"],
)
def test_holes_of_a_fetch(data: bytes, offsets: Iterable[int], expected: list[tuple[int, int]]) -> None:
    gaps = Gaps()
    assert fetched(gaps, data, 0) == list(offsets)
    assert gaps.spans == spans(*expected)


@pytest.mark.parametrize("aborted", [batch(range(3, 6), transactional=True), batch([4], 3, 6, transactional=True)])
def test_what_an_aborted_transaction_wrote_is_no_hole(aborted: bytes) -> None:
    """In the middle of a fetch, and at its end."""
    gaps = Gaps()
    assert fetched(gaps, batch(range(3)) + aborted, 0, [(PRODUCER, 3)]) == [0, 1, 2]
    assert fetched(gaps, mark(6, False) + batch([7]), 6) == [7]
    assert fetched(gaps, aborted + mark(6, False) + batch([9]), 3, [(PRODUCER, 3)]) == [9]
    assert gaps.spans == spans((8, 9))


def test_from_one_fetch_to_the_next() -> None:
    """A fetch begins inside of a batch; a log may lose its begin meanwhile, and a consumer goes on behind it."""
    gaps = Gaps()
    assert fetched(gaps, batch([26]), 26) == [26]  # what was looked at for the end of the log
    gaps.begin(0, 2, 27)
    assert fetched(gaps, batch(range(5)), 2) == [2, 3, 4]
    assert fetched(gaps, batch([5, 9], end=12), 5) == [5, 9]
    assert fetched(gaps, batch(range(10, 25)), 20) == list(range(20, 25))
    assert fetched(gaps, batch([30]), 25) == [30]
    assert gaps.spans == spans((0, 2), (6, 9), (10, 20), (25, 27))


def test_in_words() -> None:
    assert describe_gaps("bars/1", spans((5, 8), (9, 10))) == [
        "bars/1: offsets 5 to 7 hold no records (3)",
        "bars/1: offsets 9 to 9 hold no records (1)",
    ]
    assert describe_gaps("bars/1", [Span(n, n + 2) for n in range(0, 60, 10)]) == [
        "bars/1: 12 of the offsets 0 to 51 hold no records, in 6 places"
    ]


# --- Apache Kafka ----------------------------------------------------------------------------------------------------


def gone(config: Config, source: str, out: Path) -> list[str]:
    """What the command tells, on both its ways."""
    arguments = ["replay", "demo", "--source", source, "--out", str(out / "signals.jsonl"), "--json"]
    done = CliRunner().invoke(cli, [*arguments, "-c", str(out / "a.yaml")])
    spans: list[str] = json.loads(done.stdout)["gaps"]
    assert [line for line in done.stderr.splitlines() if "gap" in line] == [f"a gap in the log: {gap}" for gap in spans]
    return spans


def test_transactions_leave_no_gaps(kafka: ApacheKafkaBroker, tmp_path: Path) -> None:
    """Bars of a producer that commits, aborts and commits: marks and aborted records are no bars that are missing."""
    config = write_config(tmp_path / "a.yaml", kafka.bootstrap, "holes-marks.", {"demo": strategy()})
    bars = topic_name(config.kafka, "bars")

    async def produce() -> None:
        await create_topics(config.kafka)
        await produce_bars(config.kafka, BARS)
        again = [
            (record.key, record.value, record.partition) for record in await asyncio.to_thread(records, config, "bars")
        ]
        producer = AIOKafkaProducer(**client_settings(config.kafka), transactional_id="holes")
        await producer.start()
        for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
            await producer.begin_transaction()
            for key, value, partition in again[:40]:
                await producer.send(bars, value, key, partition)
            await end()
        await producer.stop()

    asyncio.run(produce())
    there = {(record.partition, record.offset) for record in records(config, "bars")}
    assert len(there) == len(BARS) + 80
    assert max(offset for _, offset in there) > len(there) // 2  # some offsets in between are none of a record
    assert gone(config, "kafka", tmp_path) == []
    assert log_gaps(topic_bars(KafkaLog(config.kafka), "1m")) == []
    report = asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "history", size=50))
    assert report.gaps == {}
    assert gone(config, str(tmp_path / "history"), tmp_path) == []


def test_a_compacted_log_is_told(kafka: ApacheKafkaBroker, tmp_path: Path) -> None:
    """A symbol's one bar at the begin, then bars until a compaction has come by: it keeps the last of each symbol, so
    what is gone is in the middle of the log.
    """
    config = write_config(tmp_path / "a.yaml", kafka.bootstrap, "holes-compacted.", {"demo": strategy()})
    bars = topic_name(config.kafka, "bars")
    settings = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}

    async def produce() -> None:
        async with open_admin(config.kafka) as admin:
            await admin.create_topics([NewTopic(bars, 2, 1, topic_configs=settings)])
        await create_topics(config.kafka)
        await produce_bars(config.kafka, BARS.iloc[:1].assign(symbol="ONCE"))
        sent = 0
        async with asyncio.timeout(deadline(60)):
            while sent < 200 or len(await asyncio.to_thread(records, config, "bars")) > sent:
                await produce_bars(config.kafka, BARS.iloc[sent : sent + 5])
                sent += 5

    asyncio.run(produce())
    given, gaps = asyncio.run(read(KafkaLog(config.kafka)))
    assert any(0 in offsets and batch for offsets, batch in zip(given, gaps, strict=True))
    assert_complete(given, gaps)
    assert gone(config, "kafka", tmp_path)
    assert log_gaps(topic_bars(KafkaLog(config.kafka), "1m"))
    # from here on nothing is compacted any more
    asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "history", size=5))
    history = ParquetLog(tmp_path / "history")
    given, gaps = asyncio.run(read(history))
    assert gaps == [history.kept("bars", n).gaps for n in (0, 1)]
    assert_complete(given, gaps)
    expected = [text for number in (0, 1) for text in describe_gaps(f"{bars}/{number}", gaps[number])]
    assert gone(config, str(tmp_path / "history"), tmp_path) == expected


async def read(log: Log) -> tuple[list[set[int]], list[list[Span]]]:
    """Of each partition the offsets that were given out, and the holes that were found meanwhile."""
    given, spans = [], []
    for partition in (0, 1):
        gaps = Gaps()
        batches = log.batches("bars", partition, 0, "read_committed", gaps)
        given.append({record.offset async for batch in batches for record in batch})
        spans.append(gaps.spans)
    return given, spans


def assert_complete(given: list[set[int]], gaps: list[list[Span]]) -> None:
    """In a log without marks each offset is that of a record, or gone."""
    for offsets, batch in zip(given, gaps, strict=True):
        lacking = {offset for gap in batch for offset in range(gap.begin, gap.end)}
        assert offsets | lacking == set(range(max(offsets, default=-1) + 1))
        assert not offsets & lacking
