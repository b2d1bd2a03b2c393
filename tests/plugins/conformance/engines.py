"""Backtest engines, clean and faulty: an exact ledger that knows nothing of ours, bent in different ways."""

import os
import random
import tempfile
from pathlib import Path

import pandas as pd
from pydantic import ConfigDict

from plugins.base import BaseBacktestEngine
from schemas.configuration import Execution
from tests.plugins.conformance.table import clean, faulty
from tests.plugins.engines.ledger import Ledger

RATES = Path(tempfile.gettempdir()) / f"conformance_rates_{os.getuid()}.txt"


class LedgerEngine(BaseBacktestEngine):
    Params = Execution

    def run(self, prices, signals):
        book = Ledger(prices, signals, self.rules()).run()
        times = prices.index.get_level_values("time").unique()
        equity = pd.DataFrame({"equity": [float(value) for value in book.equity]}, times)
        return {"trades": pd.DataFrame(), "equity_curve": equity, "metrics": self.metrics(equity["equity"])}

    def rules(self):
        return dict(self.params)

    def metrics(self, equity):
        return {"final_equity": float(equity.iloc[-1])}


@clean
class ExactLedger(LedgerEngine):
    pass


@faulty("execution_contract")
class FreeOfCharge(LedgerEngine):
    def rules(self):
        return self.params | {"commission": 0.0}


@faulty("execution_contract")
class NoSlippage(LedgerEngine):
    def rules(self):
        return self.params | {"slippage": 0.0}


@faulty("execution_contract")
class FillsAtTheClose(LedgerEngine):
    """At the close that decided: the look-ahead of most tutorials."""

    def rules(self):
        return self.params | {"price": "next_close"}


@faulty("execution_contract")
class FillsWithoutVolume(LedgerEngine):
    def run(self, prices, signals):
        return super().run(prices.drop(columns="volume"), signals)


@faulty("no_look_ahead")
class KnowsTheNextOpen(LedgerEngine):
    """Values each bar at the next one's close."""

    def run(self, prices, signals):
        later = prices.copy()
        later["close"] = later.groupby(level="symbol")["close"].shift(-1).fillna(later["close"])
        return super().run(later, signals)


@faulty("reports")
class OtherMetrics(LedgerEngine):
    def metrics(self, equity):
        return {"final_equity": float(equity.iloc[-1]), "sharpe": float("inf")}


@faulty("computes")
class NoCurve(LedgerEngine):
    def run(self, prices, signals):
        return {"trades": pd.DataFrame(), "metrics": {}}


@faulty("reads_its_input_alone")
class FeesFromAFile(LedgerEngine):
    def run(self, prices, signals):
        RATES.write_text("0.0")
        return super().run(prices, signals) | {"fees": RATES.read_text()}


@faulty("input_untouched")
class SortsSignals(LedgerEngine):
    def run(self, prices, signals):
        prices["mid"] = (prices["high"] + prices["low"]) / 2
        return super().run(prices, signals)


@faulty("repeatable")
class RandomSlippage(LedgerEngine):
    def rules(self):
        return self.params | {"slippage": random.uniform(0.0, 0.001)}


@faulty("parameters")
class AnySetting(LedgerEngine):
    """A mistyped setting is ignored."""

    class Params(Execution):
        model_config = ConfigDict(extra="ignore")


@faulty("speed")
class CompiledItSays(LedgerEngine):
    cost = "compiled"
