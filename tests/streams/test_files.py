"""Bars from files. Times are written by hand; the real data's counts are those of its README."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.configuration import Source
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import decode_bar
from streams.ingest.bar_files import read_bars, refused, select_bars

DATA = Path(__file__).parents[3] / "shared" / "data"
T = 1_380_897_000_000  # 2013-10-04T14:30:00Z
HEADER = "symbol,timestamp,open,high,low,close,volume\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", "2013-10-04T14:30:00Z"),
        ("timestamp", "2013-10-04 14:30:00"),
        ("open_time", "1380897000000"),
        ("Date", "2013-10-04T10:30:00-04:00"),
        ("TIME", "2013-10-04 14:30"),
        ("datetime", "2013-10-04T14:30:00.000Z"),
    ],
)
def test_every_way_to_write_a_time(tmp_path: Path, name: str, value: str) -> None:
    path = write(tmp_path / "a.csv", f"symbol,{name},Open,High,Low,Close,Volume\nSPY,{value},1,3,0.5,2,10\n")
    bar = read_bars(path, "1m").to_dict("records")
    assert bar == [
        {"symbol": "SPY", "interval": "1m", "open_time": T, "close_time": T + 60_000}
        | {"open": 1.0, "high": 3.0, "low": 0.5, "close": 2.0, "volume": 10.0}
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_times_of_any_unit_and_zone(tmp_path: Path, unit: str, zone: str | None) -> None:
    times = pd.DatetimeIndex(["2013-10-04 14:30", "2013-10-04 14:31"]).as_unit(unit)  # type: ignore[arg-type]
    if zone:
        times = times.tz_localize("UTC").tz_convert(zone)
    frame = pd.DataFrame({"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 5}, index=times)
    frame.to_parquet(tmp_path / "SPY.parquet")
    bars = read_bars(tmp_path / "SPY.parquet", "1m")
    assert bars["open_time"].tolist() == [T, T + 60_000]
    assert bars["symbol"].tolist() == ["SPY", "SPY"]
    assert str(bars["open_time"].dtype) == "int64"
    assert str(bars["volume"].dtype) == "float64"


def test_symbol_of_the_file_name_and_folders(tmp_path: Path) -> None:
    body = "timestamp,open,high,low,close\n2013-10-04T14:30:00Z,1,1,1,1\n"
    write(tmp_path / "IBM.csv", body)
    with gzip.open(tmp_path / "AIG.csv.gz", "wt") as file:
        file.write(body)
    write(tmp_path / "notes.txt", "no bars")
    bars = read_bars(tmp_path, "1m")
    assert bars["symbol"].tolist() == ["AIG", "IBM"]
    assert bars["volume"].tolist() == [0.0, 0.0]


def test_symbols_that_look_like_something_else(tmp_path: Path) -> None:
    rows = "".join(f"{symbol},{T},1,1,1,1,1\n" for symbol in ("NA", "TRUE", "007", "nan", "1e5"))
    bars = read_bars(write(tmp_path / "a.csv", HEADER + rows), "1m")
    assert bars["symbol"].tolist() == ["007", "1e5", "NA", "TRUE", "nan"]


def test_prices_come_out_as_they_were_written(tmp_path: Path) -> None:
    # pandas' default parser gives another last bit for values such as this
    path = write(tmp_path / "a.csv", HEADER + f"A,{T},1.3988900000000002,2,1,1.3988900000000002,1\n")
    assert read_bars(path, "1m")["open"].tolist() == [1.3988900000000002]


def test_order_is_close_time_then_symbol_and_equal_ones_stay_as_they_were(tmp_path: Path) -> None:
    rows = [("B", T + 60_000, 1), ("B", T, 2), ("A", T + 60_000, 3), ("B", T, 4), ("A", T, 5)]
    path = write(tmp_path / "a.csv", HEADER + "".join(f"{s},{t},1,1,1,1,{v}\n" for s, t, v in rows))
    bars = read_bars(path, "1m", Source(repeated="all"))
    assert bars["volume"].tolist() == [5, 2, 4, 3, 1]


BAD = {
    "SPY,{t},,2,1,1,1": "without values",
    "SPY,{t},NaN,NaN,NaN,NaN,NaN": "without values",
    "SPY,{t},abc,2,1,1,1": "without values",
    "SPY,{t},1,inf,1,1,1": "with an infinite value",
    "SPY,{t},0,2,0,1,1": "with a price not above 0",
    "SPY,{t},1,1,2,1,1": "with high below low",
    "SPY,{t},1,2,1,2.5,1": "with open or close outside low to high",
    "SPY,{t},1,2,1,1,-1": "with volume below 0",
    "SPY,,1,2,1,1,1": "without a time",
    ",{t},1,2,1,1,1": "without a symbol",
    "BRK B,{t},1,2,1,1,1": "whose symbol has white space ('BRK B': write 'BRK.B', say)",
    "BRK\u00a0B,{t},1,2,1,1,1": "whose symbol has white space ('BRK\\xa0B': write 'BRK.B', say)",
    "A\u200bB,{t},1,2,1,1,1": "whose symbol has an invisible character ('A\\u200bB': remove U+200B)",
    f"{'A' * 65},{{t}},1,2,1,1,1": f"whose symbol is too long ('{'A' * 20}': its 65 characters may be 64 at most)",
}


def test_a_file_named_with_a_space_and_many_such_symbols(tmp_path: Path) -> None:
    """The reason names one of them: a file may have thousands."""
    named = read_bars(write(tmp_path / "BF B.csv", f"time,open,high,low,close\n{T},1,2,1,1\n"), "1m")
    assert refused(named).reasons == {"whose symbol has white space ('BF B': write 'BF.B', say)": 1}
    rows = "".join(f"{name},{T},1,2,1,1,1\n" for name in ("A B", "C D", "E F", "", "IBM"))
    assert refused(read_bars(write(tmp_path / "a.csv", HEADER + rows), "1m")).reasons == {
        "whose symbol has white space ('A B': write 'A.B', say)": 3,
        "without a symbol": 1,
    }


@pytest.mark.parametrize("row", BAD)
def test_rows_that_are_no_bars_are_counted(tmp_path: Path, row: str) -> None:
    good = f"IBM,{T},1,2,1,1,1\n"
    bars = read_bars(write(tmp_path / "a.csv", HEADER + good + row.format(t=T) + "\n" + good), "1m")
    assert len(bars) == 2
    assert refused(bars).reasons == {BAD[row]: 1}
    assert refused(bars).examples == [f"a.csv:3: {BAD[row]}"]
    assert refused(bars).rows == 1


def test_what_is_kept_is_what_the_wire_accepts(tmp_path: Path) -> None:
    """Each combination of values around the limits is a row: kept if and only if the topic's decoder takes the bar."""
    limits = (-1.0, 0.0, 1.0, 2.0)
    rows = [*itertools.product(limits, repeat=5)]
    path = write(tmp_path / "a.csv", HEADER + "".join(f"A,{T},{','.join(map(str, row))}\n" for row in rows))
    kept = read_bars(path, "1m", Source(repeated="all"))[["open", "high", "low", "close", "volume"]]
    assert [*kept.itertuples(index=False, name=None)] == [row for row in rows if is_taken(row)]


def is_taken(values: tuple[float, ...]) -> bool:
    numbers = zip(("open", "high", "low", "close", "volume"), values, strict=True)
    record = {"symbol": "A", "interval": "1m", "open_time": T, "close_time": T + 60_000} | dict(numbers)
    try:
        decode_bar(json.dumps(record).encode())
    except BadRecord:
        return False
    return True


def test_interval_column(tmp_path: Path) -> None:
    header = "symbol,interval,timestamp,open,high,low,close,volume\n"
    path = write(tmp_path / "a.csv", header + f"A,1m,{T},1,1,1,1,1\nA,1h,{T},1,1,1,1,1\n")
    assert read_bars(path)["close_time"].tolist() == [T + 60_000, T + 3_600_000]
    only = read_bars(path, "1h")
    assert only["interval"].tolist() == ["1h"]
    assert refused(only).reasons == {"of another interval": 1}


def test_bars_written_and_read_again_are_equal(tmp_path: Path) -> None:
    bars = read_bars(write(tmp_path / "a.csv", HEADER + f"A,{T},1.1,1.2,1.05,1.15,7\nA,,1,1,1,1,1\n"), "1m")
    bars.to_parquet(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(read_bars(tmp_path / "b.parquet"), bars, check_dtype=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timestamp,open,high,low\n", "has no column close; it has timestamp, open, high, low"),
        ("open,high,low,close\n", "has no column a time"),
        (
            HEADER + "A,1380897000,1,1,1,1,1\n",
            "could be 1970-01-16 23:34:57 in mill.* 2013-10-04 14:30:00 in sec",
        ),
        (HEADER + "A,1380897000000000,1,1,1,1,1\n", "which is no time in milliseconds"),
        (HEADER + "A,yesterday,1,1,1,1,1\n", "holds 'yesterday', which is no time"),
        ("", "cannot be read"),
        ("Close,close,open,high,low,time\n", "has the column close twice"),
    ],
)
def test_files_that_cannot_be_understood(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error:
        read_bars(write(tmp_path / "a.csv", text), "1m")
    assert "\n" not in str(error.value)


def test_wrong_use(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + f"A,{T},1,1,1,1,1\n")
    with pytest.raises(ConfigurationError, match="--interval 1m"):
        read_bars(path)
    with pytest.raises(ConfigurationError, match="is not an interval"):
        read_bars(path, "1minute")
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_bars(tmp_path / "b.csv", "1m")
    with pytest.raises(ConfigurationError, match="no bars there"):
        read_bars(tmp_path / "b.docx", "1m")
    write(tmp_path / "broken.parquet", "no parquet")
    with pytest.raises(ConfigurationError, match=r"broken\.parquet: cannot be read"):
        read_bars(tmp_path / "broken.parquet", "1m")


def test_a_file_without_rows(tmp_path: Path) -> None:
    bars = read_bars(write(tmp_path / "a.csv", HEADER), "1m")
    assert len(bars) == 0
    assert str(bars["close_time"].dtype) == "int64"


def test_select(tmp_path: Path) -> None:
    rows = "".join(f"{symbol},{T + i * 60_000},1,1,1,1,{i}\n" for i in range(5) for symbol in "AB")
    bars = read_bars(write(tmp_path / "a.csv", HEADER + rows), "1m")
    some = select_bars(bars, ["B"], T + 120_000, T + 300_000)  # the end does not belong to it
    assert some["close_time"].tolist() == [T + 120_000, T + 180_000, T + 240_000]
    assert set(some["symbol"]) == {"B"}
    with pytest.raises(ConfigurationError, match="no bars of C; there are of: A, B"):
        select_bars(bars, ["C"])


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared market data is not beside this checkout")
@pytest.mark.parametrize(
    ("name", "interval", "bars", "left"),
    [("equities_daily", "1d", 108_589, {"without values": 3}), ("equities_minute", "1m", 21_258, {})],
)
def test_real_data(name: str, interval: str, bars: int, left: dict[str, int]) -> None:
    frame = read_bars(DATA / f"{name}.parquet", interval)
    assert len(frame) == bars
    assert refused(frame).reasons == left
    assert frame["close_time"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ([7203, 600519], ["600519", "7203"]),
        (np.array([7203, 5], np.uint16), ["5", "7203"]),
        (pd.array([7203, None], "Int64"), ["7203"]),
        ([7203.0, np.nan], ["7203"]),
        ([b"AAPL", b" C "], ["AAPL", "C"]),
        (pd.Categorical(["AAPL", "C"]), ["AAPL", "C"]),
        (pd.Categorical([7203, 5]), ["5", "7203"]),
        ([7203.5, 5.0], ["5"]),
        ([True, False], []),
    ],
)
def test_symbols_of_other_types_in_parquet(written: Any, names: list[str], tmp_path: Path) -> None:
    """Whole numbers are symbols in Tokyo, Hong Kong and Shanghai; what is none is left out and told."""
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 1.0), index=range(2)).assign(
        symbol=written, time=[T, T]
    )
    frame.to_parquet(tmp_path / "bars.parquet")
    bars = read_bars(tmp_path / "bars.parquet", "1m")
    assert sorted(set(bars["symbol"])) == names
    assert refused(bars).reasons == ({"without a symbol": 2 - len(names)} if len(names) < 2 else {})
