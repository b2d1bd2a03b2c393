"""A partition of trades that goes on from its last round of states, which lies before what is published."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from alphawire.display.trades import bar_text
from backtest.verify.bar_trades import explain_bar
from backtest.verify.trade_bars import verify_bars
from plugins.fold.trades.kinds import BarKind, TimeRules
from schemas.configuration import Config
from schemas.wire import decode_bar, encode
from schemas.wire.trades import BuiltKind, BuiltMarker, OpenBars, Trade, decode_trades_state
from streams.consuming.trade_intake import TradeIntake
from streams.consuming.transport import TP, Chunk
from streams.owners.trades.partition import TradesPartition
from streams.owners.trades.stored import BuildPlan, StoredBars, build_plan, load_bars
from streams.publishing.pending_output import Progress
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Record
from tests.support.memory import Fetched

START, MINUTE = 1_700_000_040_000, 60_000
NAMES = TopicNames.of(Config().kafka)


def records(count: int) -> list[Fetched]:
    """A trade every 20 seconds."""
    made = [Trade("A", START + 20_000 * number, 10.0, 1.0) for number in range(count)]
    return [Fetched(offset, encode(trade), b"A", "trades") for offset, trade in enumerate(made)]


def partition(floor: int, marked: int, states: dict[tuple[str, str], OpenBars]) -> TradesPartition:
    kinds = {"1m": BuiltKind(0, 0, len(states))}
    stored = StoredBars(0, 100, BuiltMarker("trades", 0, marked, kinds, floor), states)
    plan = BuildPlan(floor, marked, kinds, states, floor)
    return TradesPartition(0, NAMES, TradeIntake(0, 1, "murmur2"), plan, stored, 0.0)


def feed(part: TradesPartition, until: int) -> list[bytes]:
    """The bars that come of the records up to there."""
    begin = part.position
    part.feed(Chunk(TP("trades", 0), 1, begin, until, records(until)[begin:]))
    output, part.reached = part.take(1_000, together=True)
    return [record.value for record in output if record.topic == NAMES.bars]  # type: ignore[union-attr, misc]


def test_what_is_published_is_never_less() -> None:
    """A round of states or a marker while earlier trades are folded silently would have the next owner publish again
    what is on the log.
    """
    whole = partition(0, 0, {})
    assert len(feed(whole, 30)) == 9
    again = partition(0, 25, {})
    for until in (5, 12, 24):
        assert feed(again, until) == []
        marker = decode_trades_state(again.marker_record(again.reached).value)
        assert isinstance(marker, BuiltMarker)
        assert marker.offset == 25
        assert not again.round_ready()
    assert len(feed(again, 30)) == 1
    assert again.round_ready()
    marker = decode_trades_state(again.marker_record(Progress(30)).value)
    assert isinstance(marker, BuiltMarker)
    assert marker.offset == 30


def test_a_state_ahead_of_the_round_is_waited_for() -> None:
    """A round that broke off left a newer state: until there nothing is captured, since it would be given an older
    offset, and its trades would count twice.
    """
    whole = partition(0, 0, {})
    feed(whole, 20)
    _, states, _ = whole.capture()
    state = decode_trades_state(states[0].value)
    assert isinstance(state, OpenBars)
    again = partition(10, 12, {("1m", "A"): state})
    feed(again, 15)
    assert not again.round_ready()
    feed(again, 20)
    assert again.round_ready()
    assert feed(again, 30) == feed(whole, 30) != []


@dataclass(frozen=True)
class Written(Fetched):
    headers: Sequence[tuple[str, bytes]] = ()


class Lists:
    """A log of one partition, of what was written."""

    prefix, topics, partitioner = "", dict[str, str](), "murmur2"

    def __init__(self) -> None:
        self.written: dict[str, list[Fetched]] = {}

    def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        there = self.written.setdefault(topic, [])
        there.append(Written(len(there), value, key, topic, headers=headers))

    async def partition_count(self, topic: str = "bars") -> int:
        return 1

    async def offset_range(self, topic: str, _number: int) -> tuple[int, int]:
        return 0, len(self.written.get(topic, ()))

    async def batches(self, topic: str, _number: int, start: int = 0, _isolation: str = "") -> AsyncIterator[Any]:
        yield self.written.get(topic, [])[start:]

    async def records(self, topic: str, number: int, start: int = 0, isolation: str = "") -> AsyncIterator[Any]:
        async for batch in self.batches(topic, number, start):
            for record in batch:
                yield record


def run_builder(log: Lists, rules: TimeRules, trades: Sequence[Trade]) -> TradesPartition:
    """Goes on from what is on the log with these trades, and stops."""
    for trade in trades:
        log.write("trades", trade.symbol.encode(), encode(trade), ())
    stored = asyncio.run(load_bars(log, 0))  # type: ignore[arg-type]
    plan = build_plan(stored, {BarKind.of("1m"): rules})
    part = TradesPartition(0, NAMES, TradeIntake(0, 1, "murmur2"), plan, stored, 0.0)
    end = len(log.written["trades"])
    part.feed(Chunk(TP("trades", 0), 1, part.position, end, log.written["trades"][part.position :]))
    output, part.reached = part.take(10_000, together=True)
    offset, states, counts = part.capture()
    part.complete(offset, counts)
    for record in [*output, *states, part.marker_record(part.reached)]:
        assert isinstance(record, Record)
        log.write(record.topic, record.key, record.value, record.headers)
    return part


def minutes(first: int, last: int) -> list[Trade]:
    """One in every third minute."""
    return [Trade("A", START + number * MINUTE, 10.0 + number, 1.0) for number in range(first, last, 3)]


def test_flat_bars_and_changed_rules_verify() -> None:
    """Rules that change begin at what is published; a restart with the same ones goes on."""
    log, flat = Lists(), TimeRules(flat=1)
    run_builder(log, TimeRules(), minutes(0, 30))
    run_builder(log, flat, minutes(30, 60))
    run_builder(log, flat, minutes(60, 90))
    bars = [decode_bar(record.value) for record in log.written["bars"]]
    # 9 before the change; then of 20 trades 18 bars with a flat one after each: the bar that is open at the change
    # lacks trades and is left out, and the last one is open
    assert [bar.flat is True for bar in bars] == [False] * 9 + [False, True] * 18
    verdict = asyncio.run(verify_bars(log))  # type: ignore[arg-type]
    assert (verdict.ok, verdict.bars, verdict.equal, verdict.earlier) == (True, 36, 36, 9)
    place = "A", "1m", START + 34 * MINUTE
    told = asyncio.run(explain_bar(log, place))  # type: ignore[arg-type]
    assert (told.published, told.trades, told.price_of, told.closed_by) == (True, [], 11, 12)
    assert (told.bar["flat"], told.bar["close"]) == (True, 43.0)
    assert "no trades, at the price of 11" in bar_text(told)
    log.written["bars"].pop()
    assert [one.kind for one in asyncio.run(verify_bars(log)).differences] == ["missing"]  # type: ignore[arg-type]
