"""The memory of repeats against its rule written out with a list and a dictionary (rules of time, 4)."""

import struct
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.base.bars import BAR
from plugins.fold import gate
from plugins.fold.gate import GateVerdict

MINUTE = 60_000
ACCEPTED, REPEAT, CORRECTION, LATE, OFF_GRID = GateVerdict


def rows(*bars: tuple[int, float]) -> np.ndarray:
    """Bars by opening minute and close."""
    return np.array([((minute + 1) * MINUTE, close, close + 1, close - 1, close, 5.0) for minute, close in bars], BAR)


def judged(*bars: tuple[int, float], interval: int = MINUTE) -> tuple[list[int], list[int]]:
    """All of one symbol."""
    verdicts, gaps = gate.judge(np.zeros(1, gate.STATE), np.zeros(len(bars), np.int64), rows(*bars), interval)
    return verdicts.tolist(), gaps.tolist()


def test_bars_go_forward() -> None:
    assert judged((0, 5.0), (1, 5.0), (2, 6.0)) == ([ACCEPTED] * 3, [gate.FIRST, 0, 0])


def test_a_gap_is_told_in_intervals() -> None:
    verdicts, gaps = judged((0, 5.0), (4, 5.0), (10, 5.0))
    assert (verdicts, gaps) == ([ACCEPTED] * 3, [gate.FIRST, 3, 5])


def test_a_repeat_a_correction_and_a_late_bar() -> None:
    bars = [(5, 5.0), (7, 6.0), (7, 6.0), (5, 5.0), (7, 6.5), (5, 4.0), (6, 5.0), (8, 5.0)]
    assert judged(*bars)[0] == [ACCEPTED, ACCEPTED, REPEAT, REPEAT, CORRECTION, CORRECTION, LATE, ACCEPTED]


@pytest.mark.parametrize("name", BAR.names)
def test_every_value_of_a_bar_makes_it_another(name: str) -> None:
    """But its time, which makes it another bar."""
    bars = rows((0, 5.0), (0, 5.0))
    bars[name][1] = np.nextafter(bars[name][1], np.inf) if name != "time" else bars[name][1] + 1
    verdicts, _ = gate.judge(np.zeros(1, gate.STATE), np.zeros(2, np.int64), bars, MINUTE)
    assert verdicts.tolist() == [ACCEPTED, LATE if name == "time" else CORRECTION]


def test_the_memory_holds_64_bars() -> None:
    run = [(minute, 5.0) for minute in range(200)]
    verdicts, _ = judged(*run, *run)
    assert verdicts == [ACCEPTED] * 200 + [LATE] * 136 + [REPEAT] * 64


def test_a_bar_is_remembered_by_the_mix_of_its_six_words() -> None:
    """splitmix64's finaliser (Steele, Lea, Flood 2014; constants of Vigna's splitmix64.c), in Python's own integers."""
    mask = 2**64 - 1
    bar = rows((3, 5.5))
    mixed = 0x9E3779B97F4A7C15
    for word in struct.unpack("<6Q", bar.tobytes()):
        mixed = (mixed ^ word) * 0xBF58476D1CE4E5B9 & mask
        mixed ^= mixed >> 31
        mixed = mixed * 0x94D049BB133111EB & mask
        mixed ^= mixed >> 29
    states = np.zeros(1, gate.STATE)
    gate.judge(states, np.zeros(1, np.int64), bar, MINUTE)
    assert int(states["hashes"][0, 0]) == mixed


@pytest.mark.parametrize("after", [1, MINUTE // 2, MINUTE - 1])
def test_a_bar_that_overlaps_the_last_one_is_late(after: int) -> None:
    bars = rows((0, 5.0), (0, 5.0))
    bars["time"][1] += after
    verdicts, _ = gate.judge(np.zeros(1, gate.STATE), np.zeros(2, np.int64), bars, MINUTE)
    assert verdicts.tolist() == [ACCEPTED, LATE]


@pytest.mark.parametrize("minute", [-1_000_000, -60, 0, 30, 59])
def test_the_first_bar_of_a_symbol_may_open_at_any_minute(minute: int) -> None:
    """Before 1970, and within the first interval of it: a symbol without bars has no last one from 1970."""
    bars = rows((minute, 5.0), (minute + 60, 5.0), (minute + 60, 5.0))
    bars["time"] += 59 * MINUTE
    verdicts, gaps = gate.judge(np.zeros(1, gate.STATE), np.zeros(3, np.int64), bars, 60 * MINUTE)
    assert (verdicts.tolist(), gaps.tolist()) == ([ACCEPTED, ACCEPTED, REPEAT], [gate.FIRST, 0, 0])


def test_stored_states_name_their_memory() -> None:
    """Snapshots hold states as they are: three numbers, then the times and the hashes of 64 bars."""
    assert (gate.LAYOUT, gate.STATE.itemsize) == ("gate-1-64", 8 * (3 + 64 + 64))


@pytest.mark.parametrize(
    ("interval", "opened", "verdict"),
    [
        (5, 7, OFF_GRID), (5, 5, ACCEPTED), (5, 12, ACCEPTED), (60, 90, OFF_GRID), (60, 61, OFF_GRID),
        (60, 150, ACCEPTED),
        (240, 300, ACCEPTED), (240, 270, OFF_GRID), (1440, 1500, ACCEPTED), (1440, 1445, OFF_GRID),
    ],
)  # fmt: skip
def test_a_bar_within_an_interval_after_the_last_is_on_its_grid(interval: int, opened: int, verdict: int) -> None:
    """In minutes, after a bar from 0: only whole hours may shift it (summer time), and a gap."""
    bars = rows((0, 5.0), (0, 5.0))
    bars["time"] = [interval * MINUTE, (opened + interval) * MINUTE]
    verdicts, _ = gate.judge(np.zeros(1, gate.STATE), np.zeros(2, np.int64), bars, interval * MINUTE)
    assert verdicts.tolist() == [ACCEPTED, verdict]


@pytest.mark.parametrize("opened", [30_000, 59_998, 60_002, -30_000, 1])
def test_a_bar_between_the_minutes_is_off_the_grid(opened: int) -> None:
    """And those after it are judged as if it had not come."""
    bars = rows((0, 5.0), (2, 5.0), (3, 5.0))
    bars["time"][0] = opened + MINUTE
    verdicts, gaps = gate.judge(np.zeros(1, gate.STATE), np.zeros(3, np.int64), bars, MINUTE)
    assert verdicts.tolist() == [OFF_GRID, ACCEPTED, ACCEPTED]
    assert gaps[1:].tolist() == [gate.FIRST, 0]


def test_bars_that_no_time_closes_follow_each_other_without_gaps() -> None:
    """They may close a millisecond apart, or days; the first has nothing before it."""
    closes = [1_000, 1_001, 1_003, 90_000_000, 90_000_000, 1_001, 1_002]
    bars = np.zeros(len(closes), BAR)
    bars["time"], bars["close"] = closes, 100.0
    verdicts, gaps = gate.judge(np.zeros(1, gate.STATE), np.zeros(len(closes), np.int64), bars, 0)
    assert verdicts.tolist() == [ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, REPEAT, REPEAT, LATE]
    assert gaps[:4].tolist() == [gate.FIRST, 0, 0, 0]


def test_no_bars() -> None:
    verdicts, gaps = gate.judge(np.zeros(1, gate.STATE), np.zeros(0, np.int64), rows(), MINUTE)
    assert (len(verdicts), len(gaps)) == (0, 0)


def by_the_rule(bars: list[tuple[int, int, float]]) -> tuple[list[int], list[int]]:
    memory: dict[int, deque[tuple[int, float]]] = {}
    verdicts, gaps = [], []
    for symbol, minute, close in bars:
        seen = memory.setdefault(symbol, deque(maxlen=64))
        verdict, gap = ACCEPTED, 0
        if not seen:
            gap = gate.FIRST
        elif minute > seen[-1][0]:
            gap = minute - seen[-1][0] - 1
        elif minute in (known := dict(seen)):
            verdict = REPEAT if known[minute] == close else CORRECTION
        else:
            verdict = LATE
        if verdict == ACCEPTED:
            seen.append((minute, close))
        verdicts.append(verdict)
        gaps.append(gap)
    return verdicts, gaps


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 90), st.sampled_from([5.0, 6.0])), max_size=250),
    st.lists(st.integers(0, 250), max_size=4),
)
def test_any_sequence_in_any_batches(bars: list[tuple[int, int, float]], cuts: list[int]) -> None:
    states = np.zeros(3, gate.STATE)
    verdicts, gaps = [], []
    edges = [0, *sorted(min(cut, len(bars)) for cut in cuts), len(bars)]
    for first, last in pairwise(edges):
        part = bars[first:last]
        slots = np.array([symbol for symbol, _, _ in part], np.int64)
        found = gate.judge(states, slots, rows(*((minute, close) for _, minute, close in part)), MINUTE)
        verdicts += found[0].tolist()
        gaps += found[1].tolist()
    assert (verdicts, gaps) == by_the_rule(bars)
