"""Buy and hold of real stocks, costs included, against arithmetic that pandas does alone; for both engines."""

from math import floor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plugins.engines import engine_registry
from tests.support.feature_bars import SHARED, SHIPPED, needs_shared

COLUMNS = ["open", "high", "low", "close", "volume"]
COMMISSION, SLIPPAGE, CAPITAL, WEIGHT = 0.0005, 0.001, 100_000.0, 0.9


def stocks(path: Path) -> dict[str, pd.DataFrame]:
    """Each symbol's bars; a row without values is no bar."""
    data = pd.read_parquet(path).dropna(subset=COLUMNS)
    return {str(symbol): some.set_index("timestamp")[COLUMNS] for symbol, some in data.groupby("symbol")}


def by_pandas(bars: pd.DataFrame, cash: float, size: float, price: str) -> "pd.Series[float]":
    """Decided at the first close, bought at the next bar with volume, held; equity after each bar."""
    traded = bars[bars["volume"] > 0].index
    bought = traded[traded > bars.index[0]][0]
    paid = bars.loc[bought, price] * (1 + SLIPPAGE)
    held = bars["close"] * size + (cash - size * paid * (1 + COMMISSION))
    return held.where(bars.index >= bought, cash)


@pytest.fixture(params=["ledger", "backtrader", "vectorbt"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param != "ledger":
        pytest.importorskip(request.param, reason=f"the engine's library {request.param} is not installed")
    return str(request.param)


def check(engine: str, bars: pd.DataFrame, lot: float, price: str) -> None:
    size = floor(WEIGHT * CAPITAL / bars["close"].iloc[0] / lot) * lot
    expected = by_pandas(bars, CAPITAL, size, price)
    rules = {"commission": COMMISSION, "slippage": SLIPPAGE, "capital": CAPITAL, "weight": WEIGHT, "lot": lot}
    done = engine_registry.create(engine, **rules, price=f"next_{price}").run(
        bars, pd.DataFrame({"signal": ["BUY"]}, index=bars.index[:1])
    )
    assert len(done["fills"]) == 1
    assert done["cuts"].empty
    np.testing.assert_allclose(done["equity_curve"]["equity"], expected, rtol=1e-12)


def test_stocks_that_ship(engine: str) -> None:
    for bars in stocks(SHIPPED / "equities_daily.parquet").values():
        check(engine, bars, 1.0, "open")


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("price", ["open", "close"])
def test_each_of_the_88_stocks(engine: str, price: str) -> None:
    found = stocks(SHARED / "equities_daily.parquet")
    assert len(found) == 88
    for number, bars in enumerate(found.values()):
        check(engine, bars, 1.0 if number % 2 else 0.01, price)


@pytest.mark.slow
@needs_shared
def test_all_88_stocks_at_once(engine: str) -> None:
    """One account: a ninetieth of the capital in each, on days that they do not all share."""
    found = stocks(SHARED / "equities_daily.parquet")
    prices = pd.concat(found, names=["symbol", "time"]).swaplevel().sort_index()
    closes, part = prices["close"].unstack("symbol").ffill(), CAPITAL / 90
    expected, signals = pd.Series(CAPITAL, index=closes.index), {}
    for symbol, bars in found.items():
        size = floor(part / bars["close"].iloc[0] / 0.001) * 0.001
        own = by_pandas(bars, 0.0, size, "open")
        expected += own.reindex(closes.index).ffill().fillna(0.0)
        signals[bars.index[0], symbol] = size * bars["close"].iloc[0]
    weights = pd.Series(signals)
    equity = expected.reindex(weights.index.get_level_values(0)).to_numpy()
    frame = pd.DataFrame({"weight": weights / equity}).rename_axis(["time", "symbol"]).sort_index()
    done = engine_registry.create(
        engine, commission=COMMISSION, slippage=SLIPPAGE, capital=CAPITAL, lot=0.001, price="next_open"
    ).run(prices, frame)
    assert len(done["fills"]) == 88
    np.testing.assert_allclose(done["equity_curve"]["equity"], expected, rtol=1e-9)
