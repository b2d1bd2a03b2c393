"""`alphawire resample`: longer bars out of files. Oracle: pandas' `resample`, closed and labelled right; sessions by
hand.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alphawire.commands.research.resample import command
from backtest.sources.resampling import resampled
from plugins.base.bars import COLUMNS
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars
from tests.test_layers import ROOT

MINUTES = ROOT / "examples" / "data" / "equities_minute.parquet"
HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def by_pandas(bars: pd.DataFrame, rule: str) -> pd.DataFrame:
    """All bins of each symbol; the last one too, though it may be forming."""
    times = pd.DatetimeIndex(bars["close_time"].astype("datetime64[ms]"), tz="UTC", name="at")
    parts = []
    for symbol, own in bars.set_index(times).groupby("symbol"):
        bins = own.resample(rule, closed="right", label="right").agg(HOW).dropna()
        parts.append(bins.assign(symbol=symbol, close_time=bins.index.as_unit("ms").asi8))
    return pd.concat(parts).sort_values(["close_time", "symbol"], ignore_index=True)


@pytest.mark.parametrize(("longer", "rule"), [("5m", "5min"), ("1h", "1h"), ("1d", "1D")])
def test_real_minutes_become_what_pandas_makes_of_them(longer: str, rule: str) -> None:
    bars = read_bars([str(MINUTES)], "1m")
    given, expected = resampled(bars, "1m", longer), by_pandas(bars, rule)
    last = bars.groupby("symbol")["close_time"].max()
    expected = expected[expected["close_time"] <= expected["symbol"].map(last)].reset_index(drop=True)
    assert len(given) > 3
    assert given[["symbol", "close_time"]].equals(expected[["symbol", "close_time"]])
    np.testing.assert_array_equal(given[["open", "high", "low", "close"]], expected[["open", "high", "low", "close"]])
    np.testing.assert_allclose(given["volume"], expected["volume"], rtol=1e-12)
    ends = bars.groupby("symbol")["close_time"].agg(set)
    missing = [time not in ends[symbol] for symbol, time in zip(given["symbol"], given["close_time"], strict=True)]
    assert given["partial"].tolist() == missing


def test_a_days_session_closes_when_the_market_does() -> None:
    bars = read_bars([str(MINUTES)], "1m")
    given = resampled(bars, "1m", "1d", "XNYS")
    stamps = pd.DatetimeIndex(given["close_time"].astype("datetime64[ms]"), tz="UTC")
    stamps = stamps.tz_convert("America/New_York")
    assert set(stamps.strftime("%H:%M")) == {"16:00"}
    own = bars[(bars["symbol"] == given["symbol"][0]) & (bars["close_time"] <= given["close_time"][0])]
    opening = (stamps[0].normalize() + pd.Timedelta("9h30min")).tz_convert("UTC").as_unit("ms").asm8.astype(np.int64)
    own = own[own["close_time"] > opening]
    assert given["volume"][0] == own["volume"].sum()
    assert (given["open"][0], given["close"][0]) == (own["open"].iloc[0], own["close"].iloc[-1])


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_what_the_command_writes_is_read_again(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"hours.{suffix}"
    run = CliRunner().invoke(
        command, [str(MINUTES), "--interval", "1m", "--into", "1h", "--out", str(out), "--json"], obj=None
    )
    assert run.exit_code == 0, run.output
    bars = read_bars([str(MINUTES)], "1m")
    longer = resampled(bars, "1m", "1h")
    again = read_bars([str(out)], "1h")
    columns = ["symbol", "open_time", "close_time", *COLUMNS]
    pd.testing.assert_frame_equal(again[columns].reset_index(drop=True), longer[columns], check_dtype=False)
    said = json.loads(run.stdout)
    assert (said["bars"], said["longer"], said["partial"]) == (len(bars), len(longer), int(longer["partial"].sum()))


@pytest.mark.parametrize(
    ("interval", "longer", "session", "told"),
    [
        ("1m", "90s", None, "90s is no multiple of 1m"),
        ("1m", "1m", None, "1m is no multiple of 1m, of which the bars are; write a longer one"),
        ("volume:100", "1h", None, "1h is no multiple of volume:100"),
        ("1m", "1h", "XNYS", "session: XNYS divides time into days"),
        ("1m", "1d", "XNYZ", "session: there is no calendar 'XNYZ'"),
    ],
)
def test_what_cannot_be_is_one_line(interval: str, longer: str, session: str | None, told: str) -> None:
    bars = read_bars([str(MINUTES)], "1m").iloc[:10]
    with pytest.raises(ConfigurationError, match=told):
        resampled(bars, interval, longer, session)
