"""Bars older than 1970: files have them, and nothing takes their times for none; a topic cannot hold them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay
from backtest.training.samples import make_samples
from plugins.fold import gate
from schemas.configuration import Config
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import decode_bar, decode_signal, encode
from streams.ingest.bar_files import read_bars
from streams.ingest.produce import within_topics

DAY = 86_400_000
HEADER = "symbol,timestamp,open,high,low,close,volume\n"


def config(start: str = "earliest") -> Config:
    strategy = {
        "interval": "1d", "features": [{"statistical.momentum": {"window": 1}}], "prediction": "momentum",
        "signal": {"key": "signal.threshold", "buy_threshold": 0.0, "sell_threshold": 0.0}, "start": start,
        "training": {"horizon_bars": 2}, "execution": {"calendar": "24/7"},
    }  # fmt: skip
    return Config.model_validate({"strategies": {"s": strategy}})


def file(folder: Path, days: pd.DatetimeIndex, as_ms: bool = False) -> Path:
    """Daily bars; the close rises and falls by turns."""
    times = days.as_unit("ms").asi8.tolist() if as_ms else [day.isoformat() for day in days]
    path = folder / "days.csv"
    path.write_text(HEADER + "".join(f"A,{time},10,12,9,{10 + i % 2},100\n" for i, time in enumerate(times)))
    return path


NEW_YEAR = pd.date_range("1969-12-29", periods=6, tz="UTC")


@pytest.mark.parametrize("start", ["earliest", "now"])
def test_every_bar_around_new_year_1970_has_its_signal(tmp_path: Path, start: str) -> None:
    done = replay(config(start), "s", str(file(tmp_path, NEW_YEAR)), None, None)
    closes = [int(day.timestamp() * 1000) + DAY for day in NEW_YEAR]
    assert [signal.content.time for signal in done.raw] == closes
    assert closes[0] == -2 * DAY
    assert [signal.content.signal for signal in done.raw] == ["HOLD", "BUY", "SELL", "BUY", "SELL", "BUY"]
    assert [signal.content.gap for signal in done.raw] == [None, 0, 0, 0, 0, 0]
    assert [decode_signal(encode(signal)).content.time for signal in done.raw] == closes


def test_from_and_to_may_lie_before_1970(tmp_path: Path) -> None:
    start, end = (int(pd.Timestamp(day, tz="UTC").timestamp() * 1000) for day in ("1969-12-31", "1970-01-02"))
    done = replay(config(), "s", str(file(tmp_path, NEW_YEAR)), start, end)
    assert [signal.content.time for signal in done.raw] == [-DAY, 0]


def test_a_backtest_trades_in_the_sixties(tmp_path: Path) -> None:
    days = pd.date_range("1962-01-02", "1971-12-31", freq="D", tz="UTC")
    done = replay(config(), "s", str(file(tmp_path, days)), None, None)
    assert len(done.raw) == len(days)
    run_backtest(config().strategy("s"), done.bars, done.signals, ["backtrader"], tmp_path / "out", name="s")
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert summary["first_open"].startswith("1962-01-02")
    trades = pd.read_parquet(tmp_path / "out" / "backtrader" / "fills.parquet")
    assert str(trades.iloc[0]["time"]).startswith("1962-01-0")


def test_training_has_rows_of_before_and_knows_their_targets(tmp_path: Path) -> None:
    bars = read_bars(file(tmp_path, pd.date_range("1969-10-01", periods=180, tz="UTC")), "1d")
    samples = make_samples("s", config().strategy("s"), bars)
    assert samples.dropped == {"warming_up": 1, "without_target": 3}
    assert int((samples.times < 0).sum()) == 90  # closes of 3 October to 31 December 1969
    assert (samples.known.to_numpy() > samples.times).all()


@pytest.mark.parametrize(
    ("first", "last"), [("1969-12-29", "1974-01-05"), ("1950-01-02", "1959-12-31"), ("1960-01-01", "1985-01-01")]
)
def test_milliseconds_around_1970_are_as_iso_dates(tmp_path: Path, first: str, last: str) -> None:
    days = pd.date_range(first, last, freq="D", tz="UTC")
    as_dates = read_bars(file(tmp_path, days), "1d")
    pd.testing.assert_frame_equal(read_bars(file(tmp_path, days, as_ms=True), "1d"), as_dates)


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 1_710_000_000_000, 1_710_000_060_000],  # a 0 that stands for nothing
        [1_710_000_000, 1_710_000_060],  # seconds
        [31_536_000_000, 31_622_400_000],  # January 1971, or the year 2969 in seconds
        [-70_000_000_000_000, 1_710_000_000_000],
    ],
)
def test_numbers_that_could_be_something_else_are_refused(tmp_path: Path, numbers: list[int]) -> None:
    path = tmp_path / "days.csv"
    path.write_text(HEADER + "".join(f"A,{number},10,12,9,11,100\n" for number in numbers))
    with pytest.raises(ConfigurationError, match=r"which (is no time|could be .*) in milliseconds since the epoch"):
        read_bars(path, "1m")


def test_a_file_of_1971_alone_says_both_readings(tmp_path: Path) -> None:
    """31,536,000,000 ms are 365 days; as seconds they are in the year 2969 (Python's datetime says which day)."""
    path = tmp_path / "days.csv"
    path.write_text(HEADER + "A,31536000000,10,12,9,11,100\nA,31622400000,10,12,9,11,100\n")
    seconds = datetime.fromtimestamp(31_536_000_000, UTC)
    with pytest.raises(ConfigurationError) as error:
        read_bars(path, "1d")
    assert "could be 1971-01-01 00:00:00 in milliseconds" in str(error.value)
    assert f"{seconds:%Y-%m-%d %H:%M:%S} in seconds" in str(error.value)


def test_a_topic_holds_none_of_them(tmp_path: Path) -> None:
    kept, left = within_topics(read_bars(file(tmp_path, NEW_YEAR), "1d"))
    assert kept["open_time"].tolist() == [0, DAY, 2 * DAY]
    assert left.reasons == {"older than 1970 (a topic cannot hold them; a file can)": 3}
    assert left.examples[0] == "A 1d opens at 1969-12-29T00:00:00+00:00"
    record = {"symbol": "A", "interval": "1d", "open_time": -DAY, "close_time": 0, "open": 1, "high": 1, "low": 1}
    with pytest.raises(BadRecord, match="open_time"):
        decode_bar(json.dumps(record | {"close": 1, "volume": 1}).encode())


def test_news_counts_since_the_bar_before_also_before_1970() -> None:
    last = np.full(1, gate.NEVER, np.int64)
    times = np.array([-5 * DAY, -2 * DAY, DAY], np.int64)
    assert gate.begins(last, np.zeros(3, np.int64), times, DAY).tolist() == [-6 * DAY, -5 * DAY, -2 * DAY]
