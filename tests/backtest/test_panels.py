"""The report's further panels: their numbers against pandas, their pages well-formed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.report.axis import time_axis
from backtest.report.chart import HEIGHT, MARKS, Line, Marks, bars, chart
from backtest.report.sections.panels import distribution, monthly, rolling_sharpe
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
    years = re.findall(r'<td data-of="year">(-?[0-9.]+)\u00a0%</td></tr>', page)
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


def test_marks_lie_on_their_bars() -> None:
    marks = [
        Marks("buy", np.array([0, 4, -1]), np.array([0.0, 10.0, 5.0])),
        Marks("sell", np.array([2]), np.array([5.0])),
    ]
    page = chart([Line("hold", np.linspace(0.0, 10.0, 5))], TIMES[:5], str, marks=marks)
    read(page)
    found = re.findall(r'<i class="mark (\w+)" style="left:([0-9.]+)%;top:([0-9.]+)%">', page)
    assert found == [("buy", "0.00", "100.00"), ("buy", "100.00", "0.00"), ("sell", "50.00", "50.00")]


def test_many_marks_are_thinned() -> None:
    count = 200
    marks = [Marks("buy", np.repeat(np.arange(count), 5), np.ones(5 * count))]
    page = chart([Line("hold", np.ones(count))], TIMES[:count], str, marks=marks)
    assert MARKS - 5 <= page.count('class="mark buy"') <= MARKS + 1


def test_a_histogram() -> None:
    page = bars(np.array([1.0, 0.0, 4.0]), [-0.5, 0.0, 0.5], lambda edge: f"<{edge}")
    read(page)
    assert re.findall(r'height="([0-9.]+)"/>', page) == [f"{HEIGHT / 4:.1f}", f"{HEIGHT:.1f}"]
    assert re.findall(r'style="left:([0-9.]+)%">&lt;([-0-9.]+)<', page) == [
        ("0.00", "-0.5"),
        ("50.00", "0.0"),
        ("100.00", "0.5"),
    ]
    assert re.findall(r"<span .*?>(.*?)</span>", page) == ["0", "1", "2", "3", "4"]


def test_returns_of_minutes_have_labels_that_differ() -> None:
    equity = pd.Series(1000.0 * np.cumprod(1 + np.random.default_rng(2).normal(0, 2e-5, 500)))
    labels = re.findall(r"<time .*?>(.*?)</time>", distribution(equity))
    assert len(set(labels)) == 5
    assert "0\u00a0%" in labels


def test_gaps_are_hatched_and_interrupt_the_line() -> None:
    spring, later = (
        pd.bdate_range("2014-05-01", "2014-05-30", tz="UTC"),
        pd.bdate_range("2018-04-02", "2018-04-30", tz="UTC"),
    )
    times = spring.append(later)
    page = chart([Line("hold", np.arange(float(len(times))))], times, str, filled=True)
    read(page)
    axis = time_axis(times)
    ((left, right, before, after),) = axis.gaps
    assert (before, after, round(right - left, 9)) == (spring[-1], later[0], 0.04)
    assert np.diff(axis.places).max() == pytest.approx(0.04)
    assert (page.count("<polyline"), page.count("<polygon"), page.count("url(#hatch)")) == (2, 2, 1)
    assert "Hatched: no bars from 2014-05-30 to 2018-04-02." in page


@pytest.mark.parametrize(
    "times",
    [
        pd.bdate_range("2024-01-01", periods=60, tz="UTC"),
        pd.date_range("2020-01-01", periods=30, freq="30D", tz="UTC"),
        pd.DatetimeIndex(["2024-01-01"], tz="UTC"),
        pd.date_range("2024-03-28 14:30", periods=5, freq="1min", tz="UTC").append(
            pd.date_range("2024-04-01 13:30", periods=5, freq="1min", tz="UTC")
        ),
    ],
    ids=["weekends", "rare bars", "one bar", "a long weekend"],
)
def test_what_is_no_gap(times: pd.DatetimeIndex) -> None:
    axis = time_axis(times)
    assert not axis.gaps
    assert axis.note() == ""
    assert axis.places == pytest.approx(np.linspace(0.0, 1.0, len(times)) if len(times) > 1 else [0.0])
    assert axis.labels().count("<time") == min(5, len(times))


def test_many_gaps_leave_half_of_the_width() -> None:
    times = pd.DatetimeIndex(
        np.concatenate([pd.date_range(f"{year}-05-01", periods=9).values for year in range(2000, 2020)])
    )
    axis = time_axis(times.tz_localize("UTC"))
    assert len(axis.gaps) == 19
    assert sum(right - left for left, right, *_ in axis.gaps) == pytest.approx(0.5)
    assert axis.note().endswith(", and 16 more.</p>")


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
    assert 0 < page.count('<i class="mark ') <= min(len(fills), 4 * MARKS)
    assert len(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)) < 500_000


def test_an_engine_that_returns_little_has_few_panels() -> None:
    from backtest.report.report import html_page

    bare: Any = made(np.full(len(TIMES), 1000.0))
    page = html_page(bare)
    assert "Returns by month" in page
    assert "Distribution of returns" not in page
    assert "By symbol" not in page
