"""A bar that opens after the worker's clock cannot exist yet: it is refused, the log says so before anything that
follows from it, and its symbol goes on. Whoever reads the bars again decides the same, whatever his clock says.
"""

import asyncio
import random
from typing import Any

import msgspec
import pytest

from schemas.configuration import Config
from schemas.errors import BadRecord
from schemas.wire import Bar, RefusedBars, decode_control, encode
from streams.consuming.clock_bound import ClockBound
from streams.consuming.intake import Intake
from streams.requests.control_topic import _decoded, _request_or_answer
from tests.streams.test_crash import difference
from tests.support.memory import CONFIG, MINUTE, Fetched, Log, bar, fetched, live, messy_bars, ready, undisturbed
from tests.support.scores import RULE, mark, news_strategy

FIRST = 1_380_000_000_000
CENTURY = 52_596_000
"""Minutes, from 2013 to 2113."""
COUNT = 200


def clock_at(minute: float) -> Any:
    return lambda: (FIRST + minute * MINUTE) / 1000


def config(tolerance: float | None = 60.0, grace: float = 1_000.0) -> Config:
    news = CONFIG.news.model_copy(update=RULE | {"grace": grace})
    worker = CONFIG.worker.model_copy(update={"clock_tolerance": tolerance})
    return CONFIG.model_copy(update={"worker": worker, "news": news})


def run(log: Log, bars: list[Fetched], minute: float, **more: Any) -> None:
    options: dict[str, Any] = {"config": config(), "wall_clock": clock_at(minute)} | more
    asyncio.run(live(log, bars, options.pop("strategies", [ready("one")]), random.Random(1), **options))


def without(bars: list[Fetched], offsets: set[int]) -> list[Fetched]:
    return [record for record in bars if record.offset not in offsets]


@pytest.mark.parametrize("place", [0, 20], ids=["a symbol's first bar", "among others"])
def test_one_bar_of_another_century_does_not_end_its_symbol(place: int) -> None:
    """The count by hand: 40 good bars, 40 signals."""
    values = [bar("A", minute, 100.0 + minute) for minute in range(40)]
    values.insert(place, bar("A", CENTURY, 100.0))
    log, bars = Log(), fetched(values)
    run(log, bars, 100)
    assert len(log.of("signals")) == 40
    assert log.dead() == {(str(place).encode(), b"future")}
    assert difference(log.signals(), undisturbed(without(bars, {place}), [ready("one")])) == {}
    (letter,) = log.of("dead-letters")
    reason = dict(letter.headers)["reason"].decode()
    assert "2113-" in reason
    assert "worker.clock_tolerance" in reason


def test_without_a_bound_it_does() -> None:
    values = [bar("A", CENTURY, 100.0), *(bar("A", minute, 100.0) for minute in range(5))]
    log = Log()
    run(log, fetched(values), 100, config=config(None))
    assert (len(log.of("signals")), len(log.of("dead-letters")), log.refused()) == (1, 5, set())


def test_the_bound_is_when_a_bar_opens_not_when_it_closes() -> None:
    """A day's bar that is sent when the market shuts closes hours after now."""
    day, now = 86_400_000, clock_at(60)
    bound = ClockBound(clock=now, tolerance=60.0)
    shut = Bar("A", "1d", FIRST, FIRST + day, 1.0, 1.0, 1.0, 1.0, 1.0)
    bound.check(0, shut)
    last = Bar("A", "1m", FIRST + 61 * MINUTE, FIRST + 62 * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0)
    bound.check(1, last)
    with pytest.raises(BadRecord, match="opens at 2013-09-24 06:21"):  # 1,380,000,000 s are 05:20:00; 61 minutes later
        bound.check(2, msgspec.structs.replace(last, open_time=last.open_time + 1))


def test_what_the_log_says_holds_whatever_the_clock_says_now() -> None:
    """Refused once, refused for ever; taken once (before the marker), taken for ever."""
    early = Bar("A", "1m", FIRST, FIRST + MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0)
    far = msgspec.structs.replace(early, open_time=FIRST + CENTURY * MINUTE)
    bound = ClockBound({3: FIRST}, settled=10, clock=clock_at(5), tolerance=0.0)
    with pytest.raises(BadRecord, match="opens at"):
        bound.check(3, early)
    bound.check(9, far)
    with pytest.raises(BadRecord):
        bound.check(10, far)
    assert bound.refused == {10: FIRST + 5 * MINUTE}


def test_a_clock_that_is_set_back_refuses_nothing_that_came_in_time() -> None:
    minutes = iter([10, 3])
    bound = ClockBound(clock=lambda: clock_at(next(minutes))(), tolerance=0.0)
    bars = [Bar("A", "1m", FIRST + m * MINUTE, FIRST + m * MINUTE + MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0) for m in (9, 10)]
    for offset, one in enumerate(bars):
        bound.check(offset, one)


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_lives_cut_short_under_clocks_of_their_own_agree(seed: int, transactional: bool) -> None:
    """Each life's clock is later than the one before, so a bar that one refuses the next would take. The oracle: all
    bars but those that the log names, strategy by strategy.
    """
    rng, log = random.Random(seed), Log()
    values = messy_bars(rng, ["A", "B", "C"], COUNT)
    for _ in range(6):
        values.insert(rng.randrange(COUNT), bar(rng.choice("ABC"), CENTURY + rng.randrange(9), 50.0))
    bars = fetched(values)
    strategies = [ready("one"), ready("two", universe=["A", "C"]), news_strategy()]
    log.records.append(mark(2 * CENTURY))

    async def lives() -> None:
        minute = 0.0
        for last in [*[False] * rng.randint(1, 7), True]:
            await live(
                log, bars, strategies, rng, dies_at=None if last else rng.randint(0, 25), transactional=transactional,
                wall_clock=clock_at(minute), config=config(rng.choice([0.0, 60.0])),
            )  # fmt: skip
            minute += rng.choice([0.0, 20.0, 100.0])

    asyncio.run(lives())
    far = {record.offset for record in bars if b'"open_time":4' in (record.value or b"")}
    assert len(far) == 6
    assert far <= log.refused()
    left = without(bars, log.refused())
    assert difference(log.signals(), undisturbed(left, strategies, log=log)) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


def test_a_refusal_is_on_the_log_before_the_signals_of_later_bars() -> None:
    """Also without transactions, wherever the first life ends."""
    values = [bar("A", CENTURY, 100.0), *(bar("A", minute, 100.0) for minute in range(9))]
    for dies_at in range(6):
        log = Log()
        run(log, fetched(values), 100, dies_at=dies_at)
        if log.of("signals"):
            assert log.refused() == {0}


def test_a_strategy_that_comes_later_obeys_the_log_too() -> None:
    values = [bar("A", minute, 100.0 + minute) for minute in range(30)]
    values.insert(10, bar("A", CENTURY, 100.0))
    log, bars = Log(), fetched(values)
    run(log, bars[:20], 100)
    both = [ready("one"), ready("late")]
    run(log, bars, 2 * CENTURY, strategies=both)
    assert log.refused() == {10}
    assert difference(log.signals(), undisturbed(without(bars, {10}), both)) == {}


def test_replay_takes_what_the_log_says_and_reads_no_clock() -> None:
    records = fetched([bar("A", 0, 1.5), bar("A", CENTURY, 1.5), bar("A", 1, 1.5)])
    said = Intake(0, 1, "murmur2", ClockBound({1: FIRST})).read(records)
    assert said.batches["1m"].offsets.tolist() == [0, 2]
    assert [letter.kind for letter in said.dead] == ["future"]
    silent = Intake(0, 1, "murmur2").read(records)
    assert silent.batches["1m"].offsets.tolist() == [0, 1, 2]


def test_a_refusal_is_no_control_request(caplog: pytest.LogCaptureFixture) -> None:
    value = encode(RefusedBars("bars", 0, list(range(9_000)), [FIRST] * 9_000))
    assert _request_or_answer(_decoded(Fetched(0, value, b"bars/0", "control"))) is None
    assert not caplog.records
    with pytest.raises(BadRecord, match="each of `offsets`"):
        decode_control(encode(RefusedBars("bars", 0, [1], [])))
