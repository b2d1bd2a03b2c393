"""The report's further panels: their numbers against pandas, their pages well-formed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.report.chart import HEIGHT, WIDTH, Line, Marks, bars, chart
from backtest.report.panels import monthly, rolling_sharpe
from tests.backtest.test_report import TIMES, read
from tests.backtest.test_report import run as made


def test_months_are_pandas() -> None:
    closes = pd.date_range("2023-11-15", periods=120, freq="1D", tz="UTC")
    equity = pd.Series(1000.0 * np.cumprod(1 + np.random.default_rng(1).normal(0, 0.01, 120)), closes)
    page = monthly(equity, closes, 1000.0)
    read(page)
    ends = equity.resample("ME").last()
    expected = (ends / ends.shift(fill_value=1000.0) - 1).tolist()
    shown = re.findall(r"transparent\)\">(-?[0-9.]+)\u00a0%</td>", page)
    assert shown == [f"{100 * value:.1f}" for value in expected]
    years = re.findall(r"<td>(-?[0-9.]+)\u00a0%</td></tr>", page)
    of_year = equity.resample("YE").last()
    assert years == [f"{100 * value:.1f}" for value in of_year / of_year.shift(fill_value=1000.0) - 1]
    assert monthly(equity - 2000.0, closes, 1000.0) == ""


def test_rolling_sharpe_by_hand() -> None:
    equity = np.array([100.0, 101.0, 100.0, 103.0, 103.0])
    returns = equity[1:] / equity[:-1] - 1
    found = rolling_sharpe(equity, 3, 4.0)
    assert np.isnan(found[:3]).all()
    for end in (3, 4):
        some = returns[end - 3 : end]
        assert found[end] == pytest.approx(some.mean() / some.std(ddof=1) * 2)
    assert np.isnan(rolling_sharpe(np.ones(9), 3, 4.0)).all()


def test_dots_lie_on_their_bars() -> None:
    marks = Marks("buy", np.array([0, 4, -1]), np.array([0.0, 10.0, 5.0]))
    page = chart([Line("hold", np.linspace(0.0, 10.0, 5))], TIMES[:5], str, marks=[marks])
    read(page)
    assert f'<path class="dots buy" d="M0.0,{HEIGHT:.1f}h0M{WIDTH:.1f},0.0h0"/>' in page


def test_a_histogram() -> None:
    page = bars(np.array([1.0, 0.0, 4.0]), ["<a", "b"])
    read(page)
    assert re.findall(r'height="([0-9.]+)"/>', page) == [f"{HEIGHT / 4:.1f}", f"{HEIGHT:.1f}"]
    assert "&lt;a" in page


def test_every_panel_of_a_real_backtest(tmp_path: Path) -> None:
    from backtest.engines.backtest import run_backtest
    from backtest.replay.replay import replay
    from tests.backtest.test_sweep import CONFIG, DAILY

    replayed = replay(CONFIG, "trend", str(DAILY))
    strategy = CONFIG.strategy("trend")
    run_backtest(strategy, replayed.bars, replayed.signals, ["backtrader"], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    titles = re.findall("<h2>(.*?)</h2>", page)
    for title in ("Returns by month", "Distribution of returns", "Exposure", "By symbol", "How far to believe"):
        assert any(found.startswith(title) for found in titles), title
    assert {found.partition(":")[0] for found in titles if ": close" in found} == {"AAPL", "JNJ"}
    assert read(page).fetched == []
    fills = pd.read_parquet(tmp_path / "out" / "backtrader" / "fills.parquet")
    dots = [path.count("h0") for path in re.findall(r'<path class="dots .*?" d="(.*?)"', page)]
    assert sum(dots) == len(fills)
    assert len(page) < 500_000


def test_an_engine_that_returns_little_has_few_panels() -> None:
    from backtest.report.report import html_page

    bare: Any = made(np.full(len(TIMES), 1000.0))
    page = html_page(bare)
    assert "Returns by month" in page
    assert "Distribution of returns" not in page
    assert "By symbol" not in page
