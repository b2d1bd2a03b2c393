"""The checks find what they are for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.canonical import sha256_hex
from schemas.wire import Marker, Roster, Snapshot, encode
from tests.faults.audit import BATCH_HEADER, owner_faults, roster_faults
from tests.faults.independent_check import faults, faults_of_changes, identity

MINUTE = 60_000


def bar(symbol: str, minute: int) -> dict[str, Any]:
    return {"symbol": symbol, "interval": "1m", "open_time": minute * MINUTE, "close_time": (minute + 1) * MINUTE}


def signal(symbol: str, minute: int, offset: int) -> dict[str, Any]:
    time = (minute + 1) * MINUTE
    content = {"id": identity("demo", symbol, time), "strategy": "demo", "symbol": symbol, "time": time}
    return {"content": content, "provenance": {"offset": offset}}


BARS = {0: [(0, bar("A", 0)), (1, bar("B", 0)), (2, bar("A", 0)), (3, bar("A", 1))]}
"""The third is a repeat, which owes nothing."""
RIGHT = [signal("A", 0, 0), signal("B", 0, 1), signal("A", 1, 3)]


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (RIGHT, []),
        (RIGHT[:2], ["1 missing, 0 not owed"]),
        ([*RIGHT, RIGHT[2]], ["1 ids more than once", "0 missing, 0 not owed"]),
        ([RIGHT[1], RIGHT[0], RIGHT[2]], ["in another order"]),
        ([*RIGHT, signal("C", 0, 4)], ["0 missing, 1 not owed"]),
    ],
)
def test_the_independent_checker(signals: list[dict[str, Any]], said: list[str]) -> None:
    found = faults(BARS, {0: list(enumerate(signals))}, {"demo": None})
    assert len(found) == len(said)
    assert all(text in fault for text, fault in zip(said, found, strict=True))


def decision(strategy: str, minute: int, says: str) -> dict[str, Any]:
    """Of a strategy with a heartbeat of three minutes, or of its twin."""
    time = (minute + 1) * MINUTE
    content = {
        "strategy": strategy, "symbol": "A", "time": time, "signal": says, "weight": None, "reason": "",
        "prediction": 1.0, "valid_until": time + MINUTE, "silent_until": time + 3 * MINUTE,
    }  # fmt: skip
    return {"content": content, "provenance": {"offset": minute}}


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        ([0, 3, 4], []),  # the first, a heartbeat, a change
        ([0, 4], ["1 missing, 0 not owed"]),
        ([0, 1, 3, 4], ["0 missing, 1 not owed"]),
        ([0, 4, 3], ["0 missing, 0 not owed, 3 there"]),
    ],
)
def test_the_independent_checker_of_changes(minutes: list[int], said: list[str]) -> None:
    says = ["BUY", "BUY", "BUY", "BUY", "HOLD", "HOLD"]
    twin = [decision("demo", minute, word) for minute, word in enumerate(says)]
    quiet = [decision("quiet", minute, says[minute]) for minute in minutes]
    found = faults_of_changes({0: list(enumerate([*twin, *quiet]))}, "quiet", "demo", 3 * MINUTE)
    assert len(found) == len(said)
    assert all(text in fault for text, fault in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("writers", "said"),
    [
        ([(7, 0), (7, 0), (7, 1), (7, 4)], []),
        ([(7, 0), (7, 1), (7, 0)], ["a fenced owner writes"]),
        ([(7, 0), (8, 0)], ["another producer id"]),
        ([(7, 0), (-1, -1)], ["without a transaction"]),
    ],
)
def test_the_audit_of_owners(writers: list[tuple[int, int]], said: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "signals-0"
    folder.mkdir()
    batches = [
        BATCH_HEADER.pack(base, BATCH_HEADER.size - 12, 0, 2, 0, 0x10, 0, 0, 0, producer, epoch, 0, 1)
        for base, (producer, epoch) in enumerate(writers)
    ]
    (folder / "00000000000000000000.log").write_bytes(b"".join(batches))
    found = list(owner_faults(tmp_path, "signals", 0))
    assert len(found) == len(said)
    assert all(text in fault for text, fault in zip(said, found, strict=True))


def state_log() -> list[Any]:
    """Two rounds of one symbol's state, each named by a marker, and the beginning of a third."""
    records = []
    for floor in (5, 7, 9):
        roster = encode(Roster("bars", 0, floor, {"demo/A": floor}, ["demo"]))
        snapshot = encode(Snapshot("demo", "A", 0, floor, floor, "x", sha256_hex(b""), b""))
        records += [(b"demo/A", snapshot), (b"bars/0/roster", roster)]
        records.append((b"bars/0", encode(Marker("bars", 0, floor, {}, floor, sha256_hex(roster)))))
    return [SimpleNamespace(key=key, value=value) for key, value in records[:7]]


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ([], []),
        ([0, 1, 2], []),
        ([0, 1, 2, 3], []),  # compacted up to the beginning of the third round, whose state superseded the second's
        ([3], ["at offset 7 names a round that lacks demo/A"]),
        ([4], ["at offset 7 names a roster that is not there"]),
    ],
)
def test_the_audit_of_rounds(gone: list[int], said: list[str]) -> None:
    found = list(roster_faults(0, [record for number, record in enumerate(state_log()) if number not in gone]))
    assert len(found) == len(said)
    assert all(text in fault for text, fault in zip(said, found, strict=True))
