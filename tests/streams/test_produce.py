"""Bars to Kafka: where they land, with which time, in which order, and how fast."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from aiokafka.partitioner import DefaultPartitioner

from alphawire.cli import main
from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from schemas.wire import Bar, decode_bar
from streams.ingest.bar_rows import BarRows, interval_name
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker, TansuBroker
from streams.kafka.clients import read_partition_to_end
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name

MakeConfig = Callable[..., Kafka]
MINUTE = 60_000
START = 1_380_897_000_000
SYMBOLS = [f"SYM{number}" for number in range(20)]


def bars(count: int, symbols: list[str] = SYMBOLS, step: int = MINUTE) -> pd.DataFrame:
    """`count` bars, the symbols in turn; the volume is the row number."""
    rows = np.arange(count)
    opened = START + rows // len(symbols) * step
    price = 100 + rows / 7
    return pd.DataFrame(
        {"symbol": [symbols[row % len(symbols)] for row in rows], "open_time": opened, "close_time": opened + step}
        | {"open": price, "high": price + 1, "low": price - 1, "close": price, "volume": rows.astype(float)}
    )


async def consumed(kafka: Kafka) -> list[tuple[int, int, bytes | None, Bar]]:
    """Partition, timestamp, key and bar of everything on the topic, partition by partition."""
    return [
        (partition, record.timestamp, record.key, decode_bar(record.value))
        for partition in range(kafka.partitions)
        async for record in read_partition_to_end(kafka, topic_name(kafka, "bars"), partition)
    ]


def there_and_back(kafka: Kafka, frame: pd.DataFrame, **options: Any) -> list[tuple[int, int, bytes | None, Bar]]:
    async def run() -> list[tuple[int, int, bytes | None, Bar]]:
        await create_topics(kafka)
        await produce_bars(kafka, frame, **options)
        return await consumed(kafka)

    return asyncio.run(run())


def test_every_bar_arrives_once_in_order_on_its_partition(broker: Broker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(broker, partitions=3)
    frame = bars(25_000)  # several batches for each partition
    found = there_and_back(kafka, frame)
    assert len(found) == len(frame)
    places = {symbol: DefaultPartitioner()(symbol.encode(), [0, 1, 2], [0, 1, 2]) for symbol in SYMBOLS}
    last = dict.fromkeys(SYMBOLS, -1.0)
    for partition, timestamp, key, bar in found:
        assert key == bar.symbol.encode()
        assert partition == places[bar.symbol]
        assert timestamp == bar.close_time
        assert bar.volume > last[bar.symbol]
        last[bar.symbol] = bar.volume
    sent = frame.set_index("volume")
    for _, _, _, bar in found[::997]:
        row = sent.loc[bar.volume]
        assert (bar.symbol, bar.interval, bar.open_time, bar.closed) == (row["symbol"], "1m", row["open_time"], True)
        assert (bar.open, bar.high, bar.low, bar.close) == (row["open"], row["high"], row["low"], row["close"])


@pytest.mark.parametrize("kind", ["crc32", "as_is"])
def test_other_partitioners(tansu: TansuBroker, kafka_config: MakeConfig, kind: str) -> None:
    import zlib

    kafka = kafka_config(tansu, partitioner=kind)
    found = there_and_back(kafka, bars(100))
    places: dict[str, set[int]] = {symbol: set() for symbol in SYMBOLS}
    for partition, _, _, bar in found:
        places[bar.symbol].add(partition)
    assert all(len(where) == 1 for where in places.values())
    if kind == "crc32":
        assert all(where == {zlib.crc32(symbol.encode()) % 4} for symbol, where in places.items())


def test_the_intervals_of_a_column_are_kept(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    found = there_and_back(kafka_config(tansu), bars(3, ["A"], 3_600_000).assign(interval="60m"))
    assert [bar.interval for *_, bar in found] == ["60m"] * 3


@pytest.mark.parametrize(
    ("length", "name"),
    [(1_000, "1s"), (60_000, "1m"), (90_000, "90s"), (3_600_000, "1h"), (86_400_000, "1d"), (172_800_000, "2d")],
)
def test_names_of_intervals(length: int, name: str) -> None:
    assert interval_name(length) == name


@pytest.mark.parametrize("length", [0, -60_000, 1_500])
def test_lengths_that_are_no_interval(length: int) -> None:
    with pytest.raises(ConfigurationError, match="no interval"):
        interval_name(length)


def test_progress_and_what_is_reported(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(tansu)
    acknowledged: list[int] = []

    async def run() -> None:
        await create_topics(kafka)
        done = await produce_bars(kafka, bars(9_000), progress=acknowledged.append)
        assert (done.bars, done.symbols) == (9_000, 20)
        assert (done.first, done.last) == (START + MINUTE, START + 450 * MINUTE)
        nothing = await produce_bars(kafka, bars(0))
        assert (nothing.bars, nothing.first, nothing.last) == (0, None, None)

    asyncio.run(run())
    assert sum(acknowledged) == 9_000
    assert len(acknowledged) > 4


@pytest.mark.parametrize(("pace", "seconds"), [({"rate": 500.0}, 99 / 500), ({"speed": 1200.0}, 4 * 60 / 1200)])
def test_no_faster_than_asked(
    tansu: TansuBroker, kafka_config: MakeConfig, pace: dict[str, float], seconds: float
) -> None:
    kafka = kafka_config(tansu)

    async def run() -> float:
        await create_topics(kafka)
        return (await produce_bars(kafka, bars(100), **pace)).seconds  # type: ignore[arg-type]

    assert asyncio.run(run()) >= seconds - 0.01


def test_wrong_use(tansu: TansuBroker, kafka_config: MakeConfig) -> None:
    kafka = kafka_config(tansu)
    with pytest.raises(ConfigurationError, match="either a rate or a speed"):
        asyncio.run(produce_bars(kafka, bars(1), rate=1, speed=1))
    with pytest.raises(ConfigurationError, match="rate -1 is not above 0"):
        asyncio.run(produce_bars(kafka, bars(1), rate=-1))
    with pytest.raises(BrokerError, match="alphawire topics create"):
        asyncio.run(produce_bars(kafka, bars(1)))


def test_a_broker_that_dies_is_told(kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.clients.DELIVERY_TIMEOUT", 0.5)
    with TansuBroker() as broker:
        kafka = kafka_config(broker)
        asyncio.run(create_topics(kafka))

        def kill(_count: int) -> None:
            broker.kill()

        with pytest.raises(BrokerError, match=r"the broker did not take records for \S+\.bars: \w+"):
            asyncio.run(produce_bars(kafka, bars(200), rate=1000, progress=kill))


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def produce(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``alphawire produce bars``; its exit code, output and errors."""

    def run(kafka: Kafka, *arguments: str | Path) -> tuple[int, str, str]:
        at = ["--bootstrap", kafka.bootstrap, "--prefix", kafka.prefix]
        command = ["alphawire", "produce", "bars", *at, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capfd.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


@pytest.fixture
def unclean(tmp_path: Path) -> Path:
    """Three bars of IBM and two of SPY, one row without values, one with high below low."""
    path = tmp_path / "unclean.csv"
    rows = [
        f"{symbol},2013-10-04T14:{minute}:00Z,10,11,9,10.5,{minute}"
        for symbol, minute in zip(["IBM", "SPY"] * 2 + ["IBM"], range(30, 35), strict=True)
    ]
    rows += ["SPY,2013-10-04T14:40:00Z,,,,,", "SPY,2013-10-04T14:41:00Z,10,8,9,10,1"]
    path.write_text("\n".join(["symbol,timestamp,open,high,low,close,volume", *rows]))
    return path


def test_a_file_to_the_topic(
    tansu: TansuBroker, kafka_config: MakeConfig, unclean: Path, produce: Callable[..., tuple[int, str, str]]
) -> None:
    kafka = kafka_config(tansu)
    asyncio.run(create_topics(kafka))
    code, out, _ = produce(kafka, unclean, "--interval", "1m", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["bars"], told["symbols"], told["topic"]) == (5, 2, topic_name(kafka, "bars"))
    assert told["refused"] == {"without values": 1, "with high below low": 1}
    assert told["examples"] == ["unclean.csv:7: without values", "unclean.csv:8: with high below low"]
    code, out, err = produce(
        kafka,
        unclean,
        "--interval",
        "1m",
        "--symbols",
        "IBM",
        "--from",
        "2013-10-04T14:32:00Z",
        "--to",
        "2013-10-04T14:34:00Z",
    )
    assert code == 0
    assert out.startswith("1 bars of 1 symbols sent")
    assert "\n2 rows are no bars and were left out: " in err
    assert len(asyncio.run(consumed(kafka))) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--interval", "1m", "--symbols", "MSFT"], "there are no bars of MSFT; there are of: IBM, SPY"),
        ([], "say it with --interval"),
        (["--interval", "1m", "--rate", "1", "--speed", "1"], "give either a rate or a speed"),
        (["--interval", "1m", "--from", "soon"], "'soon' is no time"),
        (["--interval", "1m", "--rate", "0"], "0 is not in the range"),
        (["--interval", "1m"], "create the topics with `alphawire topics create`"),
    ],
)
def test_mistakes_are_one_clear_line_and_code_2(
    tansu: TansuBroker,
    kafka_config: MakeConfig,
    unclean: Path,
    produce: Callable[..., tuple[int, str, str]],
    arguments: list[str],
    said: str,
) -> None:
    code, out, err = produce(kafka_config(tansu), unclean, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


NUMBERS = [1e-9, 0.1, 5e-324, 1.0, 2.0**53, 1e16, 1e22, 123456.789, 1.7976931348623157e308, 0.30000000000000004]


@pytest.mark.parametrize("named", [True, False])
def test_rows_are_what_msgspec_writes_of_each_bar(named: bool) -> None:
    """Any symbol, any double; the records of a partition in their order, whichever partition they are of."""
    chance = np.random.default_rng(7)
    symbols = ["A", 'say"so', "back\\slash", "ü€𝄞", "BRK.B", "x" * 64]
    drawn = chance.integers(0, 2**63 - 2**53, (3_000, 5)).astype(np.int64).view(np.float64)
    values = np.where(chance.random(drawn.shape) < 0.3, chance.choice(NUMBERS, drawn.shape), np.nan_to_num(drawn))
    frame = pd.DataFrame(values, columns=["open", "high", "low", "close", "volume"])
    frame["symbol"] = chance.choice(symbols, len(frame))
    frame["open_time"] = 60_000 * chance.integers(0, 10**8, len(frame))
    lengths = chance.choice([60_000, 3_600_000], len(frame))
    frame["close_time"] = frame["open_time"] + lengths
    names = np.where(lengths == 60_000, "1m", "1h")
    if named:
        frame["interval"] = names
    expected: dict[int, list[tuple[bytes, bytes, int]]] = {}
    for name, row in zip(names, frame.to_dict("records"), strict=True):
        fields = {key: row[key] for key in Bar.__struct_fields__ if key in row}
        bar = Bar(**fields | {"interval": str(name)})
        key = row["symbol"].encode()
        line = key, msgspec.json.encode(bar), row["close_time"]
        expected.setdefault(partition_of(key, 3, "murmur2"), []).append(line)
    rows, found = BarRows("bars", "murmur2", 3), {}
    for first in (0, 1_000, 2_500):
        part = frame.iloc[first : {0: 1_000, 1_000: 2_500}.get(first)]
        for partition, some in rows.of(part):
            found.setdefault(partition, []).extend(some.key_values())
    assert found == expected
