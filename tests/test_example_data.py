"""The bars that ship are what their README says, and rows of the full files, unchanged."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"
FULL = ROOT.parent / "shared" / "data"
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module", params=["minute", "daily"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def bars(name: str) -> pd.DataFrame:
    return pd.read_parquet(DATA / f"equities_{name}.parquet")


def test_rows_by_symbol_are_those_of_the_readme(name: str, bars: pd.DataFrame) -> None:
    section = (DATA / "README.md").read_text().split(f"## equities_{name}.parquet\n")[1].split("\n## ")[0]
    rows = {
        symbol: int(count.replace(",", ""))
        for symbol, count in re.findall(r"^\| ([A-Z]+) \| ([\d,]+) \|", section, re.M)
    }
    assert bars["symbol"].value_counts().to_dict() == rows
    assert f"{len(bars):,} {'minute' if name == 'minute' else 'daily'} bars" in section


def test_rows_are_in_order_once_each_and_possible(bars: pd.DataFrame) -> None:
    assert bars["timestamp"].is_monotonic_increasing
    assert not bars.duplicated(["symbol", "timestamp"]).any()
    full = bars.dropna()
    assert (full["low"] <= full[["open", "close"]].min(axis=1)).all()
    assert (full["high"] >= full[["open", "close"]].max(axis=1)).all()
    assert (full[PRICES] > 0).all(axis=None)


def test_quirks_of_the_minute_bars() -> None:
    bars = pd.read_parquet(DATA / "equities_minute.parquet").set_index("timestamp")
    assert not bars.isna().any(axis=None)
    assert bars["volume"].min() == 100
    assert np.allclose(bars[PRICES] * 100, (bars[PRICES] * 100).round(), atol=1e-6)
    regular = bars.between_time("13:30", "19:59")
    missing = []
    for symbol in ["AIG", "BAC", "IBM", "SPY"]:
        for day in sorted(set(regular.index.date)):
            session = pd.date_range(f"{day} 13:30", periods=390, freq="min", tz="UTC")
            missing += [
                f"{symbol} {t:%m-%d %H:%M}" for t in session.difference(regular.index[regular["symbol"] == symbol])
            ]
    assert missing == ["AIG 10-07 17:47", "IBM 10-04 16:39", "IBM 10-11 16:46"]
    flat = (bars["high"] == bars["low"]).groupby(bars["symbol"]).sum().to_dict()
    assert flat == {"AIG": 218, "BAC": 820, "IBM": 164, "SPY": 784}


def test_quirks_of_the_daily_bars() -> None:
    bars = pd.read_parquet(DATA / "equities_daily.parquet")
    empty = bars[bars["close"].isna()]
    assert [(row.symbol, f"{row.timestamp:%Y-%m-%d}") for row in empty.itertuples()] == [("PTR", "2016-06-29")]
    assert bars[bars["volume"] == 0].groupby("symbol").size().to_dict() == {"PTR": 1, "SPLP": 61}
    assert f"{bars[bars['symbol'] == 'BABA']['timestamp'].min():%Y-%m-%d}" == "2014-09-19"


@pytest.mark.skipif(
    not FULL.is_dir(), reason="the full data lies outside of the project (../shared/data) and is not here"
)
def test_they_are_cut_from_the_full_files_by_the_script_that_ships(tmp_path, monkeypatch, capsys) -> None:
    script = tmp_path / "make.py"
    script.write_text((DATA / "make.py").read_text())
    monkeypatch.setattr(sys, "argv", [str(script), str(FULL)])
    runpy.run_path(str(script), run_name="__main__")
    for file in DATA.glob("*.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / file.name), pd.read_parquet(file))
    assert capsys.readouterr().out.count("\n") == 2
