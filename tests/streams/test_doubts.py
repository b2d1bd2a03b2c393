"""Doubts that are refused with the line that settles them, and what that line then reads. Files are written by hand."""

from pathlib import Path

import pandas as pd
import pytest

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars

HEADER = "symbol,time,open,high,low,close,volume\n"
DAYS = ("2024-03-07", "2024-03-08", "2024-03-11")


def minutes(begin: str, count: int = 10, zone: str = "") -> list[str]:
    return [
        f"{time:%Y-%m-%d %H:%M:%S}{zone}"
        for day in DAYS
        for time in pd.date_range(f"{day} {begin}", periods=count, freq="min")
    ]


def file(
    folder: Path, times: list[str], name: str = "a.csv", header: str = HEADER, row: str = "A,{},5,6,4,5,10"
) -> Path:
    path = folder / name
    path.write_text(header + "".join(row.format(time) + "\n" for time in times))
    return path


@pytest.mark.parametrize(
    ("begin", "zone"),
    [
        ("09:30", "America/New_York"),
        ("09:15", "Asia/Kolkata"),
        ("08:30", "America/Chicago"),
        ("04:00", "America/New_York"),
    ],
)
def test_a_market_s_own_clock(begin: str, zone: str, tmp_path: Path) -> None:
    path = file(tmp_path, minutes(begin))
    with pytest.raises(ConfigurationError, match=rf"each day begins at {begin}\); declare time: {{zone: {zone}}}"):
        read_bars(path, "1m")
    utc = read_bars(path, "1m", Source.model_validate({"time": {"zone": "UTC"}}))
    assert utc["open_time"].iloc[0] == pd.Timestamp(f"2024-03-07 {begin}", tz="UTC").value // 10**6
    local = read_bars(path, "1m", Source.model_validate({"time": {"zone": zone}}))
    assert local["open_time"].iloc[0] == pd.Timestamp(f"2024-03-07 {begin}", tz=zone).value // 10**6
    assert len(read_bars(file(tmp_path, minutes(begin, zone="+00:00")), "1m")) == 30  # it says whose clock


def test_a_market_that_is_not_on_utc(tmp_path: Path) -> None:
    path = file(tmp_path, minutes("14:30"))
    assert len(read_bars(path, "1m")) == 30
    with pytest.raises(ConfigurationError, match="the market XNYS is not on UTC; declare time"):
        read_bars(path, "1m", Source(market="XNYS"))


@pytest.mark.parametrize(
    ("begin", "zone"), [("2024-03-03 17:00", "America/New_York"), ("2024-03-04 00:00", "Europe/Athens")]
)
def test_weeks_of_a_market_without_nights(begin: str, zone: str, tmp_path: Path) -> None:
    weeks = [pd.date_range(pd.Timestamp(begin) + pd.Timedelta(weeks=i), periods=120, freq="h") for i in range(3)]
    path = file(tmp_path, [str(time) for week in weeks for time in week])
    with pytest.raises(ConfigurationError, match=f"its weeks begin as one's do.*zone: {zone}"):
        read_bars(path, "1h")


def test_ends_that_are_stamped(tmp_path: Path) -> None:
    path = file(tmp_path, minutes("14:31", zone="+00:00"))
    with pytest.raises(ConfigurationError, match=r"the first bar of A is stamped 14:31.*declare time: {stamp: end}"):
        read_bars(path, "1m")
    bars = read_bars(path, "1m", Source.model_validate({"time": {"stamp": "end"}}))
    assert bars["open_time"].iloc[0] == pd.Timestamp("2024-03-07T14:30Z").value // 10**6
    assert len(read_bars(path, "1m", Source.model_validate({"time": {"stamp": "start"}}))) == 30


def test_more_than_one_time(tmp_path: Path) -> None:
    header = HEADER.replace("time", "timestamp,start")
    path = file(tmp_path, ["2024-03-08T14:31:00Z,2024-03-08T14:30:00Z"], header=header)
    with pytest.raises(ConfigurationError, match="may have its times in timestamp or start; declare time"):
        read_bars(path, "1m")
    assert len(read_bars(path, "1m", Source.model_validate({"time": {"columns": "start"}}))) == 1


@pytest.mark.parametrize("mine", ["0,5", ""])
def test_a_volume_under_another_name(mine: str, tmp_path: Path) -> None:
    names = "volume,tick_volume" if mine else "tick_volume"
    path = file(
        tmp_path, ["2024-03-08T14:30:00Z"], "a.csv", HEADER.replace("volume", names), "A,{},5,6,4,5," + (mine or "5")
    )
    with pytest.raises(ConfigurationError, match=r"declare columns: {volume: tick_volume}, or volume: none"):
        read_bars(path, "1m")
    assert read_bars(path, "1m", Source.model_validate({"columns": {"volume": "tick_volume"}}))["volume"].tolist() == [
        5.0
    ]
    assert read_bars(path, "1m", Source.model_validate({"columns": {"volume": "none"}}))["volume"].tolist() == [0.0]


@pytest.mark.parametrize("name", ["BTCUSDT-1m-2018-04-04", "2024", "data_0", "part-00000", "AAPL_1min", "bars"])
def test_names_of_files_that_are_no_symbols(name: str, tmp_path: Path) -> None:
    path = file(tmp_path, ["2024-03-08T14:30:00Z"], f"{name}.csv", HEADER.removeprefix("symbol,"), "{},5,6,4,5,10")
    with pytest.raises(ConfigurationError, match=rf"{name} is more than a symbol's name; declare symbol"):
        read_bars(path, "1m")


@pytest.mark.parametrize("name", ["SPY", "BTC-USDT", "7203", "BRK.B", "^SPX"])
def test_names_of_files_that_are_symbols(name: str, tmp_path: Path) -> None:
    path = file(tmp_path, ["2024-03-08T14:30:00Z"], f"{name}.csv", HEADER.removeprefix("symbol,"), "{},5,6,4,5,10")
    assert read_bars(path, "1m")["symbol"].tolist() == [name]


def test_two_files_that_disagree(tmp_path: Path) -> None:
    time = ["2024-03-08T14:30:00Z"]
    file(tmp_path, time, "1.csv")
    file(tmp_path, time, "2.csv", row="A,{},5,6,4,5.5,10")
    with pytest.raises(
        ConfigurationError, match="A has two bars at 2024-03-08T14:30:00Z with other values, in two files"
    ):
        read_bars(tmp_path, "1m")
    file(tmp_path, ["2024-03-08T14:31:00Z"], "2.csv", row="A,{},500,600,400,500,10")
    with pytest.raises(ConfigurationError, match="prices of A are 100 times as large in one file as in another"):
        read_bars(tmp_path, "1m")


def test_prices_that_are_large_whole_numbers(tmp_path: Path) -> None:
    path = file(tmp_path, ["2024-03-08T14:30:00Z"], row="A,{},1000000,1002300,999100,1000700,10")
    with pytest.raises(ConfigurationError, match="its prices are whole numbers such as 1000000; declare price_scale"):
        read_bars(path, "1m")
    assert read_bars(path, "1m", Source(price_scale=1e-4))["high"].tolist() == [100.23]
    assert read_bars(path, "1m", Source(price_scale=1.0))["high"].tolist() == [1002300.0]
