"""The example of a trading system, on the topic of a real worker: what it orders, and what it refuses."""

import ast
import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from aiokafka import TopicPartition

from schemas.configuration import Config
from streams.ingest.produce import produce_bars
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline
from tests.support.live import ROOT, WorkerProcess, minute_bars, records, strategy, wait_for, write_config

FILE = ROOT / "examples" / "execution_client.py"
EQUITY = 100_000.0
PRICES = {"AIG": 48.37, "BAC": 14.05, "IBM": 184.1, "SPY": 168.89}
WEIGHT = 0.2
# hand-computed: 20,000 dollars' worth of each, in whole shares, rounded toward zero
LOTS = {"AIG": 413, "BAC": 1423, "IBM": 108, "SPY": 118}
BARS = 800

pytestmark = pytest.mark.broker


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execution_client", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


client_module = load()


class PowerCut(Exception):
    pass


@dataclass
class ScorerPartition:
    """A trading desk that writes down what it is asked to do, with a clock that stands still.

    As a broker does, it refuses an order whose id it has had. The power fails after the orders numbered `cuts`, before
    the client hears that the order was taken.
    """

    now: int = 0
    cuts: tuple[int, ...] = ()
    positions: dict[str, Any] = field(default_factory=dict)
    orders: list[tuple[str, int, str]] = field(default_factory=list)
    refused: int = 0

    def order(self, symbol: str, lots: int, identity: str) -> None:
        if identity in {known for _, _, known in self.orders}:
            self.refused += 1
            return
        self.orders.append((symbol, lots, identity))
        if len(self.orders) in self.cuts:
            raise PowerCut

    def client(self) -> Any:
        return client_module.ExecutionClient(
            "demo",
            self.positions,
            order=self.order,
            price=PRICES.get,
            equity=lambda: EQUITY,
            clock=lambda: self.now,
        )

    def of(self, symbol: str) -> list[tuple[int, str]]:
        return [(lots, identity) for name, lots, identity in self.orders if name == symbol]


async def act(client: Any, config: Config, group: str, count: int) -> None:
    """Runs the client till it has handled `count` records, then cancels it."""
    topic = topic_name(config.kafka, "signals")
    settings = {"session_timeout_ms": 2000, "heartbeat_interval_ms": 500, "max_poll_records": 50}
    running = asyncio.create_task(client.run(config.kafka.bootstrap, topic, group, **settings))
    try:
        async with asyncio.timeout(deadline(60)):
            while client.counts.total() < count and not running.done():
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.wait({running})
    if not running.cancelled():
        await running


@dataclass
class Market:
    """What a worker made of the bars, and what a client that was there from the beginning did."""

    config: Config
    desk: ScorerPartition
    counts: Counter[str]
    contents: list[dict[str, Any]]


async def live(config: Config, bars: pd.DataFrame, desk: ScorerPartition, client: Any) -> None:
    """The client listens while the bars come."""
    await asyncio.gather(produce_bars(config.kafka, bars, rate=400.0), act(client, config, "desk", len(bars)))


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Market:
    broker = request.getfixturevalue(request.param)
    file = tmp_path_factory.mktemp("desk") / "desk.yaml"
    signal = {"key": "signal.threshold", "buy_threshold": 54.0, "sell_threshold": 46.0}
    strategies = {"demo": strategy(execution={"weight": WEIGHT}, signal=signal)}
    config = write_config(file, broker.bootstrap, f"desk-{request.param}.", strategies)
    bars = minute_bars(BARS)
    desk = ScorerPartition(now=int(bars["close_time"].iloc[BARS // 2]))
    client = desk.client()
    asyncio.run(create_topics(config.kafka))
    with WorkerProcess(file) as worker:
        asyncio.run(live(config, bars, desk, client))
        assert worker.stop() == 0
    contents = [json.loads(record.value)["content"] for record in records(config, "signals")]
    return Market(config, desk, client.counts, contents)


def wanted(contents: list[dict[str, Any]], now: int, symbol: str) -> list[tuple[int, str]]:
    """Orders by the rules, from the decisions themselves."""
    held, orders = 0, []
    for content in contents:
        if content["symbol"] != symbol or content["valid_until"] < now or content["signal"] == "HOLD":
            continue
        target = LOTS[symbol] if content["signal"] == "BUY" else -LOTS[symbol]
        if target != held:
            orders.append((target - held, content["id"]))
        held = target
    return orders


def test_it_orders_what_the_signals_say_and_refuses_what_is_too_late(market: Market) -> None:
    desk = market.desk
    for symbol in PRICES:
        orders = desk.of(symbol)
        assert orders == wanted(market.contents, desk.now, symbol)
        assert sum(lots for lots, _ in orders) == desk.positions[symbol][0]
    assert len(desk.orders) > 20
    late = [content for content in market.contents if content["valid_until"] < desk.now]
    holds = [content for content in market.contents if content["weight"] is None and content not in late]
    assert market.counts["too late"] == len(late) > BARS // 3
    assert market.counts["kept"] == len(holds) > 50
    assert market.counts.total() == BARS


def test_over_history_it_says_that_all_is_too_late(market: Market, tmp_path: Path) -> None:
    """As the docstring says to start it: no order, and a line that says why, before ctrl-C."""
    kafka, count = market.config.kafka, len(records(market.config, "signals"))
    command = [sys.executable, str(FILE), kafka.bootstrap, "demo", kafka.prefix]
    orders, progress = tmp_path / "orders", tmp_path / "progress"
    with orders.open("w") as out, progress.open("w") as errors:
        client = subprocess.Popen(command, stdout=out, stderr=errors)
        try:
            wait_for(lambda: f"{count:,} signals: {count:,} too late\n" in progress.read_text())
            client.send_signal(signal.SIGINT)
            assert client.wait(deadline(30)) == 0
        finally:
            client.kill()
    assert orders.read_text() == ""
    assert progress.read_text().startswith("0 signals: none yet\n")
    assert "Traceback" not in progress.read_text()


async def publish_again(config: Config, repeated: list[Any]) -> None:
    """As a worker does that was killed between its signals and its marker."""
    async with open_producer(config.kafka) as producer:
        for record in repeated:
            await producer.send_and_wait(record.topic, record.value, record.key, partition=record.partition)


async def committed(config: Config, group: str) -> int:
    """Records that a new member of `group` would not see again."""
    topic = topic_name(config.kafka, "signals")
    async with open_consumer(config.kafka, group_id=group) as consumer:
        places = [TopicPartition(topic, number) for number in range(config.kafka.partitions)]
        return sum([await consumer.committed(place) or 0 for place in places])


def test_crashes_and_repeats_order_nothing_twice(market: Market) -> None:
    """Clients one after the other in one group, each ended between an order and the commit of its offset."""
    desk = ScorerPartition(cuts=(5, 17, 30))
    for _ in desk.cuts:
        with pytest.raises(PowerCut):
            asyncio.run(act(desk.client(), market.config, "restarts", BARS))
    repeated = records(market.config, "signals")[::10]
    asyncio.run(publish_again(market.config, repeated))
    last = desk.client()
    known = asyncio.run(committed(market.config, "restarts"))
    asyncio.run(act(last, market.config, "restarts", BARS + len(repeated) - known))
    for symbol in PRICES:
        assert desk.of(symbol) == wanted(market.contents, 0, symbol)
    assert desk.refused == len(desk.cuts)
    assert known > BARS // 10
    assert last.counts["repeat"] > len(repeated) // 2


def content(**changes: Any) -> bytes:
    told = {"id": "a", "strategy": "demo", "symbol": "IBM", "time": 60_000, "valid_until": 120_000, "weight": 0.2}
    return json.dumps({"content": told | changes}).encode()


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (content(), "ordered"),
        (content(strategy="other"), "other strategy"),
        (content(weight=None), "kept"),
        (content(weight=0.0), "there already"),
        (content(weight=0.001), "there already"),  # 100 dollars buy no share of 184.1
        (content(symbol="AAPL"), "no price"),
        (content(valid_until=99_999), "too late"),
        (b"\xff", "unreadable"),
        (b"{}", "unreadable"),
        (b"[1]", "unreadable"),
        (b'{"content": {"id": "a"}}', "unreadable"),
    ],
)
def test_what_becomes_of_one_record(value: bytes, outcome: str) -> None:
    desk = ScorerPartition(now=100_000)
    assert desk.client().handle(value) == outcome
    assert len(desk.orders) == (outcome == "ordered")


def test_an_older_signal_does_not_take_a_position_back() -> None:
    """Even one that this client has not seen, because it was started since."""
    desk = ScorerPartition()
    assert desk.client().handle(content(id="b", time=120_000)) == "ordered"
    assert desk.client().handle(content(id="a", time=60_000, weight=-0.2)) == "repeat"
    assert desk.positions["IBM"] == (LOTS["IBM"], 120_000)


def test_it_says_when_a_signal_is_overdue() -> None:
    """Of a strategy that publishes changes; until then silence means that the decision stands."""
    desk = ScorerPartition(now=100_000)
    client = desk.client()
    client.handle(content())
    client.handle(content(symbol="AIG", id="b", silent_until=600_000))
    for now, overdue in ((660_000, []), (660_001, ["AIG"])):
        desk.now = now
        assert client.overdue(60_000) == overdue
    client.handle(content(symbol="AIG", id="c", time=600_000, silent_until=1_200_000))
    assert client.overdue(60_000) == []


def test_it_forgets_the_oldest_ids_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REMEMBERED", 2)
    client = ScorerPartition().client()
    outcomes = [client.handle(content(id=name, weight=None)) for name in ("a", "b", "c", "c", "b", "a")]
    assert outcomes == ["kept", "kept", "kept", "repeat", "repeat", "kept"]


def test_it_needs_nothing_of_the_project_and_is_short() -> None:
    source = FILE.read_text()
    assert len(source.splitlines()) < 145
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"aiokafka"}
