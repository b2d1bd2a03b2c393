"""What a report says a result is made of, against hand calculation, numpy and SciPy."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backtest.report.analysis.benchmark import beside_benchmark
from backtest.report.analysis.costs import break_even, cost_split
from backtest.report.analysis.drawdowns import worst_drawdowns
from backtest.report.analysis.predictions import deciles
from backtest.report.analysis.regimes import regimes
from backtest.report.analysis.trades import by_exit, by_hour, by_side, by_weekday, concentration
from plugins.engines.results.metrics import max_drawdown
from schemas.configuration import Execution


def days(count: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=count, freq="D", tz="UTC")


def test_worst_drawdowns_by_hand() -> None:
    """110 → 99 is 10 %, back at 112; 112 → 84 is 25 %, never back."""
    equity = pd.Series([100.0, 110.0, 104.5, 99.0, 112.0, 84.0, 100.0], days(7))
    table = worst_drawdowns(equity, 100.0)
    assert table["depth"].tolist() == pytest.approx([-0.25, -0.10])
    assert table["peak"].dt.day.tolist() == [5, 2]
    assert table["bottom"].dt.day.tolist() == [6, 4]
    assert pd.isna(table["recovered"][0])
    assert table["recovered"][1].day == 5
    assert table["bars"].tolist() == [2, 3]
    assert table["days"].tolist() == [2.0, 3.0]


def test_the_capital_is_a_peak() -> None:
    table = worst_drawdowns(pd.Series([90.0, 95.0, 100.0], days(3)), 100.0)
    assert table["depth"].tolist() == pytest.approx([-0.10])
    assert (table["peak"][0].day, table["recovered"][0].day) == (1, 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_worst_is_that_of_the_metrics_and_none_overlaps(seed: int) -> None:
    values = 100.0 * np.cumprod(1.0 + np.random.default_rng(seed).normal(0.0, 0.02, 300))
    equity = pd.Series(values, days(300))
    table = worst_drawdowns(equity, 100.0, 400)
    depth, bars, length = max_drawdown(days(300), values, 100.0)
    first = table.iloc[0]
    assert (first["depth"], first["bars"], first["days"]) == (pytest.approx(depth), bars, length)
    after = equity.index[-1] + pd.Timedelta(days=1)
    ends = [after if pd.isna(end) else end for end in table["recovered"]]
    spans = sorted(zip(table["bottom"], ends, strict=True))
    assert all(end <= bottom for (_, end), (bottom, _) in pairwise(spans))
    assert table["depth"].is_monotonic_increasing


def test_without_a_fall_there_is_none() -> None:
    assert not len(worst_drawdowns(pd.Series([100.0, 101.0], days(2)), 100.0))


def test_the_line_on_the_benchmark_is_that_of_numpy() -> None:
    random = np.random.default_rng(1)
    market = random.normal(0.0005, 0.01, 500)
    own = 0.0002 + 0.7 * market + random.normal(0.0, 0.005, 500)
    own[3] = np.nan
    known = np.isfinite(own)
    slope, intercept = np.polyfit(market[known], own[known], 1)
    result = beside_benchmark(own, market, 252.0)
    assert result["beta"] == pytest.approx(slope, rel=1e-10)
    assert result["alpha"] == pytest.approx(252.0 * intercept, rel=1e-9)
    assert result["correlation"] == pytest.approx(stats.pearsonr(market[known], own[known])[0], rel=1e-10)
    apart = own[known] - market[known]
    assert result["tracking_error"] == pytest.approx(np.std(apart, ddof=1) * math.sqrt(252.0))
    assert result["information_ratio"] == pytest.approx(apart.mean() / np.std(apart, ddof=1) * math.sqrt(252.0))


@pytest.mark.parametrize("own", [[0.1, 0.2], [0.0, 0.0, 0.0]])
def test_what_is_undefined_is_none(own: list[float]) -> None:
    result = beside_benchmark(np.array(own), np.zeros(len(own)), 252.0)
    assert result["beta"] is None
    assert result["alpha"] is None
    assert result["information_ratio"] is None


@pytest.fixture
def trades() -> pd.DataFrame:
    """Entered on Monday at 15:00 and 16:00 UTC, and on Tuesday at 15:00."""
    rows = [
        ("A", "long", "2024-01-01T15:00Z", 100.0, 3), ("A", "short", "2024-01-01T16:00Z", -40.0, 1),
        ("B", "long", "2024-01-02T15:00Z", 20.0, 5), ("B", "long", "2024-01-02T15:30Z", -10.0, 2),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["symbol", "direction", "entry_time", "pnl", "bars"])
    return frame.assign(entry_time=pd.to_datetime(frame["entry_time"]))


def test_trades_by_side_and_time(trades: pd.DataFrame) -> None:
    sides = by_side(trades)
    assert sides.index.tolist() == ["all", "long", "short"]
    assert sides.loc["long", ["trades", "gain", "mean", "bars", "longest"]].tolist() == [3, 110.0, 110.0 / 3, 3, 5]
    assert sides.loc["long", "won"] == pytest.approx(2 / 3)
    assert sides.loc["long", "profit_factor"] == pytest.approx(12.0)
    assert sides.loc["short", "profit_factor"] == 0.0
    assert by_hour(trades, "UTC")["gain"].to_dict() == {"15:00": 110.0, "16:00": -40.0}
    assert by_hour(trades, "America/New_York").index.tolist() == ["10:00", "11:00"]
    assert by_weekday(trades, "UTC")["trades"].to_dict() == {"Mon": 2, "Tue": 2}


def test_concentration(trades: pd.DataFrame) -> None:
    assert concentration(trades) == {"best_five": 1.0, "best_symbol": "A", "symbol_share": pytest.approx(60 / 70)}
    assert concentration(trades.assign(pnl=-1.0)) == {}


def test_trades_by_what_ended_them(trades: pd.DataFrame) -> None:
    times = days(4)
    fills = pd.DataFrame({"part": "reduce", "signal_time": times, "symbol": trades["symbol"]})
    index = pd.MultiIndex.from_arrays([times, trades["symbol"]])
    decisions = pd.DataFrame({"signal": ["SELL", "SELL", 0.5, "FLAT"]}, index)
    assert by_exit(trades, fills, decisions)["trades"].to_dict() == {"FLAT": 1, "SELL": 2, "a number": 1}
    own = trades.assign(exit_reason=["stop", "stop", "target", "signal"])
    assert by_exit(own, fills, decisions)["gain"].to_dict() == {"signal": -10.0, "stop": 60.0, "target": 20.0}
    assert not len(by_exit(trades, fills.iloc[1:], decisions))


def test_costs_by_hand() -> None:
    """Bought 10 at 101 and sold 10 at 99 where the rule's price was 100: each was 1 % worse, 20 in all."""
    fills = pd.DataFrame({"size": [10.0, -10.0], "price": [101.0, 99.0], "commission": [1.5, 0.5]})
    execution = Execution(slippage=0.01)
    assert cost_split(fills, execution, {"borrow": 3.0}) == {
        "commission": 2.0, "slippage": pytest.approx(20.0), "borrow": 3.0,
    }  # fmt: skip
    assert break_even(fills, 20.0) == pytest.approx(0.01)
    assert break_even(fills, -1.0) is None


def test_regimes_by_a_plain_loop() -> None:
    random = np.random.default_rng(3)
    market, own, window = random.normal(0.0, 0.01, 400), random.normal(0.0, 0.01, 400), 20
    means, spreads = np.full(400, np.nan), np.full(400, np.nan)
    for bar in range(window, 400):
        means[bar], spreads[bar] = market[bar - window : bar].mean(), market[bar - window : bar].std(ddof=1)
    middle = np.nanmedian(spreads)
    table = regimes(own, market, window)
    inside = (means > 0) & (spreads > middle)
    assert table.loc["rising, rough", "bars"] == inside.sum()
    assert table.loc["rising, rough", "strategy"] == pytest.approx(np.prod(1 + own[inside]) - 1)
    assert table.loc["rising, rough", "benchmark"] == pytest.approx(np.prod(1 + market[inside]) - 1)
    assert table["bars"].sum() == 400 - window


def test_a_bar_does_not_decide_its_own_regime() -> None:
    market = np.random.default_rng(3).normal(0.0, 0.01, 400)
    before = regimes(np.zeros(400), market, 20)
    market[-1] = 0.5
    assert regimes(np.zeros(400), market, 20)["bars"].tolist() == before["bars"].tolist()


def frames(count: int, link: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prices of two symbols, and predictions of the return from the next open to the one after."""
    random = np.random.default_rng(9)
    prices, decisions = [], []
    for symbol in ("A", "B"):
        opens = 100.0 * np.cumprod(1.0 + random.normal(0.0, 0.01, count))
        index = pd.MultiIndex.from_product([days(count), [symbol]], names=["time", "symbol"])
        prices.append(pd.DataFrame({"open": opens}, index))
        after = np.append(opens[2:] / opens[1:-1] - 1.0, [np.nan, np.nan])
        guess = link * np.nan_to_num(after) + random.normal(0.0, 0.01, count)
        decisions.append(pd.DataFrame({"prediction": guess}, index))
    return pd.concat(prices).sort_index(), pd.concat(decisions).sort_index()


@pytest.mark.parametrize("link", [0.0, 1.0, -1.0])
def test_deciles_are_those_of_scipy(link: float) -> None:
    prices, decisions = frames(300, link)
    table, numbers = deciles(decisions, prices, 1)
    pairs: list[Any] = []
    for symbol in ("A", "B"):
        opens = prices["open"].xs(symbol, level="symbol").to_numpy()
        guess = decisions["prediction"].xs(symbol, level="symbol").to_numpy()
        pairs += [(guess[bar], opens[bar + 2] / opens[bar + 1] - 1.0) for bar in range(298)]
    own = np.array(pairs)
    assert numbers["pairs"] == len(own) == 596
    assert numbers["information_coefficient"] == pytest.approx(stats.spearmanr(own[:, 0], own[:, 1])[0], rel=1e-9)
    ordered = own[np.argsort(own[:, 0], kind="stable")]
    parts = [ordered[math.floor(596 * n / 10) : math.floor(596 * (n + 1) / 10)] for n in range(10)]
    assert table["count"].sum() == 596
    assert table["count"].max() - table["count"].min() <= 1
    assert table["return"].iloc[[0, -1]].tolist() == pytest.approx(
        [parts[0][:, 1].mean(), parts[-1][:, 1].mean()], rel=0.05, abs=2e-4
    )
    assert numbers["monotonicity"] == pytest.approx(stats.spearmanr(range(10), table["return"])[0])
    if link:
        assert numbers["monotonicity"] * link > 0.9


def test_equal_predictions_have_no_deciles() -> None:
    prices, decisions = frames(300, 0.0)
    assert deciles(decisions.assign(prediction=1.0), prices, 1)[1] == {}
    assert deciles(decisions.drop(columns="prediction"), prices, 1)[1] == {}
