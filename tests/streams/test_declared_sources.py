"""Files as a source declares them. Times and prices are written by hand, or by Python's own calendar."""

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars, refused

T = 1_709_908_200_000  # 2024-03-08T14:30:00Z


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)
    return path


def source(**settings: object) -> Source:
    return Source.model_validate(settings)


def ms(*clock: int, zone: str = "UTC") -> int:
    return round(datetime(*clock, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc,arg-type]


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """Semicolons, decimal commas, a broker's clock, the bars' ends, other names, UTF-16."""
    text = (
        "made by hand\nDATE;TIME;tic;o;High;low;CLOSE;v\n"
        "2024.03.08;16:31:00;AAA;1,5;2,25;1;2;10\n2024.03.08;16:32:00;AAA;2;2;2;2;0\n"
    )
    path = write(tmp_path / "x.csv", text, "utf-16")
    declared = source(
        columns={"symbol": "tic", "open": "o", "volume": "v"},
        time={"columns": ["DATE", "TIME"], "format": "%Y.%m.%d %H:%M:%S", "zone": "Europe/Athens", "stamp": "end"},
        csv={"delimiter": ";", "decimal": ",", "skip": 1},
        interval="1m",
    )
    bars = read_bars(path, None, declared)
    assert bars["open_time"].tolist() == [T, T + 60_000] == [ms(2024, 3, 8, 14, 30), ms(2024, 3, 8, 14, 31)]
    assert bars[["symbol", "open", "high", "low", "close", "volume"]].to_numpy().tolist() == [
        ["AAA", 1.5, 2.25, 1.0, 2.0, 10.0],
        ["AAA", 2.0, 2.0, 2.0, 2.0, 0.0],
    ]


def test_columns_by_their_numbers_and_prices_scaled_once(tmp_path: Path) -> None:
    path = write(tmp_path / "AAA.csv", f"{T},100230000000,100230000000,1,100070000000,7\n")
    declared = source(
        columns={"open": 2, "high": 3, "low": 4, "close": 5, "volume": 6},
        time={"columns": 1},
        csv={"header": False},
        price_scale=1e-9,
    )
    bar = read_bars(path, "1m", declared).iloc[0]
    assert (bar["open"], bar["close"], bar["low"]) == (100.23, 100.07, 1e-9)
    with pytest.raises(ConfigurationError, match="which is no header; declare csv"):
        read_bars(path, "1m")


def test_a_symbol_of_the_path_and_other_intervals_beside_it(tmp_path: Path) -> None:
    row = "time,open,high,low,close,volume\n2024-03-08T14:30:00Z,1,1,1,1,1\n"
    for name in ("BTC_USDT-5m.csv", "BTC_USDT-1h.csv"):
        write(tmp_path / name, row)
    with pytest.raises(ConfigurationError, match="BTC_USDT-1h is more than a symbol's name; declare symbol"):
        read_bars(tmp_path, "5m")
    use = {"from_path": r"(?P<symbol>[A-Z_]+)-(?P<interval>\w+)\.csv", "replace": {"_": "/"}}
    bars = read_bars(tmp_path, "5m", source(symbol=use))
    assert bars[["symbol", "interval"]].to_numpy().tolist() == [["BTC/USDT", "5m"]]
    assert refused(bars).reasons == {"of another interval": 1}


@pytest.mark.parametrize(("unit", "time"), [("s", T // 1000), ("ms", T), ("us", T * 1000), ("ns", T * 1_000_000)])
def test_units_are_told_apart_by_their_range(tmp_path: Path, unit: str, time: int) -> None:
    path = write(tmp_path / "A.csv", f"time,open,high,low,close,volume\n{time},1,1,1,1,1\n")
    assert read_bars(path, "1m", source(time={"unit": ["s", "ms", "us", "ns"]}))["open_time"].tolist() == [T]
    assert read_bars(path, "1m", source(time={"unit": unit}))["open_time"].tolist() == [T]
    others = [other for other in ("s", "ms", "us", "ns") if other != unit]
    with pytest.raises(ConfigurationError, match="which is no time in"):
        read_bars(path, "1m", source(time={"unit": others}))


def test_an_hour_that_comes_twice_is_told_by_the_order_or_left_out(tmp_path: Path) -> None:
    row = "2024-11-03 {}:00,1,1,1,1,1\n"
    head = "time,open,high,low,close,volume\n"
    whole = write(tmp_path / "A.csv", head + "".join(map(row.format, ("00:30", "01:30", "01:30", "02:30"))))
    zone = source(time={"zone": "America/New_York"}, repeated="all")
    at = [ms(2024, 11, 3, 4, 30) + i * 3_600_000 for i in range(4)]
    assert read_bars(whole, "1h", zone)["open_time"].tolist() == at
    once = read_bars(
        write(tmp_path / "A.csv", head + "".join(map(row.format, ("00:30", "01:30", "02:30")))), "1h", zone
    )
    assert once["open_time"].tolist() == [at[0], at[3]]
    assert refused(once).reasons == {"of an hour that the clock of America/New_York has twice or not at all": 1}


def test_rows_that_are_chosen_and_which_of_two_counts(tmp_path: Path) -> None:
    head = "symbol,venue,time,open,high,low,close,volume\n"
    path = write(tmp_path / "a.csv", head + f"A,X,{T},1,1,1,1,1\nA,Y,{T},2,2,2,2,1\n")
    with pytest.raises(ConfigurationError, match=r"two bars of A at 2024-03-08T14:30:00Z .* differ in venue; declare"):
        read_bars(path, "1m")
    assert read_bars(path, "1m", source(only={"venue": "Y"}))["open"].tolist() == [2.0]
    assert read_bars(path, "1m", source(repeated="last"))["open"].tolist() == [2.0]
    assert read_bars(path, "1m", source(repeated="first"))["open"].tolist() == [1.0]
    both = read_bars(path, "1m", source(columns={"symbol": ["symbol", "venue"]}))
    assert both["symbol"].tolist() == ["A.X", "A.Y"]


def test_adjusted_prices_keep_the_bar_whole(tmp_path: Path) -> None:
    head = "symbol,time,open,high,low,close,adj_close,volume\n"
    path = write(tmp_path / "a.csv", head + "A,2024-03-08,10,12,8,12,6,100\nA,2024-03-11,7,7,7,7,7,100\n")
    bars = read_bars(path, "1d", source(adjust="ratio"))
    assert bars[["open", "high", "low", "close"]].to_numpy().tolist() == [[5.0, 6.0, 4.0, 6.0], [7.0] * 4]
    raw = read_bars(path, "1d")
    assert raw["close"].tolist() == [12.0, 7.0]
    assert "adjust: ratio takes adj_close" in refused(raw).read_as["close"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"symbol": {"from_path": "("}}, "is no regular expression"),
        ({"symbol": {"from_path": "x"}}, "names what it finds"),
        ({"time": {"zone": "Nowhere"}}, "there is no time zone"),
        ({"columns": {"open": 0}}, "counted from 1"),
        ({"columns": {"opne": "o"}}, "columns"),
        ({"csv": {"delimiter": ",", "decimal": ","}}, "the same"),
        ({"csv": {"encoding": "klingon"}}, "no encoding"),
        ({"price_scale": 0}, "greater than 0"),
        ({"time": {"wall": True}}, "whose clock"),
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Source.model_validate(settings)


def test_a_json_document_says_where_its_rows_lie(tmp_path: Path) -> None:
    row = {"t": T, "o": 1.0, "h": 2.0, "l": 1.0, "c": 2.0, "v": 3}
    path = write(tmp_path / "x.json", json.dumps({"bars": {"AAA": [row], "BBB": [row]}}))
    names = {"symbol": "key", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    bars = read_bars(path, "1m", source(records="bars.*", columns=names, time={"columns": "t"}))
    assert bars[["symbol", "open_time", "high", "volume"]].to_numpy().tolist() == [
        ["AAA", T, 2.0, 3.0],
        ["BBB", T, 2.0, 3.0],
    ]
