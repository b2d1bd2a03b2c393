"""A peer of the replay, in its own environment: NautilusTrader's backtest of one instrument's minute bars, a strategy
in Python with four indicators and a threshold. Prints bars and seconds of the run.
"""

import sys
import time

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import AverageTrueRange, BollingerBands, RateOfChange, RelativeStrengthIndex
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class Threshold(Strategy):
    """Decides on each bar, and orders nothing."""

    def __init__(self, bar_type: BarType) -> None:
        super().__init__(StrategyConfig())
        self.bar_type, self.decisions = bar_type, {"BUY": 0, "SELL": 0, "HOLD": 0}
        self.rsi, self.atr = RelativeStrengthIndex(14), AverageTrueRange(14)
        self.momentum, self.bands = RateOfChange(20), BollingerBands(20, 1.0)

    def on_start(self) -> None:
        for indicator in (self.rsi, self.atr, self.momentum, self.bands):
            self.register_indicator_for_bars(self.bar_type, indicator)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Bar) -> None:
        width = self.bands.upper - self.bands.middle
        score = (float(bar.close) - self.bands.middle) / width if width else 0.0
        score += self.momentum.value + self.rsi.value - 0.5 + self.atr.value
        self.decisions["BUY" if score > 1.0 else "SELL" if score < -1.0 else "HOLD"] += 1


def main(count: int) -> None:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("XNAS"), OmsType.NETTING, AccountType.CASH, [Money(100_000, USD)], base_currency=USD)
    instrument = TestInstrumentProvider.equity("AAPL", "XNAS")
    engine.add_instrument(instrument)
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(7).normal(0.0, 0.001, count)))
    times = pd.date_range("2013-09-24", periods=count, freq="min", tz="UTC")
    frame = pd.DataFrame({"open": close, "high": close + 0.05, "low": close - 0.05, "close": close}, times)
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    engine.add_data(BarDataWrangler(bar_type, instrument).process(frame.round(2)))
    strategy = Threshold(bar_type)
    engine.add_strategy(strategy)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    assert sum(strategy.decisions.values()) == count, strategy.decisions
    print(count, seconds)


main(int(sys.argv[1]))
