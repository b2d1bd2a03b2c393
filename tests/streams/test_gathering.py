"""A gatherer of cross-sections that dies, stops and comes back at any point writes what the log of predictions says.

The oracle is the fold over that log in one go. Real partitions and publishers; only the broker is a list, of which a
crash keeps any part of the write in flight.
"""

import asyncio
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from schemas.errors import ConfigurationError
from schemas.wire import Marker, Signal
from schemas.wire.cross_sections import Closing, Late, Prediction, decode_prediction_record
from streams.consuming.intake import Intake
from streams.consuming.transport import TP, Chunk
from streams.owners.bars_owner import BarsOwner
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.cross_section_partition import CrossSectionPartition
from streams.process.exits import Exit
from streams.publishing.writer import Record, home
from streams.recovery.cross_section_state import CrossSectionState
from streams.service.health import unready
from tests.support.gathered import (
    NAMES,
    PARTITIONS,
    append,
    as_the_log_says,
    gather,
    order_faults,
    predictions,
    ranking,
    records,
    stored,
)
from tests.support.memory import CONFIG, Log, WriterFactory, bar, fetched


def exactly_one_each(log: Log, came: list[Prediction]) -> None:
    """Each prediction has one signal, in the end, and it lies where its bars do."""
    found = log.signals()
    assert len(found) == len({(made.symbol, made.time) for made in came})
    for record in log.of("signals"):
        assert record.partition == msgspec.json.decode(record.value or b"", type=Signal).provenance.partition
    assert order_faults(log) == []


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_lives_cut_short_lose_nothing(seed: int, transactional: bool) -> None:
    rng, log = random.Random(seed), Log()
    came = predictions(rng, 12)
    coming = list(came)

    async def run() -> None:
        for _ in range(rng.randint(1, 10)):
            await gather(
                log, [ranking()], coming, rng, dies_at=rng.randint(0, 15), transactional=transactional,
                stops_early=rng.random() < 0.3,
            )  # fmt: skip
        await gather(log, [ranking()], coming, rng, transactional=transactional)

    asyncio.run(run())
    assert log.signals() == as_the_log_says(log)
    exactly_one_each(log, came)
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


@pytest.mark.parametrize("seed", range(25))
def test_an_owner_that_does_not_know_that_it_is_none_any_more_does_no_harm(seed: int) -> None:
    """Without transactions nobody fences it: two propose closings and write signals, by clocks of their own."""
    rng, log = random.Random(1000 + seed), Log()
    came = predictions(rng, 12)
    coming = list(came)

    async def run() -> None:
        for _ in range(rng.randint(1, 4)):
            lives = [
                gather(log, [ranking()], coming, rng, dies_at=rng.choice([None, rng.randint(0, 20)]))
                for _ in range(rng.randint(2, 3))
            ]
            await asyncio.gather(*lives)
        await gather(log, [ranking()], coming, rng)

    asyncio.run(run())
    assert log.signals() == as_the_log_says(log)
    exactly_one_each(log, came)


def closings(log: Log) -> list[Closing]:
    found = [decode_prediction_record(record.value) for record in records(log)]
    return [value for value in found if isinstance(value, Closing)]


def made_at(minute: int, symbols: str) -> list[Prediction]:
    pipeline = Pipeline([ranking()], Source("bars", 0, "v"))
    bars = fetched([bar(symbol, minute, 100.0) for symbol in symbols])
    return pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches).predictions


def test_a_time_is_closed_as_soon_as_all_have_come_whatever_the_clock() -> None:
    rng, log = random.Random(1), Log()
    asyncio.run(gather(log, [ranking()], made_at(0, "BACD"), rng, pace=0.0))
    assert [(c.members, c.missing, c.expected) for c in closings(log)] == [(list("ABCD"), [], 4)]
    assert len(log.of("signals")) == 4


def test_one_that_never_comes_is_missing_when_the_grace_is_over() -> None:
    rng, log = random.Random(1), Log()
    asyncio.run(gather(log, [ranking()], made_at(0, "BAC"), rng, pace=1.0))
    assert [(c.members, c.missing, c.expected) for c in closings(log)] == [(list("ABC"), ["D"], 4)]


def test_one_that_came_with_a_later_time_is_not_waited_for() -> None:
    rng, log = random.Random(1), Log()
    asyncio.run(gather(log, [ranking()], made_at(0, "BAC") + made_at(1, "ABCD"), rng, pace=0.0))
    assert [(c.members, c.missing) for c in closings(log)] == [(list("ABC"), ["D"]), (list("ABCD"), [])]


def test_a_late_one_is_published_as_late_and_told() -> None:
    rng, log = random.Random(1), Log()

    async def run() -> None:
        await gather(log, [ranking()], made_at(0, "ABC"), rng, pace=1.0)
        await gather(log, [ranking()], made_at(0, "D"), rng, pace=1.0)

    asyncio.run(run())
    told = [decode_prediction_record(record.value) for record in records(log)][-1]
    assert told == Late("ranked", made_at(0, "D")[0].time, ["D"])
    late = msgspec.json.decode(log.of("signals")[-1].value or b"", type=Signal).content
    assert (late.symbol, late.signal, late.weight) == ("D", "HOLD", None)
    assert late.reason.startswith("late: ")


@pytest.mark.parametrize(("fenced", "written", "at_once"), [(True, 4, True), (True, 5, False), (False, 0, False)])
def test_signals_go_with_their_closing_where_no_other_closing_can_come_before(
    fenced: bool, written: int, at_once: bool
) -> None:
    """A former owner's may lie beyond what there is to read yet, where a transaction is open."""
    log, number = Log(), home("ranked", PARTITIONS)
    append(log, made_at(0, "ABCD"))
    where = CrossSectionState("predictions", 0, 4, written)
    part = CrossSectionPartition(number, NAMES, [ranking()], PARTITIONS, where, lambda: 0.0, fenced)
    part.feed(Chunk(TP("predictions", number), 1, 0, 4, records(log)))
    part.take(1_000)
    part.decide(4)
    (closing, *rest), _ = part.take(1_000)
    assert decode_prediction_record(closing.value).with_signals == at_once  # type: ignore[union-attr]
    assert len(rest) == (4 if at_once else 0)
    log.records.append(closing)
    part.feed(Chunk(TP("predictions", number), 1, 4, 5, records(log)[4:]))
    again, _ = part.take(1_000)
    assert len(rest) + len(again) == 4


class Alone:
    """An owner without a broker that shut a former one out: `log` is what both wrote. Its transactions arrive when they
    are `written`; it reads when it is fed.
    """

    def __init__(self, end: int, written: int, grace_over: bool = True) -> None:
        self.log, self.number, self.now = Log(), home("ranked", PARTITIONS), 0.0
        where = CrossSectionState("predictions", 0, end, written)
        self.part = CrossSectionPartition(
            self.number, NAMES, [ranking()], PARTITIONS, where, lambda: self.now, fenced=True
        )

    def feed(self, *made: Prediction) -> None:
        """These come, after what was written before."""
        append(self.log, made)
        there, position = records(self.log), self.part.position
        if there[position:]:
            self.part.feed(Chunk(TP("predictions", self.number), 1, position, len(there), there[position:]))

    def close(self, seconds: float = 0.0) -> list[Record]:
        """Proposes what is due after so many seconds more; what waits to be written then."""
        self.now += seconds
        self.part.decide(len(self.log.of("predictions")))
        return self.part.take(1_000, together=True)[0]

    def written(self, records: list[Record]) -> None:
        self.log.records += records


def times(log: Log, symbol: str) -> list[int]:
    """Minutes of the symbol's signals, in the order of the log."""
    found = [msgspec.json.decode(record.value or b"", type=Signal).content for record in log.of("signals")]
    return [(content.time - made_at(0, "A")[0].time) // 60_000 for content in found if content.symbol == symbol]


def test_signals_with_a_closing_wait_for_a_closing_before_it_that_has_none() -> None:
    """Once past the end of the former owner's open transaction: what was closed before that is read back first."""
    owner = Alone(end=2, written=4)
    owner.feed(*made_at(0, "AB"))
    early = owner.close()
    assert not early
    first = owner.close(seconds=3.0)  # by grace, before offset 4
    owner.feed(*made_at(1, "ABCD"))  # read to offset 6; the closing is not on the log yet
    second = owner.close()
    owner.written(first + second)
    owner.feed()
    owner.written(owner.close())
    assert times(owner.log, "A") == times(owner.log, "B") == [0, 1]
    assert times(owner.log, "C") == [1]
    assert owner.log.signals() == as_the_log_says(owner.log)


def test_signals_with_a_closing_wait_for_a_late_one_of_an_earlier_time() -> None:
    """D comes while the closing without it is under way, and then with the next time."""
    owner = Alone(end=0, written=0)
    owner.feed(*made_at(0, "ABC"))
    first = owner.close(seconds=3.0)
    owner.feed(*made_at(0, "D"), *made_at(1, "ABCD"))
    second = owner.close()
    owner.written(first + second)
    owner.feed()
    owner.written(owner.close())
    assert times(owner.log, "D") == [0, 1]
    assert order_faults(owner.log) == []
    assert owner.log.signals() == as_the_log_says(owner.log)


def test_of_many_times_that_wait_each_goes_with_its_signals() -> None:
    """The order does not cost what signals with their closings are for."""
    owner = Alone(end=12, written=12)
    owner.feed(*(made for minute in range(3) for made in made_at(minute, "ABCD")))
    said = owner.close()
    assert [record.topic for record in said] == ["predictions", *["signals"] * 4] * 3


def test_after_one_that_was_read_back_signals_go_with_their_closing_again() -> None:
    owner = Alone(end=2, written=4)
    owner.feed(*made_at(0, "AB"))
    owner.written(owner.close(seconds=3.0))
    owner.feed(*made_at(1, "ABCD"))
    owner.written(owner.close())
    owner.feed(*made_at(2, "ABCD"))
    assert [record.topic for record in owner.close()] == ["predictions", *["signals"] * 4]


def test_predictions_that_wait_are_not_worth_a_marker() -> None:
    """They would be read again whatever it said; what was published is marked."""
    log, number = Log(), home("ranked", PARTITIONS)
    append(log, made_at(0, "ABC"))
    part = CrossSectionPartition(
        number, NAMES, [ranking()], PARTITIONS, CrossSectionState("predictions"), lambda: 0.0, True
    )
    part.feed(Chunk(TP("predictions", number), 1, 0, 3, records(log)))
    _, part.reached = part.take(1_000)
    assert (part.published, part.unmarked) == (3, False)
    append(log, made_at(0, "D"))
    part.feed(Chunk(TP("predictions", number), 1, 3, 4, records(log)[3:]))
    part.decide(4)
    said, part.reached = part.take(1_000)
    assert (len(said), part.unmarked) == (5, True)
    part.note_marker(part.reached)
    assert not part.unmarked


class NoWriters(WriterFactory):
    async def open(self, partition: int, track: str = "") -> Any:
        return None


@pytest.mark.parametrize(("written", "said"), [(5, []), (4, [Exit.CONFIGURATION])])
def test_predictions_that_are_gone_are_told_not_passed_over(written: int, said: list[Exit]) -> None:
    """A topic made anew: else all that comes would be taken for what is published, up to where the old one was."""
    state = CrossSectionState("predictions", 0, written, written, Marker("predictions", 0, 5, {}))
    told: list[tuple[Exit, str]] = []

    async def load(_: int) -> CrossSectionState:
        return state

    gatherer = CrossSectionOwner(
        CONFIG, [], PARTITIONS, NAMES, NoWriters(), lambda code, reason, **_: told.append((code, reason)), load=load
    )
    plan = gatherer._restore(0)
    if said:
        with pytest.raises(ConfigurationError, match=r"/0 ends at offset 4, .* up to offset 5 are published"):
            asyncio.run(plan)
        asyncio.run(gatherer.on_assigned({TP("predictions", 0)}, 1))
    else:
        assert asyncio.run(plan) is state
    assert [code for code, _ in told] == said
    assert not gatherer.partitions


def test_bad_records_are_told_and_change_nothing() -> None:
    rng, log = random.Random(1), Log()
    stranger = msgspec.structs.replace(made_at(0, "A")[0], strategy="gone4")
    key = b"ranked"

    async def run() -> Counter[str]:
        log.records += [
            Record("predictions", key, b"rubbish"),
            Record("predictions", key, None),
            Record("predictions", b"another", log_value(made_at(0, "A")[0])),
        ]
        append(log, [stranger])
        return (await gather(log, [ranking()], made_at(0, "ABCD"), rng, pace=0.0)).totals()

    counts = asyncio.run(run())
    assert {error for _, error in log.dead()} >= {b"undecodable", b"wrong_key"}
    assert len(log.dead()) + counts["unknown_strategy"] == 4
    assert len(log.of("signals")) == 4


def log_value(made: Prediction) -> bytes:
    return msgspec.json.encode(made)


def test_a_worker_is_ready_when_its_cross_sections_are_restored_and_gathered() -> None:
    """What was gathered before is read again first, from the oldest that is pending; then comes what waits."""
    rng, log = random.Random(1), Log()
    asyncio.run(gather(log, [ranking()], made_at(0, "ABCD") + made_at(1, "ABC"), rng, pace=0.0))
    where = stored(log, compacted=True)
    where.strategies.clear()  # no state was written: all from the first record on
    number = home("ranked", PARTITIONS)
    place, tp = f"predictions/{number}", TP("predictions", number)
    part = CrossSectionPartition(number, NAMES, [ranking()], PARTITIONS, where, lambda: 0.0)
    there = records(log)
    append(log, made_at(2, "ABCD"))

    def die(_code: Exit, _reason: str, /, **_where: int) -> None:
        """Nothing ends here."""

    bars = BarsOwner(CONFIG, [], PARTITIONS, "v", WriterFactory(), die)
    bars.generation = 1
    cross_sections = CrossSectionOwner(CONFIG, [ranking()], PARTITIONS, NAMES, WriterFactory(), die)
    cross_sections.partitions[number] = part
    given = {TP("bars", 5), tp}
    consumer = SimpleNamespace(log_end=lambda _: len(log.of("predictions")))
    others = {"all": {"bars": range(PARTITIONS), "predictions": range(PARTITIONS)}}
    app = SimpleNamespace(
        consumer=consumer,
        cross_sections=cross_sections,
        assignor=SimpleNamespace(external_topic_distribution=others, assigned_actives=lambda: given),
    )

    def failed() -> dict[str, str]:
        return unready(app, bars)

    assert failed() == {"restored": f"bars/5; {place}: the state is being restored"}
    given.remove(TP("bars", 5))
    part.feed(Chunk(tp, 1, 0, 3, there[:3]))
    assert failed() == {"restored": f"{place}: the state is being restored"}
    part.feed(Chunk(tp, 1, 3, len(there), there[3:]))
    assert failed() == {}
    bars.config = CONFIG.model_copy(update={"worker": CONFIG.worker.model_copy(update={"ready_lag": 3})})
    part.take(1_000)
    late = len(log.of("predictions")) - part.published
    assert failed() == {"lag": f"{place} is {late} predictions behind; worker.ready_lag is 3"}


@pytest.mark.parametrize("seed", range(12))
def test_strategies_share_a_partition_and_come_and_go(seed: int) -> None:
    """What came while one was not there is there for it when it comes."""
    rng, log = random.Random(3000 + seed), Log()
    names = [name for name in (f"s{i}" for i in range(20)) if home(name, PARTITIONS) == 0][:2]
    both = [ranking(name) for name in names]
    came = [msgspec.structs.replace(made, strategy=name) for made in predictions(rng, 8) for name in names]
    coming = list(came)

    async def run() -> None:
        for _ in range(rng.randint(1, 5)):
            some = rng.sample(both, rng.randint(1, 2))
            await gather(log, some, coming, rng, dies_at=rng.randint(0, 15), stops_early=True)
        await gather(log, both, coming, rng)

    asyncio.run(run())
    assert log.signals() == as_the_log_says(log)
    assert len(log.signals()) == len({(made.strategy, made.symbol, made.time) for made in came})
