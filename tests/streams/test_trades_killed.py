"""Builders of bars killed for real, at named points: the bars are those of pandas, once each on Apache Kafka."""

import asyncio
import random
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from backtest.verify.trade_bars import verify_bars
from schemas.configuration import Config, load_config
from schemas.wire import decode_bar, encode
from schemas.wire.trades import Tick, Trade, decode_trade
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline
from tests.support.forked import Forked
from tests.support.live import records, wait_for

POINTS = (
    "in_open_bars_load=1", "after_trades=2", "before_signals=2", "after_signals=2", "after_marker=2", "mid_open_bars=1",
    "before_ticks=1", "after_fetch=1",
)  # fmt: skip
TRANSACTIONAL = ("after_fencing=1", "before_commit=2", "after_commit=2")
FLAT = 2
START, MINUTE = 1_700_000_000_000 // 60_000 * 60_000, 60_000
SYMBOLS = ("AAPL", "MSFT", "BTC-USD", "SPY", "ÄÖ", "X")


def trades(count: int, seed: int = 5) -> list[Trade]:
    chance, time = random.Random(seed), START
    made = []
    for number in range(count):
        time += chance.choice([0, 300, 2_000, 7_000])
        price = round(100 + 10 * chance.random(), 2)
        made.append(Trade(chance.choice(SYMBOLS), time, price, chance.randrange(1, 900) / 100, str(number)))
    return made


def configured(folder: Path, broker: Broker) -> tuple[Path, Config]:
    kafka = {"bootstrap": broker.bootstrap, "prefix": f"{folder.name}.", "session_timeout": 2.0, "partitions": 2}
    made = {"bars": ["1m", "volume:50"], "grace": 0.5, "flat": FLAT}
    worker = {"http": False, "snapshot_interval": 0.3, "commit_interval": 0.05, "chunk": 50}
    file = folder / "killed.yaml"
    file.write_text(yaml.safe_dump({"kafka": kafka, "trades": made, "worker": worker}))
    return file, load_config(file)


async def send(config: Config, some: list[Trade]) -> None:
    async with open_producer(config.kafka) as producer:
        for trade in some:
            key = trade.symbol.encode()
            partition = partition_of(key, config.kafka.partitions, "murmur2")
            topic = topic_name(config.kafka, "trades")
            await producer.send(topic, encode(trade), key, partition=partition, timestamp_ms=trade.time)
        await producer.flush()


def start(file: Path, failpoints: str = "") -> Forked:
    return Forked(
        "bars", "-c", str(file), log=file.with_suffix(".log"), environment={"ALPHAWIRE_FAILPOINTS": failpoints}
    )


def killed(file: Path, point: str) -> None:
    process = start(file, point)
    try:
        assert process.wait(deadline(60)) == -9, file.with_suffix(".log").read_text()[-3000:]
    finally:
        process.kill()


def bars_of(config: Config, interval: str) -> list[Any]:
    bars = [decode_bar(record.value) for record in records(config, "bars")]
    return [bar for bar in bars if bar.interval == interval]


def by_pandas(some: list[Trade]) -> set[tuple]:
    frame = pd.DataFrame({name: [getattr(t, name) for t in some] for name in ("symbol", "price", "size")})
    frame.index = pd.to_datetime([trade.time for trade in some], unit="ms", utc=True)
    wanted = set()
    for symbol, own in frame.groupby("symbol"):
        bars = own.price.resample("1min").ohlc().join(own["size"].resample("1min").sum()).dropna()
        for time, row in bars.iterrows():
            wanted.add((symbol, time.value // 10**6, *row[:4], round(row["size"], 6)))
    return wanted


def flat_ones(wanted: set[tuple]) -> set[tuple]:
    """After each of these bars up to `FLAT` minutes without trades, at its close."""
    there = {bar[:2] for bar in wanted}
    made = set()
    for symbol, opened, *_, close, _ in wanted:
        for time in range(opened + MINUTE, opened + (FLAT + 1) * MINUTE, MINUTE):
            if (symbol, time) in there:
                break
            made.add((symbol, time, close, close, close, close, 0.0))
    return made


def minutes(config: Config) -> set[tuple]:
    traded = by_pandas(kept(config))
    return traded | flat_ones(traded)


def seen(bars: list[Any]) -> list[tuple]:
    return [(b.symbol, b.open_time, b.open, b.high, b.low, b.close, round(b.volume, 6)) for b in bars]


@pytest.mark.slow
def test_killed_at_every_named_point(broker: Broker, tmp_path: Path) -> None:
    file, config = configured(tmp_path, broker)
    exactly_once = not broker.__class__.__name__.startswith("Tansu")
    points = (*POINTS, *(TRANSACTIONAL if exactly_once else ()))
    sent = trades(3_000)
    asyncio.run(create_topics(config.kafka))
    share = len(sent) // (len(points) + 1)
    for number, point in enumerate(points):
        # nothing but the last piece may be closed by the clock: each symbol has a trade that is newer on the log
        asyncio.run(send(config, sent[number * share : (number + 1) * share]))
        killed(file, point)
    asyncio.run(send(config, sent[len(points) * share :]))
    last = start(file)
    try:
        wait_for(lambda: set(seen(bars_of(config, "1m"))) >= minutes(config), 60, 0.5)
    finally:
        last.terminate()
        assert last.wait(deadline(60)) == 0
    found = seen(bars_of(config, "1m"))
    assert set(found) == minutes(config)
    assert {(bar.volume == 0.0) == (bar.flat is True) for bar in bars_of(config, "1m")} == {True}
    by_volume = seen(bars_of(config, "volume:50"))
    assert set(by_volume) == by_a_plain_loop(config)
    check_verdict(config, tmp_path)
    if exactly_once:
        assert len(found) == len(set(found))
        assert len(by_volume) == len(set(by_volume))


def by_a_plain_loop(config: Config) -> set[tuple]:
    """Volume bars of 50, from all trades on the log in its order."""
    bars, rows, closed = set(), defaultdict(list), dict.fromkeys(SYMBOLS, 0)
    for record in records(config, "trades"):
        trade = decode_trade(record.value)
        if isinstance(trade, Tick):
            continue
        mine = rows[trade.symbol]
        mine.append(trade)
        volume = sum(Fraction(row.size) for row in mine)
        if volume >= 50:
            prices = [row.price for row in mine]
            opened = max(mine[0].time, closed[trade.symbol])
            closed[trade.symbol] = max(trade.time, opened + 1)
            bars.add((trade.symbol, opened, prices[0], max(prices), min(prices), prices[-1], round(float(volume), 6)))
            mine.clear()
    return bars


def kept(config: Config) -> list[Trade]:
    """The trades on the log without those that were late, by the letters."""
    late = {
        (int(dict(r.headers)["partition"]), int(dict(r.headers)["offset"])) for r in records(config, "dead-letters")
    }
    log = [(record, decode_trade(record.value)) for record in records(config, "trades")]
    return [t for r, t in log if not isinstance(t, Tick) and (r.partition, r.offset) not in late]


def check_verdict(config: Config, folder: Path) -> None:
    """The bars verify on the broker and in an archive; and one that is another, and one too many, are seen."""
    log = KafkaLog(config.kafka)
    verdict = asyncio.run(verify_bars(log))
    assert verdict.ok, verdict.differences[:3]
    assert verdict.equal == verdict.bars > 500
    asyncio.run(archive(log, folder / "archive", ("bars", "control", "trades", "trades.state")))
    archived = ParquetLog(folder / "archive")
    assert asyncio.run(verify_bars(archived)) == verdict

    class Tampered(ParquetLog):
        """The first bar of each partition has another high."""

        async def batches(self, topic: str, *rest: Any, **named: Any) -> Any:
            first = topic == "bars"
            async for batch in super().batches(topic, *rest, **named):
                value = batch[0].value.replace(b'"high":1', b'"high":2', first)
                yield [batch[0]._replace(value=value), *batch[1:]] if first else batch
                first = False

    found = asyncio.run(verify_bars(Tampered(folder / "archive")))
    assert [(one.kind, one.field) for one in found.differences] == [("different", "high")] * config.kafka.partitions
    assert not found.ok
