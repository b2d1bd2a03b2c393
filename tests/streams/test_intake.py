"""Records of one partition become batches, dead letters, or counts."""

import json
import zlib

import pytest
from aiokafka.partitioner import murmur2

from schemas.wire import encode
from streams.consuming.clock_bound import ClockBound
from streams.consuming.intake import Intake
from streams.kafka.partitioner import PartitionerChange
from streams.publishing.writer import MAX_DEAD_LETTER, dead_record
from tests.support.memory import Fetched, bar


def record(symbol: str = "A", minute: int = 0, key: bytes | None = b"", offset: int = 0, **changes: object) -> Fetched:
    return Fetched(offset, encode(bar(symbol, minute, 100.0, **changes)), symbol.encode() if key == b"" else key)


def test_a_batch_for_each_interval_in_log_order() -> None:
    records = [
        record("A", 0, offset=5),
        record("B", 0, offset=7),
        record("A", 0, offset=8, interval="5m", close_time=1_380_000_300_000),
        record("A", 1, offset=9),
    ]
    taken = Intake(0, 1, "murmur2").read(records)
    assert {
        interval: list(zip(b.symbols, b.offsets.tolist(), strict=True)) for interval, b in taken.batches.items()
    } == {
        "1m": [("A", 5), ("B", 7), ("A", 9)],
        "5m": [("A", 8)],
    }
    assert taken.batches["1m"].bars["time"].tolist() == [1_380_000_060_000, 1_380_000_060_000, 1_380_000_120_000]
    assert not taken.dead


def test_every_value_of_a_bar_arrives() -> None:
    values = {"open": 2.5, "high": 4.0, "low": 2.0, "close": 3.25, "volume": 1234.5}
    text = json.dumps(
        {"symbol": "A", "interval": "1m", "open_time": 1_380_000_000_000, "close_time": 1_380_000_060_000} | values
    )
    taken = Intake(0, 1, "murmur2").read([Fetched(0, text.encode(), b"A")])
    assert taken.batches["1m"].bars.tolist() == [(1_380_000_060_000, *values.values())]


def test_a_long_key_is_shown_by_its_first_eighty_bytes() -> None:
    (letter,) = Intake(0, 1, "murmur2").read([record(key=bytes(range(65, 91)) * 4)]).dead
    assert f"'{'ABCDEFGHIJKLMNOPQRSTUVWXYZ' * 3}AB'" in letter.reason


def test_nothing_is_nothing() -> None:
    taken = Intake(0, 1, "murmur2").read([])
    assert (taken.batches, taken.dead, dict(taken.counts)) == ({}, [], {})


def test_a_bar_that_is_still_forming_is_counted() -> None:
    taken = Intake(0, 1, "murmur2").read([record(closed=False), record(closed=True, offset=1)])
    assert taken.counts["unclosed"] == 1
    assert taken.batches["1m"].offsets.tolist() == [1]


@pytest.mark.parametrize("before", [[], [record()]], ids=["first of its symbol", "after a good one"])
@pytest.mark.parametrize("key", [None, b"a", b"A ", b"AA", b"\xff\xfe"])
def test_a_key_that_is_not_the_symbol(key: bytes | None, before: list[Fetched]) -> None:
    taken = Intake(0, 1, "murmur2").read([*before, record(minute=9, key=key, offset=1)])
    (letter,) = taken.dead
    assert (letter.kind, letter.record.offset) == ("wrong_key", 1)
    assert "is not the symbol 'A'" in letter.reason
    assert str(key[:1])[2:-1] in letter.reason if key else "none" in letter.reason


def test_an_empty_key() -> None:
    (letter,) = Intake(0, 1, "murmur2").read([Fetched(0, encode(bar("A", 0, 1.5)), b"")]).dead
    assert letter.kind == "wrong_key"


@pytest.mark.parametrize(
    ("kind", "home"),
    [("murmur2", (murmur2(b"AAPL") & 0x7FFFFFFF) % 4), ("crc32", zlib.crc32(b"AAPL") % 4)],
)
def test_a_symbol_is_taken_on_its_own_partition_only(kind: str, home: int) -> None:
    for partition in range(4):
        taken = Intake(partition, 4, kind).read([record("AAPL")])
        assert [letter.kind for letter in taken.dead] == ([] if partition == home else ["wrong_partition"])
        if taken.dead:
            assert f"AAPL belongs on partition {home} by {kind}" in taken.dead[0].reason
            # the producer's own mend comes first, whatever library it is built on
            producer, _, ours = taken.dead[0].reason.partition("kafka.partitioner")
            assert all(client in producer for client in ("librdkafka", "kafka-go", "sarama"))
            assert bool(ours) == (partition == OTHER_HOME[kind])


OTHER_HOME = {"murmur2": zlib.crc32(b"AAPL") % 4, "crc32": (murmur2(b"AAPL") & 0x7FFFFFFF) % 4}


def test_a_letter_never_says_that_any_partition_will_do() -> None:
    """A producer that ignores the key would then spread each symbol over all partitions, and nobody would notice."""
    for partition in range(4):
        for letter in Intake(partition, 4, "murmur2").read([record("AAPL"), record("IBM", offset=1)]).dead:
            assert "as_is" not in letter.reason


CHANGED = [PartitionerChange(0, "murmur2"), PartitionerChange(3, "crc32"), PartitionerChange(5, "as_is")]


@pytest.mark.parametrize("pieces", [[range(7)], [range(4), range(4, 7)], [[n] for n in range(7)], [[6], [0, 2], [4]]])
def test_each_bar_is_judged_by_the_partitioner_in_force(pieces: list[list[int]]) -> None:
    """AAPL's homes among four are 1 by murmur2 and 0 by crc32."""
    assert ((murmur2(b"AAPL") & 0x7FFFFFFF) % 4, zlib.crc32(b"AAPL") % 4) == (1, 0)
    for partition, wanted in {0: {3, 4, 5, 6}, 1: {0, 1, 2, 5, 6}, 2: {5, 6}}.items():
        intake, found = Intake(partition, 4, "murmur2", changes=CHANGED), set()
        for piece in pieces:
            batches = intake.read([record("AAPL", minute, offset=minute) for minute in piece]).batches
            found |= set(batches["1m"].offsets.tolist()) if batches else set()
        assert found == wanted & {minute for piece in pieces for minute in piece}


def test_what_lies_before_the_first_change_is_judged_by_it() -> None:
    """The log of changes may begin later than that of bars."""
    changes = [PartitionerChange(3, "murmur2"), PartitionerChange(5, "crc32")]
    for partition, wanted in {0: [5], 1: [0, 3]}.items():
        records = [record("AAPL", offset, offset=offset) for offset in (0, 3, 5)]
        assert Intake(partition, 4, "as_is", changes=changes).read(records).batches["1m"].offsets.tolist() == wanted


def test_a_symbol_belongs_where_any_partitioner_ever_put_it() -> None:
    def homes(changes: list[PartitionerChange]) -> list[int]:
        return [number for number in range(4) if Intake(number, 4, "murmur2", changes=changes).belongs("AAPL")]

    assert homes([]) == [1]
    assert homes(CHANGED[:2]) == [0, 1]
    assert homes(CHANGED) == [0, 1, 2, 3]


def test_symbols_are_named_where_the_partitioner_does_not_tell_their_place() -> None:
    records = [record("A"), record("B", offset=1), record("A", 1, offset=2)]
    assert Intake(0, 1, "as_is").read(records).symbols == ["A", "B"]
    assert Intake(0, 1, "murmur2", changes=CHANGED[:2]).read(records).symbols == ["A", "B"]
    assert Intake(0, 1, "murmur2").read(records).symbols == []
    assert Intake(0, 1, "crc32", changes=CHANGED[:1]).read(records).symbols == []


def test_a_bar_of_the_future_is_refused_among_many_that_are_read_together() -> None:
    """Its symbol is known, so that it is plain; the clock says an hour after the first bar."""
    bound = ClockBound(clock=lambda: 1_380_003_600.0, tolerance=0.0)
    intake = Intake(0, 1, "murmur2", bound)
    intake.read([record()])
    minutes = [1, 2, 3, 4, 5, 61, 6, 60, 7, 8]
    taken = intake.read([record("A", minute, offset=minute) for minute in minutes])
    assert [(letter.record.offset, letter.kind) for letter in taken.dead] == [(61, "future")]
    assert taken.batches["1m"].offsets.tolist() == [1, 2, 3, 4, 5, 6, 60, 7, 8]
    assert bound.refused == {61: 1_380_003_600_000}


def test_the_bars_that_a_record_says_whatever_else_is_wrong_with_it() -> None:
    """By the source in force at its offset, and the first one before that; none where it says none."""
    source = '{"topic": "bars", "interval": "1m", "time": {"columns": ["t"], "unit": ["ms"]}}'
    changes = [PartitionerChange(3, "murmur2"), PartitionerChange(5, "murmur2", source)]
    intake = Intake(0, 1, "murmur2", changes=changes)
    rows = [{"symbol": name, "t": 0, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1} for name in "AB"]
    rows[1]["low"] = 0
    declared = json.dumps(rows).encode()
    said = [
        [bar.symbol for bar in intake.bars(one)]
        for one in (record("C", key=None, offset=2), record("D", offset=4), Fetched(5, declared, b"A"))
    ]
    assert said == [["C"], ["D"], ["A"]]
    assert intake.bars(Fetched(2, declared, b"A")) == intake.bars(Fetched(5, b"{", b"A")) == []


def test_as_is_takes_a_symbol_anywhere() -> None:
    assert not Intake(3, 4, "as_is").read([record("AAPL")]).dead


def test_no_volume_is_no_volume_whatever_its_sign() -> None:
    taken = Intake(0, 1, "murmur2").read([record(volume=0.0), record(volume=-0.0, offset=1)])
    first, second = taken.batches["1m"].bars
    assert first.tobytes() == second.tobytes()


def test_a_dead_letter_is_the_record_as_it_came() -> None:
    bad = Fetched(41, b"\x00rubbish\xff", b"\xfe\xff", "p.bars", 3, 1_380_000_000_000)
    (letter,) = Intake(3, 4, "murmur2").read([bad]).dead
    dead = dead_record("p.dead-letters", letter)
    assert (dead.topic, dead.key, dead.value, dead.timestamp) == ("p.dead-letters", bad.key, bad.value, bad.timestamp)
    headers = dict(dead.headers)
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"p.bars", b"3", b"41")
    assert headers["error"] == b"undecodable"
    assert headers["reason"] == letter.reason.encode()


def test_a_dead_letter_that_is_too_large_is_cut_and_says_so() -> None:
    import hashlib

    value = b"x" * 5_000_000
    dead = dead_record("dead-letters", Intake(0, 1, "murmur2").read([Fetched(0, value, b"A")]).dead[0])
    assert dead.value == value[:MAX_DEAD_LETTER]
    headers = dict(dead.headers)
    assert (headers["error"], headers["truncated"]) == (b"too_large", b"5000000")
    assert headers["sha256"] == hashlib.sha256(value).hexdigest().encode()
