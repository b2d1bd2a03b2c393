"""``alphawire bars --source FILE``: the bars of pandas, and those of the code that runs live, from files of trades."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from plugins.fold.trades.builder import BarBuilder
from plugins.fold.trades.kinds import BarKind
from schemas.configuration import Config, Kafka
from schemas.wire import encode
from schemas.wire.trades import Tick, Trade
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.support.live import records

START, MINUTE = 1_700_000_000_000 // 60_000 * 60_000, 60_000


def random_trades(count: int = 4_000, seed: int = 2) -> pd.DataFrame:
    chance, time, rows = random.Random(seed), START, []
    for number in range(count):
        time += chance.choice([0, 5, 900, 14_000])
        price, size = round(50 + chance.random(), 2), chance.randrange(1, 500) / 100
        rows.append((chance.choice("XYZ"), time, price, size, str(number), chance.choice(["buy", "sell", "unknown"])))
    return pd.DataFrame(rows, columns=["symbol", "time", "price", "size", "id", "side"])


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def command(*words: str, kinds: list[str] = ["1m", "volume:50"], code: int = 0, **sections: Any) -> Any:  # noqa: B006
        file = tmp_path / "alphawire.yaml"
        sections["trades"] = {"bars": kinds} | sections.get("trades", {})
        file.write_text(yaml.safe_dump(sections))
        done = CliRunner().invoke(cli, ["bars", *words, "-c", str(file)], standalone_mode=False)
        assert (done.return_value or done.exit_code) == code, done.output
        return done

    return command


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_minutes_are_those_of_pandas(run: Callable[..., Any], tmp_path: Path) -> None:
    trades = random_trades()
    trades.to_parquet(tmp_path / "trades.parquet")
    run("--source", str(tmp_path / "trades.parquet"), "--out", str(tmp_path / "bars.jsonl"), kinds=["1m"])
    frame = trades.set_index(pd.to_datetime(trades["time"], unit="ms", utc=True))
    wanted = set()
    for symbol, own in frame.groupby("symbol"):
        bars = own["price"].resample("1min").ohlc().join(own["size"].resample("1min").sum()).dropna()
        for time, row in bars.iterrows():
            if time.value // 10**6 + MINUTE <= trades["time"].max():  # what ends later may still get trades
                wanted.add((symbol, time.value // 10**6, *row[:4], round(row["size"], 6)))
    found = lines(tmp_path / "bars.jsonl")
    names = ("symbol", "open_time", "open", "high", "low", "close")
    assert {(*(bar[name] for name in names), round(bar["volume"], 6)) for bar in found} == wanted
    assert len(found) == len(wanted) > 100


@pytest.mark.parametrize("kind", ["1m", "tick:7", "volume:50", "dollar:3000", "imbalance:20"])
def test_bars_are_those_of_the_log_to_the_byte(kind: str, run: Callable[..., Any], tmp_path: Path) -> None:
    """The log: these trades, and at its end the ticks of symbols that are silent."""
    trades = random_trades(1_500)
    trades.to_csv(tmp_path / "trades.csv", index=False)
    run("--source", str(tmp_path / "trades.csv"), "--out", str(tmp_path / "bars.jsonl"), kinds=[kind])
    builder, made = BarBuilder(BarKind.of(kind)), []
    log = [Trade(*row) for row in trades.itertuples(index=False)]
    end = trades["time"].max() // MINUTE * MINUTE
    for offset, record in enumerate([*log, *(Tick(symbol, int(end)) for symbol in "XYZ")]):
        made += [one.bar for one in builder.feed(record, offset)]
    made.sort(key=lambda bar: (bar.close_time, bar.symbol))
    assert (tmp_path / "bars.jsonl").read_bytes().splitlines() == [encode(bar) for bar in made]
    assert len(made) > 20


def test_to_parquet_and_to_the_topic(run: Callable[..., Any], tmp_path: Path, tansu: Broker) -> None:
    random_trades(800).to_parquet(tmp_path / "t.parquet")
    kafka = {"bootstrap": tansu.bootstrap, "prefix": "files-of-trades.", "partitions": 2}
    asyncio.run(create_topics(Kafka(**kafka)))
    source = ("--source", str(tmp_path / "t.parquet"))
    run(*source, "--out", str(tmp_path / "b.jsonl"))
    run(*source, "--out", str(tmp_path / "b.parquet"))
    run(*source, "--produce", kafka=kafka)
    sent = sorted(record.value for record in records(Config(kafka=kafka), "bars"))
    assert sent == sorted((tmp_path / "b.jsonl").read_bytes().splitlines())
    frame = pd.read_parquet(tmp_path / "b.parquet")
    assert frame.to_dict("records") == lines_without_closed(tmp_path / "b.jsonl")


def lines_without_closed(file: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "closed"} for line in lines(file)]


def test_until_closes_the_last_bars(run: Callable[..., Any], tmp_path: Path) -> None:
    rows = [("A", START, 1.0, 2.0), ("A", START + 1, 3.0, 2.0)]
    pd.DataFrame(rows, columns=["symbol", "time", "price", "size"]).to_csv(tmp_path / "t.csv", index=False)
    words = ("--source", str(tmp_path / "t.csv"), "--out", str(tmp_path / "b.jsonl"), "--json")
    report = json.loads(run(*words, kinds=["1m"], code=1).stdout)
    assert (report["bars"], report["still_open"]) == (0, 1)
    at = pd.Timestamp(START + MINUTE, unit="ms").isoformat() + "Z"
    report = json.loads(run(*words, "--until", at, kinds=["1m"]).stdout)
    assert (report["bars"], report["still_open"]) == (1, 0)


def test_rows_that_are_no_trades_are_counted(run: Callable[..., Any], tmp_path: Path) -> None:
    far = 4_000_000_000_000
    rows: list[tuple[Any, ...]] = [
        ("A", START, 1.0, 2.0, "a", "buy", "trade"),
        ("A", START + 1, 1.0, 0.0, "b", "buy", "trade"),
        ("A", START + 2, 1.0, -3.0, "c", "sell", "trade"),
        ("A", START + 3, -1.0, 3.0, "d", "sell", "trade"),
        ("A", START + 4, 1.0, 3.0, "e", "both", "trade"),
        ("A", far, 1.0, 3.0, "f", "buy", "trade"),
        ("A", START, 1.0, 2.0, "a", "buy", "trade"),  # a repeat
        ("A", START, 7.0, 2.0, "a", "buy", "trade"),  # another producer's, or a mistake
        ("A", START + 5, 2.0, 2.0, "g", "buy", "trade"),
        ("A", START + 6, 3.0, 2.0, "g", "", "cancel"),
        ("A", START + 7, 3.0, 2.0, "", "", "cancel"),
        ("A", START + MINUTE, 9.0, 2.0, "h", "buy", "trade"),
        ("A", START + 8, 5.0, 2.0, "i", "buy", "trade"),
    ]
    columns = ["symbol", "time", "price", "size", "id", "side", "action"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "b.jsonl"
    report = json.loads(run("--source", str(tmp_path / "t.csv"), "--out", str(out), "--json", kinds=["1m"]).stdout)
    assert report["repeats"] == 1
    assert sum(report["refused"].values()) == 8
    assert report["refused"] == {
        "with a size not above 0 and below 1e+100": 2, "with a price not above 0 and below 1e+100": 1,
        "with a side that is neither buy, sell nor unknown": 1, "that cancel or correct without an id": 1,
        "conflict for 1m": 1, "late for 1m": 1, "future": 1,
    }  # fmt: skip
    (bar,) = lines(out)
    assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"]) == (1.0, 1.0, 1.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"time": "2024-01-02 10:00:00"}, "names no zone"),
        ({"symbol": None}, "no column symbol"),
        ({"size": None}, "no column size"),
        ({"qty": 5.0}, "size may be size or qty"),
        ({"time": None}, "no column time"),
    ],
)
def test_doubts_are_refused_with_the_line_that_settles_them(
    columns: dict[str, Any], word: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    row = {"symbol": "A", "time": START, "price": 1.0, "size": 1.0} | columns
    frame = pd.DataFrame([{name: value for name, value in row.items() if value is not None}] * 3)
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = run("--source", str(tmp_path / "t.csv"), "--out", str(tmp_path / "b.jsonl"), code=1)
    assert word in str(done.output) + str(done.exception)


def test_a_file_without_rows_holds_no_trade(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("symbol,time,price,size\n")
    done = run("--source", str(tmp_path / "t.csv"), "--out", str(tmp_path / "b.jsonl"), code=1)
    assert "holds no trade that can be used" in str(done.exception)


def test_a_declared_source_is_read(run: Callable[..., Any], tmp_path: Path) -> None:
    frame = random_trades(500)
    raw = pd.DataFrame(
        {"ts": frame["time"] * 1_000_000, "px": frame["price"], "amt": frame["size"], "who": frame["symbol"]}
    )
    raw.to_parquet(tmp_path / "raw.parquet")
    frame[["symbol", "time", "price", "size"]].to_parquet(tmp_path / "plain.parquet")
    desk = {
        "path": str(tmp_path / "raw.parquet"), "columns": {"price": "px", "size": "amt", "symbol": "who"},
        "time": {"columns": "ts", "unit": "ns"},
    }  # fmt: skip
    run("--source", "desk", "--out", str(tmp_path / "a.jsonl"), sources={"desk": desk})
    run("--source", str(tmp_path / "plain.parquet"), "--out", str(tmp_path / "b.jsonl"))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert len(lines(tmp_path / "a.jsonl")) > 50


def test_sessions_and_flat_bars_of_a_file_and_on_the_topic(
    run: Callable[..., Any], tmp_path: Path, tansu: Broker
) -> None:
    """Friday 2024-11-29, on which New York closes at 13:00, and the Monday after."""
    times = ["11-29T08:00", "11-29T12:57", "11-29T12:59", "11-29T13:00", "12-02T09:31", "12-02T09:33"]
    stamps = [pd.Timestamp(f"2024-{time}", tz="America/New_York").timestamp() * 1000 for time in times]
    rows = [("A", int(stamp), 1.0 + number, 1.0) for number, stamp in enumerate(stamps)]
    pd.DataFrame(rows, columns=["symbol", "time", "price", "size"]).to_parquet(tmp_path / "t.parquet")
    kafka = {"bootstrap": tansu.bootstrap, "prefix": "sessions-of-trades.", "partitions": 1}
    asyncio.run(create_topics(Kafka(**kafka)))
    settings: dict[str, Any] = {"kinds": ["1m"], "trades": {"session": "XNYS", "flat": 3}, "kafka": kafka}
    words = ("--source", str(tmp_path / "t.parquet"))
    report = json.loads(run(*words, "--out", str(tmp_path / "b.jsonl"), "--json", **settings).stdout)
    assert (report["bars"], report["outside_sessions"], report["still_open"]) == (6, 2, 1)
    found = [(bar["open"], bar.get("flat", False)) for bar in lines(tmp_path / "b.jsonl")]
    assert found == [(2.0, False), (2.0, True), (3.0, False), (3.0, True), (5.0, False), (5.0, True)]
    run(*words, "--produce", "--out", str(tmp_path / "b.parquet"), **settings)
    sent = [record.value for record in records(Config(kafka=kafka), "bars")]
    assert sent == (tmp_path / "b.jsonl").read_bytes().splitlines()
    assert pd.read_parquet(tmp_path / "b.parquet")["flat"].tolist() == [flat for _, flat in found]
