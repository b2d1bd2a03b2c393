"""Against empyrical-reloaded on random returns, and by hand where it has no word."""

import math
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest

from plugins.engines.results.metrics import max_drawdown, metrics

NO_TRADES = pd.DataFrame({"pnl": np.array([], float)})
NO_FILLS = pd.DataFrame({"size": np.array([], float), "price": [], "commission": []})


def curve(equity: list[float] | np.ndarray, long: Any = 0.0, short: Any = 0.0, freq: str = "1D") -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=len(equity), freq=freq, tz="UTC")
    return pd.DataFrame({"equity": np.asarray(equity, float), "long": long, "short": short}, index=times)


def measured(
    equity: Any, trades: pd.DataFrame = NO_TRADES, fills: pd.DataFrame = NO_FILLS, **options: Any
) -> dict[str, Any]:
    frame = equity if isinstance(equity, pd.DataFrame) else curve(equity)
    return metrics(frame, trades, fills, **{"capital": float(frame["equity"].iloc[0]), "periods": 252.0, **options})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("risk_free", [0.0, 0.04, -0.01])
@pytest.mark.parametrize("count", [300, 101])
def test_agrees_with_empyrical(seed: int, risk_free: float, count: int) -> None:
    """Of 101 returns the worst 5 and 1 in 100 are whole numbers."""
    rng = np.random.default_rng(seed)
    returns = pd.Series(rng.normal(0.0005, 0.02, count))
    equity = 1000.0 * np.concatenate([[1.0], (1.0 + returns).cumprod()])
    found = measured(equity, risk_free=risk_free)
    per_bar = (1 + risk_free) ** (1 / 252) - 1
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=252),
        "volatility": empyrical.annual_volatility(returns, annualization=252),
        "sharpe": empyrical.sharpe_ratio(returns, per_bar, annualization=252),
        "sortino": empyrical.sortino_ratio(returns, per_bar, annualization=252),
        "calmar": empyrical.calmar_ratio(returns, annualization=252),
        "max_drawdown": empyrical.max_drawdown(returns),
        "var_95": empyrical.value_at_risk(returns, 0.05),
        "var_99": empyrical.value_at_risk(returns, 0.01),
        "cvar_95": empyrical.conditional_value_at_risk(returns, 0.05),
        "cvar_99": empyrical.conditional_value_at_risk(returns, 0.01),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_drawdown_lasts_from_the_peak_until_it_is_made_good() -> None:
    times = pd.DatetimeIndex(
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-08", "2024-01-09", "2024-01-10"], tz="UTC"
    )
    assert max_drawdown(times, np.array([100.0, 120.0, 90.0, 110.0, 120.0, 60.0]), 100.0) == (
        -0.5,
        1,
        1.0,
    )  # peak on the 9th, never back
    assert max_drawdown(times, np.array([100.0, 120.0, 60.0, 110.0, 120.0, 130.0]), 100.0) == (
        -0.5,
        3,
        7.0,
    )  # 2nd to 9th
    assert max_drawdown(times, np.array([100.0, 101.0, 102.0, 102.0, 103.0, 104.0]), 100.0) == (0.0, 0, 0.0)
    depth, bars, days = max_drawdown(
        times, np.array([90.0, 95.0, 99.0, 99.0, 99.0, 99.0]), 100.0
    )  # lost on the very first bar
    assert (depth, bars, days) == (pytest.approx(-0.1), 5, 9.0)


@pytest.mark.parametrize(
    ("equity", "bars", "days"),
    [
        ([100.0, 120.0, 60.0, 120.0, 130.0], 2, 1.0),  # back at it, and at once
        ([100.0, 120.0, 60.0, 130.0, 140.0], 2, 1.0),  # above it at once
        ([100.0, 120.0, 60.0, 70.0, 80.0], 3, 1.5),  # never
    ],
)
def test_drawdown_ends_at_the_first_bar_that_is_back(equity: list[float], bars: int, days: float) -> None:
    """Bars of twelve hours."""
    times = pd.date_range("2024-01-01", periods=5, freq="12h", tz="UTC")
    assert max_drawdown(times, np.array(equity), 100.0) == (-0.5, bars, days)


def test_cents_count() -> None:
    """A win, a loss, an exposure and an equity of less than 1."""
    found = measured([0.5, 0.25], pd.DataFrame({"pnl": [0.5, -0.25]}))
    assert (found["final_equity"], found["win_rate"], found["profit_factor"]) == (0.25, 0.5, 2.0)
    found = measured(curve([0.5, 0.5, 0.5], long=[0.0, 0.25, 0.0]))
    assert (found["bars_in_market"], found["exposure"]) == (1, pytest.approx(0.5 / 3))


def test_no_exposure_of_a_negative_equity() -> None:
    assert measured(curve([1000.0, -0.5, 500.0], long=100.0))["exposure"] is None


def test_all_is_lost_and_more_than_a_float_holds_is_won() -> None:
    assert measured([1000.0, 500.0, 0.0])["cagr"] == -1.0
    assert measured(curve([1000.0, 3000.0], freq="1min"), periods=252.0 * 390)["cagr"] is None  # 3 ** 98,280


def test_no_rate_is_a_rate_of_nothing() -> None:
    returns = [0.01, -0.02, 0.03]
    found = measured(1000.0 * np.cumprod([1.0, *(1 + value for value in returns)]))
    assert found["sharpe"] == pytest.approx(np.mean(returns) / np.std(returns, ddof=1) * math.sqrt(252))


def test_a_single_return_says_nothing_under_the_same_names() -> None:
    one, many = measured([1000.0, 900.0]), measured([1000.0, 900.0, 950.0])
    assert one.keys() == many.keys()
    names = ("volatility", "sharpe", "sortino", "var_95", "var_99", "cvar_95", "cvar_99")
    assert [one[name] for name in names] == [None] * 7


def test_trades_by_hand() -> None:
    trades = pd.DataFrame({"pnl": [30.0, -10.0, 0.0, 20.0, -15.0]})
    found = measured([1000.0, 1025.0], trades)
    assert found["trades"] == 5
    assert found["win_rate"] == 0.4
    assert found["profit_factor"] == 2.0
    assert found["average_win"] == 25.0
    assert found["average_loss"] == -12.5
    assert found["expectancy"] == 5.0


def test_turnover_exposure_and_bars_in_market_by_hand() -> None:
    fills = pd.DataFrame({"size": [10.0, -4.0], "price": [20.0, 25.0], "commission": [0.2, 0.1]})
    frame = curve(
        [1000.0, 1000.0, 1000.0, 1000.0, 1000.0], long=[0.0, 200.0, 0.0, 100.0, 0.0], short=[0.0, -300.0, 0.0, 0.0, 0.0]
    )
    found = measured(frame, fills=fills)
    assert found["turnover"] == pytest.approx(300 / 1000 / (4 / 252))
    assert found["bars_in_market"] == 2
    assert found["exposure"] == pytest.approx((0.5 + 0.1) / 5)
    assert found["commission"] == pytest.approx(0.3)
    assert (found["fills"], found["bars"]) == (2, 5)


def test_undefined_is_none() -> None:
    flat = measured([1000.0, 1000.0, 1000.0])
    assert (flat["volatility"], flat["max_drawdown"], flat["total_return"]) == (0.0, 0.0, 0.0)
    assert all(
        flat[name] is None
        for name in ("sharpe", "sortino", "calmar", "win_rate", "profit_factor", "expectancy", "average_loss")
    )
    assert measured([1000.0])["cagr"] is None
    assert measured([1000.0, 900.0])["sharpe"] is None
    only_wins = measured([1000.0, 1100.0, 1200.0], pd.DataFrame({"pnl": [5.0]}))
    assert only_wins["profit_factor"] is None
    assert only_wins["sortino"] is None
    ruined = measured([1000.0, 500.0, -200.0, -300.0])
    assert ruined["cagr"] is None
    assert ruined["total_return"] == -1.3


def test_equal_returns_have_no_spread() -> None:
    """A constant rate has no variance but for the last bits; a Sharpe ratio of 1e14 would be nonsense."""
    assert measured(1000.0 * 1.1 ** np.arange(50))["sharpe"] is None


def test_every_number_is_plain_and_finite() -> None:
    found = measured([1000.0, 1010.0, 0.0, 0.0])
    for name, value in found.items():
        assert value is None or (type(value) in (int, float) and math.isfinite(value)), name


def test_annualised_by_the_calendar() -> None:
    """XNYS had 252 sessions in 2024; 24/7 has 365.25 days."""
    frame = curve([1000.0, 1010.0, 1000.0, 1020.0]).shift(10, freq="D")
    found = {
        name: metrics(frame, NO_TRADES, NO_FILLS, capital=1000.0, interval_ms=86_400_000, calendar=name)
        for name in ("XNYS", "24/7")
    }
    spread = np.std([0.01, 1000 / 1010 - 1, 0.02], ddof=1)
    assert found["XNYS"]["volatility"] == pytest.approx(spread * math.sqrt(252))
    assert found["24/7"]["volatility"] == pytest.approx(spread * math.sqrt(365.25))
    assert found["XNYS"]["periods_per_year"] == 252


@pytest.mark.parametrize("calendar", ["auto", "24/7", "XNYS"])
def test_growth_over_a_hole_takes_the_time_that_went_by(calendar: str) -> None:
    """Ten days in 2014 and ten in 2018 with twice the equity: 2 ** (1 / 4) a year, not a doubling in four weeks."""
    times = pd.date_range("2014-05-05", periods=10, tz="UTC").append(pd.date_range("2018-04-25", periods=10, tz="UTC"))
    frame = pd.DataFrame({"equity": [1000.0] * 10 + [2000.0] * 10, "long": 0.0, "short": 0.0}, index=times)
    found = metrics(frame, NO_TRADES, NO_FILLS, capital=1000.0, interval_ms=86_400_000, calendar=calendar)
    years = (pd.Timestamp("2018-05-04") - pd.Timestamp("2014-05-05")).days / 365.25
    assert found["cagr"] == pytest.approx(2 ** (1 / years) - 1)


def test_growth_within_a_day_takes_the_bars_of_a_year() -> None:
    """Half a session of minutes is not half a day of the year."""
    frame = curve(np.linspace(1000.0, 1001.0, 196), freq="1min")
    found = metrics(frame, NO_TRADES, NO_FILLS, capital=1000.0, interval_ms=60_000, periods=252.0 * 390)
    assert found["cagr"] == pytest.approx(1.001 ** (252 * 390 / 195) - 1)
