"""Backtest engines, clean and faulty: an exact ledger that knows nothing of ours, bent in different ways."""

import pandas as pd

from plugins.base import BaseBacktestEngine
from schemas.config import Execution
from tests.plugins.conformance.table import clean, faulty
from tests.plugins.engines.ledger import Ledger


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
