"""Bars as other people's producers write them, by their own serializers: file, archive and topic give the same signals,
to the byte, on Apache Kafka, whatever is killed.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.replay.replay import replay
from backtest.verify.trade_bars import verify_bars
from backtest.verify.verify import verify
from schemas.configuration import Config, load_config
from schemas.wire import decode_signal, encode
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.faults.test_named_points import die_at
from tests.streams.test_trades_killed import bars_of, killed, seen
from tests.streams.test_trades_killed import start as builder
from tests.support.deadlines import deadline
from tests.support.encoded import ENCODED, client_of, context_of
from tests.support.live import (
    WorkerProcess,
    minute_bars,
    random_kills,
    records,
    run_to_end,
    strategy,
    wait_for,
    write_config,
)
from tests.support.registry import RegistryProcess

BARS = 160
SHORT = [pytest.param(name, marks=[] if name == "avro" else [pytest.mark.nightly]) for name in ENCODED]


@pytest.fixture(scope="module")
def registry(java: None) -> Iterator[RegistryProcess]:
    found = RegistryProcess()
    yield found
    found.stop()


def declared(
    folder: Path, broker: Broker, encoding: str, url: str, signals: str = "json", prefix: str = ""
) -> tuple[Path, Config]:
    """A configuration whose topic of bars is somebody else's."""
    file = folder / "a.yaml"
    write_config(file, broker.bootstrap, f"{prefix}{encoding}.", {"demo": strategy()})
    settings = yaml.safe_load(file.read_text())
    settings["kafka"] |= {"topics": {"bars": f"md.{prefix}{encoding}", "signals": f"desk.{prefix}{encoding}"}}
    settings["kafka"] |= {"registry": {"url": url}, "encoding": {"signals": signals}}
    own = {"topic": f"md.{prefix}{encoding}", "interval": "1m"}
    settings["sources"] = {"ohlc": own | ENCODED[encoding].source}
    file.write_text(yaml.safe_dump(settings))
    return file, load_config(file)


async def send(config: Config, encoding: str, values: list[tuple[str, int, bytes]]) -> None:
    """Symbol, time and value of each."""
    async with open_producer(config.kafka) as producer:
        for symbol, time, value in values:
            home = partition_of(symbol.encode(), config.kafka.partitions, "murmur2")
            await producer.send(
                topic_name(config.kafka, "bars"), value, symbol.encode(), partition=home, timestamp_ms=time
            )


def contents(signals: Any) -> list[bytes]:
    return sorted({encode(found.content) for found in signals})


@pytest.mark.parametrize("encoding", SHORT)
def test_three_ways_give_the_same_signals(
    kafka: Broker, registry: RegistryProcess, tmp_path: Path, encoding: str
) -> None:
    bars = minute_bars(BARS)
    file, config = declared(tmp_path, kafka, encoding, registry.url, "avro" if encoding == "avro" else "json")
    if encoding == "avro":  # signals, too
        registered = CliRunner().invoke(cli, ["schemas", "register", "-c", str(file), "--json"])
        assert json.loads(registered.stdout)["subject"] == "desk.avro-value"
    values = list(ENCODED[encoding].values(bars, registry.url))
    asyncio.run(create_topics(config.kafka))
    asyncio.run(send(config, encoding, list(zip(bars["symbol"], bars["close_time"].tolist(), values, strict=True))))
    random_kills(file, 3, seed=17, longest=0.5)
    run_to_end(file, config, BARS)
    live = [decode_signal(record.value) for record in records(config, "signals")]
    assert len(live) == BARS
    assert {record.value[:1] for record in records(config, "signals")} == {b"\x00" if encoding == "avro" else b"{"}
    bars[["symbol", "open_time", "open", "high", "low", "close", "volume"]].to_parquet(tmp_path / "bars.parquet")
    wanted = contents(replay(config, "demo", str(tmp_path / "bars.parquet")).raw)
    assert contents(live) == wanted
    assert verify(config, "demo").ok
    asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "archive"))
    # an archive is read without a registry, and by what it says itself
    _, bare = declared(tmp_path, kafka, encoding, "http://127.0.0.1:9")
    assert contents(replay(bare, "demo", str(tmp_path / "archive")).raw) == wanted
    assert verify(bare, "demo", source=str(tmp_path / "archive")).equal == BARS


def test_a_registry_that_is_away_is_waited_for(kafka: Broker, registry: RegistryProcess, tmp_path: Path) -> None:
    """Stopped, it takes connections and answers nothing. What has an id that it does not know is a dead letter, for
    good: a replay obeys, though the id may be known by then.
    """
    bars = minute_bars(60)
    file, config = declared(tmp_path, kafka, "avro", registry.url, prefix="away.")
    values = list(ENCODED["avro"].values(bars, registry.url))
    lost = b"\x00" + (999_999).to_bytes(4, "big") + values[0][5:]
    asyncio.run(create_topics(config.kafka))
    sent = [("LOST", 0, lost), *zip(bars["symbol"], bars["close_time"].tolist(), values, strict=True)]
    registry.signal(signal.SIGSTOP)
    try:
        asyncio.run(send(config, "avro", sent))
        log = file.with_suffix(".log")
        with WorkerProcess(file) as worker:
            wait_for(lambda: log.exists() and "is waited for" in log.read_text(), 60.0)
            assert worker.process.poll() is None
            assert not records(config, "signals")
            registry.signal(signal.SIGCONT)
            wait_for(lambda: len(records(config, "signals")) == len(bars), 60.0)
            assert worker.stop() == 0
    finally:
        registry.signal(signal.SIGCONT)
    (letter,) = records(config, "dead-letters")
    headers = {name: value.decode() for name, value in letter.headers}
    assert (letter.value, headers["error"]) == (lost, "unknown_schema")
    assert headers["reason"] == "there is no schema of the id 999999"
    assert verify(config, "demo").ok


@pytest.mark.slow
def test_killed_while_it_waits_for_a_schema(kafka: Broker, registry: RegistryProcess, tmp_path: Path) -> None:
    """Two workers die as nothing answers for the registry; then there is one, and all is there once."""
    bars = minute_bars(60)
    values = list(ENCODED["avro"].values(bars, registry.url))
    file, config = declared(tmp_path, kafka, "avro", "http://127.0.0.1:9", prefix="killed.")
    asyncio.run(create_topics(config.kafka))
    asyncio.run(send(config, "avro", list(zip(bars["symbol"], bars["close_time"].tolist(), values, strict=True))))
    for count in (1, 2):
        die_at(file, "in_schema_wait", count)
    assert not records(config, "signals")
    assert not records(config, "dead-letters")
    file, config = declared(tmp_path, kafka, "avro", registry.url, prefix="killed.")
    run_to_end(file, config, len(bars))
    assert len(records(config, "signals")) == len(bars)
    verdict = verify(config, "demo")
    assert (verdict.ok, verdict.equal) == (True, len(bars))


TRADE = {
    "type": "record", "name": "Print", "namespace": "md",
    "fields": [
        {"name": "ticker", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "qty", "type": "long"}, {"name": "tape", "type": "long"},
    ],
}  # fmt: skip
OF_TRADES = {
    "encoding": "avro",
    "time": {"columns": "at"},
    "columns": {"symbol": "ticker", "size": "qty", "id": "tape"},
}


async def send_trades(config: Config, rows: list[dict[str, Any]], url: str) -> None:
    from confluent_kafka.schema_registry.avro import AvroSerializer

    write = AvroSerializer(client_of(url), json.dumps(TRADE))
    async with open_producer(config.kafka) as producer:
        for row in rows:
            value, key = write(row, context_of("prints")), row["ticker"].encode()
            home = partition_of(key, config.kafka.partitions, "murmur2")
            await producer.send(topic_name(config.kafka, "trades"), value, key, partition=home)


@pytest.mark.slow
def test_bars_of_somebody_elses_trades(kafka: Broker, registry: RegistryProcess, tmp_path: Path) -> None:
    """In Avro, by Confluent's serializer; builders are killed, one as it waits for the schema. Nothing is written to
    the topic of trades.
    """
    start, symbols = 1_700_000_040_000, ("A", "B", "C")
    rows = [
        {"ticker": symbols[n % 3], "at": 1000 * (start + 7_000 * n), "price": Decimal(n % 50 + 100) / 4,
         "qty": n % 9 + 1, "tape": n}
        for n in range(300)
    ]  # fmt: skip
    settings: dict[str, Any] = {
        "kafka": {"bootstrap": kafka.bootstrap, "prefix": "avro-trades.", "partitions": 2, "session_timeout": 2.0,
                  "topics": {"trades": "md.prints"}, "registry": {"url": "http://127.0.0.1:9"}},
        "trades": {"bars": ["1m", "volume:40"], "grace": None},
        "sources": {"prints": {"topic": "md.prints"} | OF_TRADES},
        "worker": {"http": False, "snapshot_interval": 0.2, "commit_interval": 0.05, "chunk": 20},
    }  # fmt: skip
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(settings))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(send_trades(config, rows, registry.url))
    killed(file, "in_schema_wait=1")
    settings["kafka"]["registry"]["url"] = registry.url
    file.write_text(yaml.safe_dump(settings))
    for point in ("after_trades=2", "mid_open_bars=1"):
        killed(file, point)
    wanted = set()
    frame = pd.DataFrame(rows)
    frame.index = pd.to_datetime(frame["at"], unit="us", utc=True)
    for symbol, own in frame.groupby("ticker"):
        bars = own["price"].astype(float).resample("1min").ohlc().join(own["qty"].resample("1min").sum())
        closed = bars[bars.index < own.index[-1].floor("1min")]  # the last one waits for a trade
        wanted |= {(symbol, time.value // 10**6, *row) for time, *row in closed.itertuples()}
    last = builder(file)
    try:
        wait_for(lambda: set(seen(bars_of(config, "1m"))) >= wanted, 60, 0.5)
    finally:
        last.terminate()
        assert last.wait(deadline(60)) == 0
    found = seen(bars_of(config, "1m"))
    assert (len(found), set(found)) == (len(wanted), wanted)
    assert len(records(config, "trades")) == len(rows)
    log = KafkaLog(load_config(file).kafka)
    verdict = asyncio.run(verify_bars(log))
    assert verdict.ok
    assert verdict.equal > len(wanted)
    asyncio.run(archive(log, tmp_path / "archive", ("bars", "control", "trades", "trades.state")))
    assert asyncio.run(verify_bars(ParquetLog(tmp_path / "archive"))) == verdict
