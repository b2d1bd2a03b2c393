"""A symbol that has bars on two partitions is noticed, whichever workers own them. By hand: who has which."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from backtest.sources.bars import Reading
from schemas.configuration import Config, Kafka
from schemas.wire import Placed, Snapshot, decode_control, encode
from streams.consuming.intake import Intake
from streams.consuming.transport import TP, Chunk
from streams.kafka.partitioner import scattered
from streams.owners.bars_owner import BarsOwner
from streams.publishing.writer import Record, SharedWriterFactory
from streams.recovery.plan import resume_plan
from streams.recovery.state import StoredState
from streams.requests.symbol_places import SymbolPlaces
from streams.service.health import _scattered
from tests.support.memory import CONFIG, Fetched, bar, end_tasks, ready


class Printer:
    """Takes what is written."""

    transactional = False

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def write(self, _partition: int, records: Any) -> None:
        self.records += records


class Owner(BarsOwner):
    """On an empty log; the states are those of `snapshots`."""

    snapshots: list[Snapshot] = []

    async def restore(self, numbers: Any) -> Any:
        plans = [resume_plan(StoredState(), self.strategies, "bars", number, 0, 0) for number in numbers]
        for plan in plans:
            plan.snapshots = [one for one in self.snapshots if one.partition == plan.new[0].partition]
        return [[plan] for plan in plans]


AS_IS: Config = CONFIG.model_copy(update={"kafka": Kafka(partitioner="as_is", partitions=3)})


def fed(places: SymbolPlaces, config: Config, parts: dict[int, list[str]]) -> list[Placed]:
    """What a worker that owns these partitions, with bars of these symbols, says of them on the log."""
    printer = Printer()
    owner = Owner(config, [ready("one")], 3, "v", SharedWriterFactory(printer), lambda *_, **__: None, places=places)

    async def life() -> None:
        await owner.take_over(list(parts), 1)
        for number, symbols in parts.items():
            records = [
                Fetched(n, encode(bar(symbol, n, 100.0)), symbol.encode(), "bars", number)
                for n, symbol in enumerate(symbols)
            ]
            await owner.feed(Chunk(TP("bars", number), 1, 0, len(records), list(records)))
        await owner.let_go(list(parts))
        await end_tasks(owner)

    asyncio.run(life())
    found = [
        (record.partition, decode_control(record.value)) for record in printer.records if record.topic == "control"
    ]
    assert all(partition == 0 for partition, value in found if isinstance(value, Placed))
    topics = [record.topic for record in printer.records]
    if "signals" in topics and any(isinstance(value, Placed) for _, value in found):
        placed = next(n for n, r in enumerate(printer.records) if b'"kind":"placed"' in (r.value or b""))
        assert placed < topics.index("signals")
    return [value for _, value in found if isinstance(value, Placed)]


def test_each_symbol_is_said_once_before_its_signals() -> None:
    places = SymbolPlaces("bars")
    said = fed(places, AS_IS, {0: ["A", "B", "A"], 1: ["C"]})
    assert said == [Placed("bars", 0, ["A", "B"]), Placed("bars", 1, ["C"])]
    for record in said:
        places.take(record)
    assert fed(places, AS_IS, {0: ["A", "B"], 1: ["C"]}) == []
    assert places.fault() is None


def test_workers_that_own_one_partition_each_notice(caplog: pytest.LogCaptureFixture) -> None:
    first, second = SymbolPlaces("bars"), SymbolPlaces("bars")
    log = fed(first, AS_IS, {0: ["A", "B"]}) + fed(second, AS_IS, {1: ["A", "C"]}) + fed(second, AS_IS, {2: ["A"]})
    with caplog.at_level(logging.ERROR):
        for record in log:
            first.take(record)
            second.take(record)
    for places in (first, second):
        assert places.scattered == {"A": [0, 1, 2]}
        assert _scattered(SimpleNamespace(places=places)).keys() == {"symbols"}  # type: ignore[arg-type]
    text = caplog.text
    assert "1 of the symbols have bars on more than one partition of bars (A on 0, 1)" in text
    assert "Murmur2Balancer" in text
    assert "another kafka.prefix" in text
    assert text.count("more than one partition") == 4  # A on two, then on three, by each of them


def test_a_partitioner_that_tells_the_place_needs_no_records() -> None:
    murmur2 = CONFIG.model_copy(update={"kafka": Kafka(partitions=3)})
    assert fed(SymbolPlaces("bars"), murmur2, {0: ["A", "B"], 1: ["A"]}) == []


def test_symbols_of_states_are_known_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bars came before the topic's partitioner was changed, or under an earlier worker."""
    states = [Snapshot("one", "Z", 0, 0, 0, ready("one").layout, "", b"")]
    monkeypatch.setattr(Owner, "snapshots", states)
    monkeypatch.setattr("plugins.pipeline.pipeline.Pipeline.restore", lambda *_: None)
    assert fed(SymbolPlaces("bars"), AS_IS, {0: ["A"]}) == [Placed("bars", 0, ["Z"]), Placed("bars", 0, ["A"])]


def test_a_record_stays_small() -> None:
    """A restored partition may have any number of symbols, of up to 64 characters of 4 bytes."""
    symbols = [f"{number:05}" + "\N{MATHEMATICAL BOLD CAPITAL A}" * 59 for number in range(2_500)]
    said = SymbolPlaces("bars").unknown(3, symbols)
    assert [symbol for record in said for symbol in record.symbols] == symbols
    assert all(len(encode(record)) < 500_000 for record in said)
    assert [decode_control(encode(record)) for record in said] == said


def test_another_topics_symbols_do_not_count() -> None:
    places = SymbolPlaces("bars")
    places.take(Placed("other.bars", 0, ["A"]))
    places.take(Placed("bars", 1, ["A"]))
    assert places.scattered == {}


def test_what_a_replay_reads_is_judged_alike() -> None:
    reading = Reading()
    for number, symbols in {0: "AB", 1: "AC", 2: "A"}.items():
        records = [Fetched(n, encode(bar(s, n, 100.0)), s.encode()) for n, s in enumerate(symbols)]
        reading.take(Intake(number, 3, "as_is").read(records), "bars", number)
    assert "1 of the symbols" in (scattered(reading.places, "bars") or "")
    assert "(A on 0, 1, 2)" in (scattered(reading.places, "bars") or "")


def test_many_are_counted_and_the_first_are_named() -> None:
    text = scattered({f"S{n:02}": {0, 1} for n in range(40)} | {"T": {3}}, "bars") or ""
    assert text.startswith("40 of the symbols")
    assert "S04 on 0, 1; and 35 more" in text
    assert scattered({"A": {0}, "B": {1}}, "bars") is None
