"""Records that the broker deletes before they were read: the log of the worker, a count, `/health/ready`, and `verify`
say which, and the log keeps it.
"""

import asyncio
import contextlib
import random
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.consumer.fetcher import READ_COMMITTED

from alphawire.commands.research.verify import describe
from backtest.verify.verdict import VerifyResult
from backtest.verify.verify import verify
from schemas.wire import Gathered, Marker, Signal
from streams.consuming.transport import TP, Chunk
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import offset_range, open_admin
from streams.kafka.gaps import PartitionGaps, Span
from streams.kafka.gaps.detection import WatchedRecords
from streams.kafka.header_repair import RepairedRecords
from streams.kafka.topics import create_topics, topic_name
from streams.owners.cross_section_partition import CrossSectionPartition
from streams.publishing.writer import home
from streams.recovery.cross_section_state import CrossSectionState
from streams.recovery.state import StoredState
from streams.service import health
from tests.streams.test_gaps import batch, mark
from tests.streams.test_health import page
from tests.streams.test_state import Owner
from tests.support.gathered import NAMES, PARTITIONS, ranking
from tests.support.live import SignalCount, WorkerProcess, minute_bars, wait_for, write_config
from tests.support.memory import Log, bar, fetched, live, ready

BARS = fetched([bar("AB"[minute % 2], minute, 100.0 + minute % 7) for minute in range(60)])


def run(log: Log, upto: int, names: str = "one", **more: Any) -> Any:
    strategies = [ready(name) for name in names.split()]
    return asyncio.run(live(log, BARS[:upto], strategies, random.Random(3), **more))


def unread(log: Log) -> list[tuple[int, int]]:
    return [(gap.begin, gap.end) for gap in log.stored().unread.get("bars/0", [])]


def sources(log: Log) -> set[int]:
    found = (msgspec.json.decode(record.value or b"", type=Signal) for record in log.of("signals"))
    return {signal.provenance.offset for signal in found}


@pytest.mark.parametrize("transactional", [False, True])
def test_what_went_while_no_worker_ran_is_on_the_log_and_counted(
    transactional: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """20 bars are read, 15 go, 25 are left: by hand."""
    log = Log()
    run(log, 20, transactional=transactional)
    assert unread(log) == []
    worker = run(log, 60, begin=35, transactional=transactional)
    assert unread(log) == [(20, 35)]
    assert worker.totals()["deleted_unread"] == 15
    assert sources(log) == {*range(20), *range(35, 60)}
    assert "bars/0: offsets 20 to 34 (15) were deleted before they were read" in caplog.text
    run(log, 60, begin=35, transactional=transactional)
    assert [record.key for record in log.of("control")].count(b"bars/0") == 1


@pytest.mark.parametrize("transactional", [False, True])
def test_it_is_said_before_anything_that_comes_after_it(transactional: bool) -> None:
    for dies_at in range(8):
        log = Log()
        run(log, 20, transactional=transactional)
        run(log, 60, begin=35, dies_at=dies_at, transactional=transactional)
        if max(sources(log)) >= 35:
            assert unread(log) == [(20, 35)]


def test_what_was_read_before_it_went_is_nothing_to_tell() -> None:
    log = Log()
    run(log, 20)
    worker = run(log, 60, begin=20)
    assert (unread(log), worker.totals()["deleted_unread"]) == ([], 0)


def test_a_strategy_that_is_new_has_missed_nothing() -> None:
    log = Log()
    worker = run(log, 60, begin=35)
    assert (unread(log), worker.totals()["deleted_unread"]) == ([], 0)


def test_a_strategy_that_was_away_has_missed_what_went_meanwhile() -> None:
    log = Log()
    run(log, 10, "one two")
    run(log, 40)
    run(log, 60, "one two", begin=30)
    assert unread(log) == [(10, 30)]


def test_what_goes_under_a_running_worker() -> None:
    """Gaps among what is folded again, which was read before, are none of these."""
    stored = StoredState(bars="bars")
    Owner(stored, ready("one"), bars=BARS).work(20)
    owner = Owner(stored, ready("one"), bars=BARS)
    part = owner.part
    assert (part.position, part.plan.marked) == (0, 20)  # no round of snapshots: all is folded again
    part.feed(Chunk(TP("bars", 0), 1, 0, 30, BARS[:10] + BARS[15:30], [Span(10, 15)]))
    assert part.unread == {}
    part.feed(Chunk(TP("bars", 0), 1, 30, 40, BARS[36:40], [Span(30, 33), Span(35, 36)]))
    owner.publish()
    assert stored.unread == {"bars/0": [Span(30, 33), Span(35, 36)]}
    assert part.counts["deleted_unread"] == 4


def test_each_piece_of_a_chunk_has_its_own_gaps() -> None:
    chunk = Chunk(TP("bars", 0), 1, 0, 20, BARS[2:4] + BARS[10:12] + BARS[18:20], [Span(0, 2), Span(4, 10)])
    assert [piece.gaps for piece in chunk.pieces(2)] == [[Span(0, 2), Span(4, 10)], [], []]
    assert sum(len(piece.records) for piece in chunk.pieces(2)) == 6


def fetch(gaps: PartitionGaps, data: bytes, offset: int, at: TP) -> list[int]:
    given = WatchedRecords(TopicPartition(*at), RepairedRecords(data), [], offset, gaps, None, False, READ_COMMITTED)
    return [record.offset for record in given]


def test_a_consumer_tells_what_is_gone_from_the_marks_of_transactions() -> None:
    """From 5 on: records to 9, a mark at 10; then the log begins at 20. Other partitions are as they were."""
    gaps, at, other = PartitionGaps(), TP("bars", 0), TP("bars", 1)
    gaps.begin(at, 5)
    assert fetch(gaps, batch(range(5, 10), transactional=True) + mark(10, True), 5, at) == [5, 6, 7, 8, 9]
    assert gaps.take(at, 5, 10) == []
    assert fetch(gaps, batch(range(20, 23)), 20, at) == [20, 21, 22]
    assert fetch(gaps, batch(range(40, 42)), 40, other) == [40, 41]
    assert gaps.take(at, 10, 23) == [Span(11, 20)]
    assert gaps.take(at, 10, 23) == gaps.take(other, 0, 42) == []
    gaps.begin(at, 3)  # after a rebalance some is read again
    assert fetch(gaps, batch(range(20, 24)), 20, at) == [20, 21, 22, 23]
    assert gaps.take(at, 3, 24) == [Span(3, 20)]


@pytest.mark.parametrize(
    ("floor", "begin", "gone"),
    [(7, 5, []), (7, 7, []), (7, 9, [Span(7, 9)]), (4, 6, [Span(4, 6)])],
    ids=["all is there", "just", "not read yet", "what waits for its closing"],
)
def test_predictions_that_are_gone(floor: int, begin: int, gone: list[Span]) -> None:
    number = home("ranked", PARTITIONS)
    marker = Marker("predictions", number, 7, {"ranked": 7})
    states = {"ranked": Gathered("ranked", "predictions", number, 7, floor, -1, {}, [])}
    where = CrossSectionState("predictions", begin, 20, 20, marker, states)
    part = CrossSectionPartition(number, NAMES, [ranking()], PARTITIONS, where, lambda: 0.0)
    assert list(part.unread.get(f"predictions/{number}", [])) == gone
    fresh = CrossSectionState("predictions", begin, 20, 20)
    assert CrossSectionPartition(number, NAMES, [ranking()], PARTITIONS, fresh, lambda: 0.0).unread == {}


def test_a_worker_that_missed_bars_is_not_ready() -> None:
    """Of bars, and of scores, whichever track says it."""
    parts = [SimpleNamespace(unread={"bars/0": [Span(3, 5)]} | more) for more in ({}, {"news.scores/0": [Span(0, 1)]})]
    owner = SimpleNamespace(partitions={0: parts[0]}, tracks_of=lambda _: parts)
    said = "were deleted before they were read, so nothing was made of them"
    assert health._unread([owner]) == {  # type: ignore[list-item]
        "deleted": f"bars/0: offsets 3 to 4 (2) {said}; news.scores/0: offsets 0 to 0 (1) {said}"
    }


def test_verify_says_what_is_missing_before_that_it_cannot_recompute() -> None:
    lines = describe(VerifyResult("one", not_reproducible="why", unread=["what"])).splitlines()
    assert lines == ["what", "not reproducible here: why"]
    assert not VerifyResult("one", unread=["what"]).ok


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "slow"])
def test_a_retention_and_what_everyone_says(
    kafka: Broker, tmp_path: Path, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no worker runs; and under one that stands still for less than its session."""
    monkeypatch.setenv("ALPHAWIRE_KAFKA__SESSION_TIMEOUT", "60")
    file, bars = tmp_path / "gone.yaml", minute_bars(400)
    port = free_port()
    config = write_config(file, kafka.bootstrap, f"{tmp_path.name}.", http=True, http_port=port)
    signals = SignalCount(config)

    def lost() -> int:
        return int(page(config, "/status")[1]["counts"]["deleted_unread"])

    async def ends() -> dict[int, int]:
        return {number: (await offset_range(config.kafka, topic, number))[1] for number in (0, 1)}

    async def delete(before: dict[int, int]) -> None:
        async with open_admin(config.kafka) as admin:
            places = {TopicPartition(topic, number): RecordsToDelete(end) for number, end in before.items()}
            await admin.delete_records(places)

    topic = topic_name(config.kafka, "bars")
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, bars.iloc[:200]))
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(WorkerProcess(file))
        wait_for(lambda: signals() == 200)
        if stopped:
            assert worker.stop() == 0
        else:
            worker.process.send_signal(signal.SIGSTOP)
        read = asyncio.run(ends())
        asyncio.run(produce_bars(config.kafka, bars.iloc[200:300]))
        gone = asyncio.run(ends())
        asyncio.run(delete(gone))
        asyncio.run(produce_bars(config.kafka, bars.iloc[300:]))
        if stopped:
            worker = stack.enter_context(WorkerProcess(file))
        else:
            worker.process.send_signal(signal.SIGCONT)
        wait_for(lambda: signals() >= 300 and signals() + lost() == 400)
        _, ready = page(config, "/health/ready")
        _, status = page(config, "/status")
        assert worker.stop() == 0
    missing = status["counts"]["deleted_unread"]
    assert missing == 100 if stopped else 0 < missing <= 100  # a fetch that was under way may have brought some
    assert "were deleted before they were read" in ready["failed"]["deleted"]
    verdict = verify(config, "demo")
    if stopped:
        assert verdict.unread == [
            f"{topic}/{number}: offsets {read[number]} to {gone[number] - 1} ({gone[number] - read[number]})"
            " were deleted before they were read, so nothing was made of them"
            for number in (0, 1)
            if gone[number] > read[number]
        ]
    assert verdict.unread
    assert not verdict.ok
