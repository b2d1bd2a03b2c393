"""A bar of another century that was taken ends its symbol. An operator has it left out: the next owner says from which
bar on, folds its states without it, and the symbol goes on; what was published before stays. The oracle: for each bar,
one fold over all bars but those that were left out when it came.
"""

import asyncio
import logging
import random
from typing import Any

import msgspec
import pytest

from schemas.canonical import sha256_hex
from schemas.errors import ConfigurationError
from schemas.wire import Applied, LeaveOut, Roster, decode_control, decode_state, encode
from streams.owners.bars_owner import BarsOwner
from streams.publishing.writer import Record
from streams.recovery.plan import resume_plan
from streams.requests.control_topic import _decoded, _request_or_answer
from tests.streams.test_crash import difference
from tests.streams.test_future_bars import CENTURY
from tests.support.memory import (
    CONFIG,
    VARIANTS,
    Fetched,
    Log,
    as_applied,
    bar,
    fetched,
    live,
    messy_bars,
    ready,
    undisturbed,
)
from tests.support.scores import RULE, mark, news_strategy

COUNT = 200
UNBOUND = CONFIG.model_copy(
    update={
        "worker": CONFIG.worker.model_copy(update={"clock_tolerance": None}),
        "news": CONFIG.news.model_copy(update=RULE | {"grace": 1_000.0}),
    }
)


def leave_out(log: Log, record: Fetched, symbol: str = "A", interval: str = "1m") -> None:
    close_time = msgspec.json.decode(record.value or b"")["close_time"]
    asked = LeaveOut("bars", 0, record.offset, symbol, interval, close_time)
    log.records.append(Record("control", b"bars/0", encode(asked)))


def run(log: Log, bars: list[Fetched], strategies: list[Any] | None = None, **more: Any) -> BarsOwner:
    return asyncio.run(live(log, bars, strategies or [ready("one")], random.Random(1), config=UNBOUND, **more))


def ended(count: int = 40, place: int = 20) -> list[Fetched]:
    """Good bars, and one of another century."""
    values = [bar("A", minute, 100.0 + minute % 7) for minute in range(count)]
    values.insert(place, bar("A", CENTURY, 500.0))
    return fetched(values)


def offsets(log: Log) -> list[int]:
    return [msgspec.json.decode(record.value or b"")["provenance"]["offset"] for record in log.of("signals")]


def in_force(log: Log) -> list[tuple[int, list[int]]]:
    records = [decode_control(record.value) for record in log.of("control")]
    return [(record.offset, record.left_out) for record in records if isinstance(record, Applied)]


def test_the_symbol_goes_on_from_where_it_is_in_force() -> None:
    """By hand: bars 0 to 20 have signals, 21 to 30 are late for ever; from 31 on each has one again."""
    bars, log = ended(), Log()
    run(log, bars[:31])
    assert offsets(log) == list(range(21))
    leave_out(log, bars[20])
    run(log, bars)
    assert offsets(log) == [*range(21), *range(31, 41)]
    assert in_force(log) == [(0, []), (31, [20])]
    late = {offset for offset, error in log.dead() if error == b"late"}
    assert late == {str(offset).encode() for offset in range(21, 31)}


def test_its_states_are_those_of_the_bars_without_it() -> None:
    """Also those that came while it was late: a signal is what it would be if the bar had never come."""
    bars, log = ended(), Log()
    run(log, bars[:31])
    leave_out(log, bars[20])
    run(log, bars)
    never = undisturbed([record for record in bars if record.offset != 20], [ready("one")])
    after = {identity for identity, value in never.items() if value in {r.value for r in log.of("signals")[-10:]}}
    assert len(after) == 10


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_lives_cut_short_between_requests_agree(seed: int, transactional: bool) -> None:
    """Strategies come, go and change; bars of another century come and are left out, whoever dies at which write."""
    rng, log = random.Random(seed), Log()
    values = messy_bars(rng, ["A", "B", "C"], COUNT)
    for _ in range(4):
        values.insert(rng.randrange(COUNT), bar(rng.choice("AB"), CENTURY + rng.randrange(9), 50.0))
    bars = fetched(values)
    far = [record for record in bars if b'"open_time":4' in (record.value or b"")]
    others = [ready("two", universe=["A", "C"]), ready("slow", interval="5m"), news_strategy(), ready("late")]
    log.records.append(mark(2 * CENTURY))
    changing = rng.random() < 0.3

    async def lives() -> None:
        reached = 0
        for _ in range(rng.randint(2, 8)):
            reached = rng.randint(reached, len(bars))
            one = rng.choice(VARIANTS) if changing else VARIANTS[0]
            some = [one, *rng.sample(others, rng.randint(0, len(others)))]
            await live(
                log, bars[:reached], some, rng, dies_at=rng.choice([None, rng.randint(0, 25)]),
                transactional=transactional, config=UNBOUND,
            )  # fmt: skip
            if rng.random() < 0.5:
                chosen = rng.choice(far)
                leave_out(log, chosen, (chosen.key or b"").decode())
        await live(log, bars, [VARIANTS[0], *others], rng, transactional=transactional, config=UNBOUND)

    asyncio.run(lives())
    assert difference(log.signals(), as_applied(log, bars, [*VARIANTS, *others])) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


def test_a_round_of_before_is_not_trusted() -> None:
    """An owner that dies before its first round leaves the states of its predecessor: they are folded again."""
    bars, log = ended(), Log()
    run(log, bars[:31])
    leave_out(log, bars[20])
    run(log, bars[:31], dies_at=1)
    assert in_force(log)[-1] == (31, [20])
    run(log, bars)
    assert offsets(log)[-10:] == list(range(31, 41))


def test_a_new_strategy_does_not_take_over_the_memory_of_repeats_that_has_it() -> None:
    bars, log = ended(), Log()
    run(log, bars[:31], [ready("old")])
    leave_out(log, bars[20])
    young = ready("young", start="now", origin="now")
    run(log, bars[:31], [young], dies_at=1)
    run(log, bars, [young])
    assert [offset for offset in offsets(log) if offset > 30] == list(range(31, 41))


def test_a_round_says_what_it_was_folded_without() -> None:
    bars, log = ended(), Log()
    run(log, bars[:31])
    leave_out(log, bars[20])
    run(log, bars)
    rosters = {sha256_hex(r.value or b""): decode_state(r.value or b"") for r in log.of("state")}
    said = [roster.left_out for roster in rosters.values() if isinstance(roster, Roster)]
    assert [] in said or len(said) == 1
    assert said[-1] == [20]


def test_who_has_it_in_force_says_nothing_anew() -> None:
    bars, log = ended(), Log()
    run(log, bars[:31])
    leave_out(log, bars[20])
    for end in (35, 38, 41):
        run(log, bars[:end])
    assert in_force(log) == [(0, []), (31, [20])]


def test_another_interval_goes_on_from_its_states(caplog: pytest.LogCaptureFixture) -> None:
    values = [bar("A", minute, 100.0 + minute % 7) for minute in range(40)]
    values.insert(20, bar("A", CENTURY, 500.0))
    values += [bar("A", 5 * number, 100.0, "5m") for number in range(8)]
    bars, log = fetched(values), Log()
    both = [ready("one"), ready("slow", interval="5m")]
    run(log, bars[:45], both)
    leave_out(log, bars[20])
    stored = log.stored()
    planned = resume_plan(stored.of_track(""), both, "bars", 0, 0, len(bars))
    assert [entry.strategy for entry in planned.new] == ["one"]


def test_a_bar_that_was_not_read_yet_is_a_dead_letter() -> None:
    bars, log = ended(), Log()
    run(log, bars[:10])
    leave_out(log, bars[20])
    run(log, bars)
    assert offsets(log) == [*range(20), *range(21, 41)]
    assert log.dead() == {(b"20", b"left_out")}


def test_a_cross_section_that_has_seen_it_is_refused() -> None:
    """What it closed cannot be opened again: one line says so, and the way out."""
    ranking = {"key": "signal.ranking", "top_n": 1, "bottom_n": 0}
    ranked = ready("ranked", universe=["A", "B"], signal=ranking)
    bars, log = ended(), Log()
    run(log, bars[:31], [ranked])
    leave_out(log, bars[20])
    with pytest.raises(ConfigurationError, match=r"strategy ranked decides about all symbols at once.*another name"):
        resume_plan(log.stored(), [ranked], "bars", 0, 0, len(bars))
    again = ready("again", universe=["A", "B"], signal=ranking)
    assert resume_plan(log.stored(), [again], "bars", 0, 0, len(bars)).applied["again"].left_out == [20]


def test_it_is_no_control_request(caplog: pytest.LogCaptureFixture) -> None:
    value = encode(LeaveOut("bars", 0, 7, "A", "1m", 60_000))
    with caplog.at_level(logging.WARNING):
        assert _request_or_answer(_decoded(Fetched(0, value, b"bars/0", "control"))) is None
    assert not caplog.records
