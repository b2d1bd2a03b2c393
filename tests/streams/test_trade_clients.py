"""Producers of others: Java's client, franz-go and KafkaJS write trades while builders of bars are killed 60 times."""

import asyncio
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backtest.verify.trade_bars import verify_bars
from schemas.configuration import Config
from schemas.wire.trades import Trade
from streams.kafka.brokers import Broker
from streams.kafka.brokers.jars import java, kafka_jars
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics, topic_name
from tests.schemas.test_foreign_tools import program, run
from tests.streams.test_trades_killed import (
    START,
    bars_of,
    by_a_plain_loop,
    configured,
    minutes,
    seen,
    start,
)
from tests.support.deadlines import deadline
from tests.support.live import records, wait_for

pytestmark = [pytest.mark.nightly, pytest.mark.kafka]
CLIENTS = Path(__file__).parents[1] / "support" / "trade_clients"
FRANZ, KAFKAJS = "github.com/twmb/franz-go/pkg/kgo@v1.18.1", "kafkajs@2.2.4"
KILLS, EACH = 60, 40
"""Kills, and trades that each client sends before each of them."""
STAGES = (b"bars of ", b"bars are published up to", None)
SYMBOLS = {"java": ("AAPL", "ÄÖ"), "go": ("MSFT", "BTC-USD"), "node": ("SPY", "X")}
"""Whose trades a client sends: of a symbol all, so that they are in order."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What starts each client."""
    folder = tmp_path_factory.mktemp("trade_clients")
    jars = f"{kafka_jars()}/*"
    run(program("javac"), "-cp", jars, "-d", folder, CLIENTS / "Trades.java")
    (folder / "go").mkdir()
    shutil.copy(CLIENTS / "trades.go", folder / "go" / "main.go")
    run(program("go"), "mod", "init", "trades", folder=folder / "go")
    run("go", "get", FRANZ, folder=folder / "go")
    run("go", "build", "-o", "trades", ".", folder=folder / "go")
    run(program("npm"), "install", "--no-audit", "--no-fund", "--prefix", folder, KAFKAJS)
    shutil.copy(CLIENTS / "trades.mjs", folder)
    return {
        "java": [java(), "-cp", f"{folder}:{jars}", "Trades"],
        "go": [str(folder / "go" / "trades")],
        "node": [program("node"), str(folder / "trades.mjs")],
    }


class Client:
    """A producer of another language."""

    def __init__(self, command: list[str], config: Config) -> None:
        words = [*command, config.kafka.bootstrap, topic_name(config.kafka, "trades")]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, some: list[Trade]) -> None:
        """Returns when the broker has them."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for one in some:
            self.process.stdin.write(f"{one.symbol},{one.time},{one.price},{one.size},{one.id},{one.side}\n")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "sent\n"


@contextmanager
def client(command: list[str], config: Config) -> Iterator[Client]:
    one = Client(command, config)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait(deadline(10))


class Mark:
    """How far a builder has come since this was made."""

    def __init__(self, file: Path, config: Config) -> None:
        self._log, self._config = file.with_suffix(".log"), config
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        self._bars = len(records(config, "bars"))

    def reached(self, stage: bytes | None) -> bool:
        """What its log says; None: bars that are new."""
        if stage is None:
            return len(records(self._config, "bars")) > self._bars
        return stage in self._log.read_bytes()[self._begin :]


def trades_of(symbols: tuple[str, ...], number: int, chance: random.Random, time: int) -> list[Trade]:
    made = []
    for place in range(EACH):
        time += chance.choice([0, 300, 2_000])
        price, size = round(100 + 10 * chance.random(), 2), chance.randrange(1, 900) / 100
        side: Any = chance.choice(["buy", "sell", "unknown"])
        made.append(Trade(chance.choice(symbols), time, price, size, f"{number}-{place}", side))
    return made


def test_sixty_kills_under_the_clients_of_others(kafka: Broker, commands: dict[str, list[str]], tmp_path: Path) -> None:
    """At any moment, wherever the builder is by then; the bars are those of pandas and of a plain loop, once each."""
    file, config = configured(tmp_path, kafka)
    asyncio.run(create_topics(config.kafka))
    chance, times, sent = random.Random(17), dict.fromkeys(SYMBOLS, START), 0
    with ExitStack() as stack:
        clients = {name: stack.enter_context(client(commands[name], config)) for name in SYMBOLS}
        for number in range(KILLS):
            mark = Mark(file, config)
            builder = start(file)
            for name, one in clients.items():
                some = trades_of(SYMBOLS[name], number, chance, times[name])
                times[name] = some[-1].time
                one.send(some)
                sent += len(some)
            wait_for(partial(mark.reached, chance.choice(STAGES)), 60, 0.05)
            assert builder.poll() is None
            builder.kill()
    last = start(file)
    try:
        wait_for(lambda: set(seen(bars_of(config, "1m"))) >= minutes(config), 60, 0.5)
    finally:
        last.terminate()
        assert last.wait(deadline(60)) == 0
    found, by_volume = seen(bars_of(config, "1m")), seen(bars_of(config, "volume:50"))
    assert sent == KILLS * EACH * len(SYMBOLS)
    assert sum(b'"kind"' not in record.value for record in records(config, "trades")) == sent
    assert sorted(found) == sorted(minutes(config))
    assert sorted(by_volume) == sorted(by_a_plain_loop(config))
    verdict = asyncio.run(verify_bars(KafkaLog(config.kafka)))
    assert verdict.ok, verdict.differences[:3]
