"""Backtest engines: 88 daily symbols through each, report included; a thousand symbols through ledger and vectorbt; a
point of a sweep; and the same strategy in plain backtrader and plain vectorbt, as their documentation shows.

The 88 are those of ../shared/data where it is, else random walks. Seconds are the processor's, the best of `ROUNDS`
after a warm-up: what is imported and compiled once does not count, and neither does what else runs on the machine.
"""

import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.engines.backtest import run_backtest
from backtest.sweep.measuring import Engine, run_point
from backtest.sweep.points import Point
from plugins.base.bars import COLUMNS
from plugins.engines import engine_registry
from schemas.configuration import Strategy

DAILY = Path(__file__).parents[2] / "shared" / "data" / "equities_daily.parquet"
ROUNDS, CAPITAL, COST = 2, 100_000.0, 0.0005
DAY_MS = 86_400_000
ALL = ("ledger", "backtrader", "vectorbt")
Frame = pd.DataFrame


def daily() -> Frame:
    """Bars by (time, symbol), all with a price."""
    if not DAILY.is_file():
        return walks(88, 1258)
    bars = pd.read_parquet(DAILY).dropna(subset=list(COLUMNS)).rename(columns={"timestamp": "time"})
    return bars.set_index(["time", "symbol"])[list(COLUMNS)].sort_index()


def walks(symbols: int, count: int) -> Frame:
    random = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.015, (count, symbols)), axis=0))
    opened = close * (1.0 + random.normal(0.0, 0.003, close.shape))
    times = pd.date_range("2012-09-04", periods=count, freq="D", tz="UTC")
    index = pd.MultiIndex.from_product([times, [f"S{n:04}" for n in range(symbols)]], names=["time", "symbol"])
    columns = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()} | {"volume": 1e6}, index)


def trend(prices: Frame, weight: float) -> Frame:
    """Long while a price is 5 % above that of 20 bars before, short while it is 5 % below: a target weight where that
    changes, NaN elsewhere.
    """
    change = prices["close"].groupby(level="symbol").pct_change(20)
    side = pd.Series(np.select([change > 0.05, change < -0.05], [1.0, -1.0], np.nan), prices.index)
    held = side.groupby(level="symbol").ffill()
    changed = held.notna() & (held != held.groupby(level="symbol").shift())
    return pd.DataFrame({"weight": (held * weight).where(changed)})


def restless(prices: Frame, weight: float) -> Frame:
    """A new target weight, long or short, at every other bar."""
    random = np.random.default_rng(11)
    sides = random.choice([-1.0, 1.0], len(prices)) * random.uniform(0.1, 1.0, len(prices))
    return pd.DataFrame({"weight": np.where(random.random(len(prices)) < 0.5, sides * weight, np.nan)}, prices.index)


def plain_backtrader(prices: Frame, weights: Frame) -> int:
    """A feed for each symbol, `order_target_percent` in `next`, three analyzers; returns its fills."""
    import backtrader as bt

    class Weights(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.fills = 0

        def notify_order(self, order: Any) -> None:
            self.fills += order.status == order.Completed

        def next(self) -> None:
            for data in self.datas:
                if not np.isnan(data.openinterest[0]):
                    self.order_target_percent(data, target=data.openinterest[0])

    cerebro = bt.Cerebro()
    for symbol, bars in prices.assign(openinterest=weights["weight"]).groupby(level="symbol"):
        frame = bars.droplevel("symbol")
        cerebro.adddata(bt.feeds.PandasData(dataname=frame.tz_localize(None), openinterest="openinterest"), name=symbol)
    cerebro.broker.setcash(CAPITAL)
    cerebro.broker.setcommission(COST)
    cerebro.broker.set_slippage_perc(COST)
    for analyzer in (bt.analyzers.SharpeRatio, bt.analyzers.DrawDown, bt.analyzers.TradeAnalyzer):
        cerebro.addanalyzer(analyzer)
    cerebro.addstrategy(Weights)
    return int(cerebro.run()[0].fills)


def plain_vectorbt(prices: Frame, weights: Frame) -> int:
    """`Portfolio.from_orders` with target percents and shared cash, its value and its statistics; returns its fills."""
    import vectorbt as vbt

    opened, close = (prices[name].unstack("symbol") for name in ("open", "close"))
    size = weights["weight"].unstack("symbol").shift()
    portfolio = vbt.Portfolio.from_orders(
        close, size, size_type="targetpercent", price=opened, init_cash=CAPITAL, fees=COST, slippage=COST,
        group_by=True, cash_sharing=True, call_seq="auto", freq="1D",
    )  # fmt: skip
    portfolio.value()
    portfolio.stats()
    return len(portfolio.orders.records)


def ours(key: str) -> Callable[[Frame, Frame], int]:
    engine = engine_registry.create(key, capital=CAPITAL, commission=COST, slippage=COST, interval="1d")
    return lambda prices, weights: len(engine.run(prices, weights)["fills"])


def as_strategy(prices: Frame, weights: Frame) -> tuple[Strategy, Frame, Frame]:
    """A strategy, its bars and its signals, as a replay gives them."""
    strategy = Strategy.model_validate({
        "interval": "1d", "features": ["technical.rsi"], "prediction": "rsi", "signal": "signal.threshold",
    })  # fmt: skip
    bars = prices.reset_index()
    close = bars.pop("time").dt.as_unit("ms").astype("int64") + DAY_MS
    bars = bars.assign(open_time=close - DAY_MS, close_time=close)
    return strategy, bars, weights.reset_index(drop=True).assign(symbol=bars["symbol"], time=close, signal="HOLD")


def reported(prices: Frame, weights: Frame, keys: Sequence[str] = ALL) -> int:
    """The engines `keys`, the tables and the report, as `alphawire backtest` does it; returns the fills of one."""
    strategy, bars, signals = as_strategy(prices, weights)
    with tempfile.TemporaryDirectory() as folder:
        results = run_backtest(strategy, bars, signals, keys, Path(folder) / "run")
    return len(results[keys[-1]]["fills"])


def point(prices: Frame, weights: Frame, rounds: int = 40) -> dict[str, float]:
    """Seconds of the processor for a point of a sweep, engines in turn, medians; bars are prepared once."""
    strategy, bars, signals = as_strategy(prices, weights)
    one = Point(0, {}, "")
    seconds: dict[str, list[float]] = {"vectorbt": [], "ledger": []}
    for engine, taken in [*seconds.items()] * rounds:
        begin = time.process_time()
        run_point(Engine(engine, None, "benchmark"), one, strategy, bars, signals)
        taken.append(time.process_time() - begin)
    return {engine: float(np.median(taken)) for engine, taken in seconds.items()}


def measured(run: Callable[[Frame, Frame], int], prices: Frame, weights: Frame) -> tuple[float, float, int]:
    """Seconds of the processor, seconds on the wall, fills."""
    best = (np.inf, np.inf, 0)
    for _ in range(ROUNDS + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        fills = run(prices, weights)
        best = min(best, (time.process_time() - cpu, time.perf_counter() - wall, fills))
    return best


def main(_engine: str = "tansu") -> None:
    warnings.simplefilter("ignore")
    few = daily()
    many, big = (
        walks(1000, 2000),
        {"ledger": ours("ledger"), "vectorbt": ours("vectorbt"), "plain vectorbt": plain_vectorbt},
    )
    cases = {
        "88 x 1,258": (few, trend(few, 1 / 88), {
            "ledger": ours("ledger"), "ledger and the report": lambda p, w: reported(p, w, ["ledger"]),
            "all engines and the report": reported, "backtrader": ours("backtrader"),
            "plain backtrader": plain_backtrader, "vectorbt": ours("vectorbt"), "plain vectorbt": plain_vectorbt,
        }),
        "1,000 x 2,000": (many, trend(many, 1 / 1000), big),
        "1,000 x 2,000 restless": (many, restless(many, 1 / 1000), big),
    }  # fmt: skip
    print(f"{'engines':<44} {'fills':>9} {'CPU, s':>8} {'wall, s':>8} {'ratio':>6} {'peak, MB':>9}")
    for size, (prices, weights, runs) in cases.items():
        seconds = {}
        for name, run in runs.items():
            cpu, wall, fills = measured(run, prices, weights)
            seconds[name] = cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            plain = seconds.get(name.removeprefix("plain ")) if name.startswith("plain ") else None
            ratio = f"{plain / cpu:6.2f}" if plain else f"{'':6}"
            print(f"{size + ', ' + name:<44} {fills:9,} {cpu:8.2f} {wall:8.2f} {ratio} {peak:9,.0f}")
    for engine, seconds in point(few, trend(few, 1 / 88)).items():
        print(f"point of a sweep, {engine:<26} {'':9} {seconds:8.4f}")
    print("ratio: ours over plain, so below 1 ours is faster; peak: of the process so far")


if __name__ == "__main__":
    main()
