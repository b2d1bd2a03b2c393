"""A partitioner that is changed takes effect where `applied` says, and nowhere else: whatever states were written, and
whoever died. Expected: which partition a key goes to by aiokafka's murmur2 and Python's crc32, and one fold over the
bars that this lets through.
"""

import asyncio
import json
import logging
import random

import pytest

from schemas.configuration import Kafka, Source
from schemas.wire import Marker, Snapshot
from streams.kafka.partitioner import PartitionerChange, in_force, with_change
from streams.recovery.conditions import conditions_of
from streams.recovery.state import StoredState
from tests.support.memory import CONFIG, Log, live, ready
from tests.support.partitioners import PARTITIONS, changes, moving_lives, said, some_bars, symbols, wanted
from tests.support.scores import mark, news_strategy, score


@pytest.mark.parametrize("transactional", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_lives_with_changes_of_the_partitioner(seed: int, transactional: bool) -> None:
    """Lives that die anywhere, mark and write states anywhere, now with one partitioner, now with the other."""
    for number in range(5):
        rng, log = random.Random(f"{seed} {number}"), Log()
        bars = some_bars(rng)
        strategies = asyncio.run(moving_lives(log, bars, rng, transactional))
        assert log.signals() == wanted(log, bars, strategies)


def test_the_result_does_not_depend_on_when_states_were_written() -> None:
    """Of two runs that stop at one bar, one wrote its states every now and then, and the other never."""
    found = []
    for interval in (0.01, 1e9):
        rng, log = random.Random(5), Log()
        bars = some_bars(rng)
        for kind, part in (("murmur2", bars[:200]), ("crc32", bars)):
            worker = CONFIG.worker.model_copy(update={"snapshot_interval": interval})
            given = CONFIG.model_copy(update={"kafka": Kafka(partitioner=kind), "worker": worker})
            asyncio.run(live(log, part, [ready("one")], rng, config=given, partitions=PARTITIONS, transactional=True))
        assert bool([r for r in log.of("state") if b'"kind":"snapshot"' in (r.value or b"")]) == (interval < 1)
        assert changes(log) == [(0, "murmur2"), (200, "crc32")]
        assert log.signals() == wanted(log, bars, [ready("one")])
        found.append(log.signals())
    assert found[0] == found[1]


def test_a_change_that_is_taken_back_before_a_bar_came_is_none() -> None:
    rng, log = random.Random(1), Log()
    bars = some_bars(rng, 120)
    for kind, part in (("murmur2", bars[:60]), ("crc32", bars[:60]), ("murmur2", bars)):
        given = CONFIG.model_copy(update={"kafka": Kafka(partitioner=kind)})
        asyncio.run(live(log, part, [ready("one")], rng, config=given, partitions=PARTITIONS))
    assert {kind for offset, kind in changes(log)} == {"murmur2"}
    assert log.signals() == wanted(log, bars, [ready("one")])


def test_a_worker_that_goes_on_as_before_says_nothing_anew() -> None:
    rng, log = random.Random(1), Log()
    bars = some_bars(rng, 90)
    for end in (30, 60, 90):
        asyncio.run(live(log, bars[:end], [ready("one")], rng, partitions=PARTITIONS))
    (entry,) = said(log)
    assert (entry.partitioner, entry.partitioner_from, entry.group) == ("murmur2", 0, "alphawire")


M, C = "murmur2", "crc32"


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ([], (0, M), [(0, M)]),
        ([(0, M)], (9, C), [(0, M), (9, C)]),
        ([(0, M), (9, C)], (0, M), [(0, M), (9, C)]),
        ([(0, M), (9, C)], (9, C), [(0, M), (9, C)]),
        ([(0, M), (9, C)], (9, "as_is"), [(0, M), (9, "as_is")]),
        ([(0, M), (9, C)], (5, C), [(0, M), (5, C)]),
    ],
    ids=["first", "later", "an old one repeated", "repeated", "another at its offset", "an earlier one"],
)
def test_what_is_in_force(before: list[tuple[int, str]], change: tuple[int, str], after: list[tuple[int, str]]) -> None:
    found = with_change([PartitionerChange(*one) for one in before], PartitionerChange(*change))
    assert [one[:2] for one in found] == after
    assert in_force(found, after[-1][0]) == PartitionerChange(*after[-1])


def test_another_source_is_a_change_too() -> None:
    """It takes effect like a partitioner, and `applied` says it; alphawire's own records are no source."""
    stored = StoredState(marker=Marker("bars", 0, 7, {}), partitioners=[PartitionerChange(0, "murmur2")])
    kafka = Kafka()
    kafka.read_as("bars", Source.model_validate({"topic": "bars", "interval": "1m"}))
    changed = conditions_of(stored, kafka, False, 7).partitioners
    assert changed == [PartitionerChange(0, "murmur2"), PartitionerChange(7, "murmur2", kafka.bars_source)]
    assert json.loads(kafka.bars_source) == {"topic": "bars", "interval": "1m"}
    assert conditions_of(stored, Kafka(), False, 7).partitioners == [PartitionerChange(0, "murmur2")]


def test_nothing_on_the_log_depends_on_bars_after_a_change() -> None:
    """Markers of both tracks, what is published beyond them, and states that were written ahead of any marker."""
    at = dict.fromkeys(("marker", "news", "beyond", "snapshot"), 10)
    for highest in at:
        offsets = at | {highest: 77}
        stored = StoredState(
            marker=Marker("bars", 0, offsets["marker"], {}),
            snapshots={"one/A": Snapshot("one", "A", 0, offsets["snapshot"], 3, "x", "", b"")},
            beyond={"one": offsets["beyond"]},
            partitioners=[PartitionerChange(0, "murmur2")],
            tracks={"news": StoredState(marker=Marker("bars", 0, 5, {"news": offsets["news"]}, track="news"))},
        )
        found = conditions_of(stored, Kafka(partitioner="crc32"), True, end=100)
        assert [change[:2] for change in found.partitioners] == [(0, "murmur2"), (77, "crc32")], highest
        assert conditions_of(stored, Kafka(partitioner="murmur2"), True, end=100).partitioners[-1].offset == 0


def test_records_of_earlier_workers_can_still_be_read() -> None:
    """They did not say the partitioner: it was the one of now."""
    old = (
        b'{"kind":"applied","strategy":"one","topic":"bars","partition":0,"offset":0,"origin":{"partition":0,"offset":0},'
        b'"publish_from":0,"config_hash":"x","config":{},"model":null,"layout":"","artifact":null,"paused":false}'
    )
    stored = StoredState()
    stored.take_control(old)
    assert (stored.partitioners, stored.applied["one"].group) == ([], None)
    found = conditions_of(stored, Kafka(partitioner="crc32"), True, end=100)
    assert [change[:2] for change in found.partitioners] == [(0, "crc32")]
    # what was published so far may be there twice
    assert found.said_in(stored.applied["one"], stored.applied["one"]).exactly_once_from == 100


def test_scores_that_a_scorer_put_elsewhere_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Of three symbols one has its bars here by both partitioners, one by each of them."""
    both, by_murmur2, by_crc32 = symbols()
    rng, log = random.Random(1), Log()
    log.records += [score("1", both, 0), score("2", by_murmur2, 0), score("3", by_crc32, 0), score("4", by_crc32, 1)]
    log.records.append(mark(100_000))
    bars = some_bars(rng, 60)
    with caplog.at_level(logging.ERROR):
        asyncio.run(live(log, bars[:30], [news_strategy()], rng, partitions=PARTITIONS))
        assert [f"scores of {name} lie here" in caplog.text for name in symbols()] == [False, False, True]
        assert caplog.text.count("start the scorers with kafka.partitioner: murmur2") == 1
        # where both were in force, each may have put scores here
        caplog.clear()
        crc32 = CONFIG.model_copy(update={"kafka": Kafka(partitioner="crc32")})
        asyncio.run(live(log, bars, [news_strategy()], rng, config=crc32, partitions=PARTITIONS))
        assert caplog.text == ""
