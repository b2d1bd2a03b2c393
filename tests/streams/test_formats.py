"""Real files of real tools (`tests/data/formats`), each held against the bars that it was written from: by a preset, by
at most six declared lines, or as it stands; and nothing of them is read otherwise without a declaration.
"""

# ruff: noqa: E501 - a table, a line a tool
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars, refused

FORMATS = Path(__file__).parents[1] / "data" / "formats"
VALUES = ["open", "high", "low", "close", "volume"]
ATHENS, NEW_YORK = {"zone": "Europe/Athens"}, {"zone": "America/New_York"}
SYMBOLS = sorted(path.stem[3:] for path in (FORMATS / "long_other_symbol").glob("by_*.csv"))


def cases(folder: str, names: str, truth: str, interval: str = "1m", /, **settings: Any) -> list[Any]:
    return [
        pytest.param(f"{folder}/{name}", interval, settings, f"{folder}/{truth}.csv", id=f"{folder}/{name}")
        for name in names.split()
    ]


BY_PRESET = [
    *cases("nautilus", "catalog catalog/data/bar flat dict dict_ts", "truth", preset="nautilus"),
    *cases("databento", "csv_default csv_raw csv_raw_px pq_default pq_fixed pq_raw_ts raw_renamed.csv", "truth", preset="databento"),
    *cases("databento", "renamed.parquet renamed_fixed.parquet", "truth", preset="databento"),
    *cases("freqtrade", "feather json jsongz only5m parquet", "truth", "5m", preset="freqtrade"),
    *cases("binance", "futures_ms spot_ms BTCUSDT-1m-2024-03-08.zip", "truth_ms", preset="binance"),
    *cases("binance", "futures_us spot_us", "truth_us", preset="binance"),
    *cases("ccxt", "csv dt_pq idx_csv idx_pq", "truth_n", preset="ccxt"),
    *cases("ccxt", "withsym", "truth", preset="ccxt"),
    *cases("yfinance", "one.csv two.csv group_by_ticker.csv one.parquet two.parquet", "truth_adj", "1d", preset="yfinance"),
    *cases("yfinance", "group_by_ticker.parquet flat_csv flat_pq stacked", "truth_adj", "1d", preset="yfinance"),
    *cases("yfinance", "hist_csv hist_pq", "truth_adj_ny", "1d", preset="yfinance"),
    *cases("yfinance", "raw_csv raw_pq", "truth_adj_ny", "1d", preset="yfinance", adjust="ratio"),
    *cases("yfinance", "minute_csv minute_pq", "truth_m", preset="yfinance"),
    *cases("cryptofeed", "candles.csv candles.parquet open_time.parquet with_unclosed.parquet", "truth", preset="cryptofeed"),
    *cases("cryptofeed", "ts_datetime.parquet", "truth", preset="cryptofeed"),
    *cases("metatrader5", "EURUSD_M1_202403080000_202403080059.csv py pysec", "truth", preset="metatrader5", time=ATHENS),
    *cases("metatrader5", "utf16_GBPUSD_M1_202403080000_202403080059.csv", "truth", preset="metatrader5", time=ATHENS),
    *cases("metatrader5", "mt4", "truth", preset="metatrader4", time=ATHENS),
    *cases("stooq", "aaa.us.csv aaa.us.txt web", "truth", "1d", preset="stooq"),
    *cases("kraken", "XBTUSD_1.csv ETHUSD_1.csv headed", "truth", preset="kraken"),
    *cases("tiingo", "AAA.csv BBB.csv", "truth", "1d", preset="tiingo"),
    *cases("alphavantage", "daily", "truth_raw", "1d", preset="alphavantage"),
    *cases("alphavantage", "intraday", "truth", preset="alphavantage"),
    *cases("lean", "equity/usa/minute", "truth", preset="lean"),
    *cases("lean", "equity/usa/daily headed", "truth_d", "1d", preset="lean"),
    *cases("qlib", "bin csv", "truth", "1d", preset="qlib"),
    *cases("end_stamped", "tradestation", "truth", preset="tradestation", time=NEW_YORK),
]  # fmt: skip

BY_LINES = [
    *cases("end_stamped", "end.csv end_and_close_time.csv", "truth", time={"stamp": "end"}),
    *cases("end_stamped", "cmc", "truth_d", "1d", csv={"delimiter": ";"}, time={"columns": "timeOpen"}),
    *cases("end_stamped", "cmc_comma", "truth_d", "1d", time={"columns": "timestamp", "stamp": "end"}),
    *cases("duckdb", "cast_naive.parquet", "truth", time=NEW_YORK),
    *cases("duckdb", "bydate", "truth", time={"columns": "ts"}),
    *cases("spark", "ntz.parquet", "truth", time=NEW_YORK),
    *cases("spark", "bars_csv_nohead", "truth", names=["symbol", "timestamp", *VALUES]),
    *cases("polars", "datetime_split.parquet", "truth", time={"columns": ["date", "time"]}),
    *cases("polars", "semi.csv", "truth", csv={"delimiter": ";"}),
    *cases("folders", "interval_60.csv", "truth", interval="1m"),
    *cases("long_other_symbol", "minute_tic.parquet", "truth_m", symbol={"column": "tic"}),
    *cases("long_other_symbol", "folders", "truth", "1d", symbol={"from_path": "(?P<symbol>[A-Z]+)/2024"}),
    *[case for name in SYMBOLS for case in cases("long_other_symbol", f"by_{name}.csv", "truth", "1d", symbol={"column": name})],
]  # fmt: skip

AS_THEY_STAND = [
    *cases("containers", "bars.feather bars.json bars.jsonl bars.xlsx brotli.parquet decimal_dict_u64.parquet", "truth"),
    *cases("containers", "int96_pa.parquet ms_uint64.parquet zstd.parquet zstd.pq", "truth"),
    *cases("containers", "date32.parquet", "truth_d", "1d"),
    *cases("delta", "deleted fresh parted table", "truth"),
    *cases("duckdb", "hive bysymbol tz.csv tz.parquet naive_utc.parquet threads.parquet decimal_hugeint.parquet", "truth"),
    *cases("polars", "aware.csv aware.parquet bars.csv.zst bars.ndjson bars2.csv.gz cat.parquet decimal.csv hive", "truth"),
    *cases("polars", "decimal.parquet enum.parquet f32.parquet ipc.arrow naive.csv naive.parquet ns_u64.parquet", "truth"),
    *cases("polars", "ny.csv ny.parquet strings.parquet tab.tsv uncompressed_zstd.parquet", "truth"),
    *cases("spark", "bars.parquet bars_csv bars_csv_gz in.csv parted", "truth"),
    *cases("folders", "mac ps mixed repeated quoted.csv timeframe.csv trailing.csv trailing_comma.csv", "truth"),
    *cases("folders", "interval_1min.csv interval_M1.csv", "truth"),
    *cases("interval_longer", "daily.csv", "truth", "1d"),
]  # fmt: skip


@lru_cache
def truth(name: str) -> pd.DataFrame:
    return pd.read_csv(FORMATS / name, dtype={"symbol": str})


def assert_right(bars: pd.DataFrame, expected: pd.DataFrame, close: float = 0.0) -> None:
    keys = ["symbol", "open_time"]
    expected = expected[expected["symbol"].isin(bars["symbol"].unique())].sort_values(keys, ignore_index=True)
    bars = bars.drop_duplicates().sort_values(keys, ignore_index=True)
    assert len(bars) == len(expected) > 0
    assert bars[keys].to_numpy().tolist() == expected[keys].to_numpy().tolist()
    np.testing.assert_allclose(bars[VALUES], expected[VALUES].astype(float), rtol=close, atol=0)


@pytest.mark.parametrize(("path", "interval", "settings", "expected"), [*BY_PRESET, *BY_LINES, *AS_THEY_STAND])
def test_bars_are_those_that_the_tool_wrote(path: str, interval: str, settings: dict[str, Any], expected: str) -> None:
    pytest.importorskip("deltalake" if path.startswith("delta") else "python_calamine" if "xlsx" in path else "numpy")
    bars = read_bars([FORMATS / path], interval, Source.model_validate(settings))
    # qlib keeps float32, polars' f32 too; adjusted prices are quotients
    rounded = path.startswith(("qlib", "yfinance/raw")) or "f32" in path
    assert_right(bars, truth(expected), 1e-6 if rounded else 0.0)


WRONG = sorted(
    {path.relative_to(FORMATS).as_posix() for path in FORMATS.glob("*/*") if not path.name.startswith("truth")}
    - {case.values[0] for case in AS_THEY_STAND}
    # rows are left out, counted and shown
    - {"folders/closed_flag.csv", "folders/some_volume_missing.csv"}
)


@pytest.mark.parametrize("path", WRONG)
@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "1d"])
def test_nothing_is_read_otherwise_without_a_declaration(path: str, interval: str) -> None:
    """Right, or a line that says what to declare."""
    if "hourly" in path and interval == "1h":
        pytest.skip("they are hours, and no truth lies beside them")
    try:
        bars = read_bars([FORMATS / path], interval)
    except ConfigurationError:
        return
    if bars.empty:
        assert refused(bars).rows
        return
    folder = path.split("/")[0]
    for expected in sorted((FORMATS / folder).glob("truth*.csv")):
        try:
            assert_right(bars, truth(f"{folder}/{expected.name}"), 1e-9)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{path} is read as {bars.head(2).to_dict('records')}")
