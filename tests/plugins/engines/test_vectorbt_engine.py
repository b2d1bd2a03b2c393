"""What only the engine vectorbt has: a loop to compile, a Portfolio, a library that may be missing."""

import logging
import sys
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pytest
from scenarios import scenario

import plugins.engines
from plugins.engines import engine_registry
from plugins.fold import kernel
from schemas.errors import PluginError

pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")

DAYS = pd.date_range("2024-01-01", periods=3, tz="UTC")
PRICES = pd.DataFrame({"open": [10.0, 10.0, 11.0], "close": [10.0, 11.0, 12.0]}, index=DAYS)
SIGNALS = pd.DataFrame({"signal": ["BUY", "HOLD", "HOLD"]}, index=DAYS)


def final() -> float:
    engine = engine_registry.create("vectorbt", commission=0.0, slippage=0.0, capital=1000.0)
    return float(engine.run(PRICES, SIGNALS)["equity_curve"]["equity"].iloc[-1])


@pytest.mark.slow
def test_compiling_is_told_once_and_then_found_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for told in (1, 0):
        kernel._compiled.cache_clear()
        kernel._known.clear()
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert final() == 1200.0
        assert [record.name for record in caplog.records] == ["alphawire.engines"] * told
    assert list(tmp_path.rglob("*run_rows_*.nbc"))


def test_an_edit_of_the_sizing_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cached loop's name follows the source of the contract, which numba itself does not look at."""
    from plugins.engines.account import step

    name, source = kernel.cached_name(step.run_rows), kernel._source
    edited = "contract.py"
    monkeypatch.setattr(
        kernel,
        "_source",
        lambda thing: source(thing) + (b"#" if getattr(thing, "__module__", "").endswith(edited[:-3]) else b""),
    )
    kernel.cached_name.cache_clear()
    assert kernel.cached_name(step.run_rows) != name
    monkeypatch.undo()
    kernel.cached_name.cache_clear()
    assert kernel.cached_name(step.run_rows) == name


def test_portfolio_has_the_same_fills_and_value() -> None:
    """vectorbt's own account of the order records: its equity is ours, to its rounding."""
    for seed in range(6):
        case = scenario(seed)
        done = engine_registry.create("vectorbt", **case.rules).run(case.prices, case.signals)
        portfolio, equity = done["portfolio"], done["equity_curve"]["equity"]
        assert len(portfolio.orders.records) == len(done["fills"])
        scale = np.maximum(case.rules["capital"], equity.abs())
        assert ((portfolio.value() - equity).abs() <= 1e-8 * scale).all()
        assert portfolio.orders.records["fees"].sum() == pytest.approx(done["fills"]["commission"].sum())


@pytest.mark.parametrize("interval", ["1d", "1h", None])
def test_portfolio_has_a_frequency_so_that_its_statistics_work(interval: str | None) -> None:
    """vectorbt's Sharpe ratio by hand: bars without a break, in a year of 365 days."""
    index = pd.date_range("2024-01-01", periods=6, freq="h" if interval == "1h" else "D", tz="UTC")
    prices = pd.DataFrame({"open": [10.0, 10, 11, 12, 11, 13], "close": [10.0, 11, 12, 11, 13, 12]}, index=index)
    signals = pd.DataFrame({"signal": ["BUY", *["HOLD"] * 5]}, index=index)
    engine = engine_registry.create("vectorbt", commission=0.0, slippage=0.0, capital=1000.0, interval=interval)
    done = engine.run(prices, signals)
    portfolio, equity = done["portfolio"], done["equity_curve"]["equity"].to_numpy()
    returns = np.diff(equity, prepend=equity[0]) / np.concatenate([equity[:1], equity[:-1]])
    a_year = 365 * (24 if interval == "1h" else 1)
    expected = returns.mean() / returns.std(ddof=1) * np.sqrt(a_year)
    assert portfolio.sharpe_ratio() == pytest.approx(expected)
    assert portfolio.stats(metrics=["sharpe_ratio"])["Sharpe Ratio"] == pytest.approx(expected)
    assert portfolio.annualized_return(year_freq="252 days") != portfolio.annualized_return()


def test_portfolio_of_one_bar() -> None:
    engine = engine_registry.create("vectorbt", capital=1000.0)
    assert engine.run(PRICES[:1], SIGNALS[:1])["portfolio"].final_value() == 1000.0


def test_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_rows", "_portfolio"):
        monkeypatch.delitem(sys.modules, f"plugins.engines.{name}", raising=False)
        monkeypatch.delattr(plugins.engines, name, raising=False)
    monkeypatch.setitem(sys.modules, "vectorbt", None)
    with pytest.raises(PluginError, match=r"vectorbt: vectorbt is not installed; pip install 'alphawire\[vectorbt\]'"):
        final()


def test_what_vectorbt_refuses_is_an_error_and_no_silence() -> None:
    """A lot of 1e-13 shares at 1e12 is worth something, but vectorbt takes it for nothing."""
    prices = PRICES * 1e12
    engine = engine_registry.create("vectorbt", lot=1e-13, capital=1000.0)
    with pytest.raises(PluginError, match=r"vectorbt refused 1 orders; is the lot \(1e-13\) too small"):
        engine.run(prices, pd.DataFrame({"weight": [1.1e-3, np.nan, np.nan]}, index=DAYS))
