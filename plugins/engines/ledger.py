"""The engine `ledger`."""

from typing import Any

import pandas as pd

from plugins.engines import BaseBacktestEngine, engine_registry
from plugins.engines.account.account import simulate
from plugins.engines.market import Bars, FloatArray, decisions_on, prepare
from plugins.engines.params import EngineParams
from plugins.engines.results.frames import measured, result
from plugins.engines.results.metrics import Metrics


@engine_registry.register("ledger")
class LedgerEngine(BaseBacktestEngine):
    """The execution contract itself, compiled: one step over each row of bars, on a state of a few numbers a symbol.

    Parameters: those of a strategy's `execution` section, `interval` and `risk_free`.

    Notes
    -----
    It needs no library that is not there anyway, and nothing is licensed but alphawire. The step is the one that an
    account can take bar by bar (`plugins.engines.account.account.Account`): its state can be stored between any two
    rows, and the fills stay the same to the last bit. The first run on a machine compiles it for some seconds.

    References
    ----------
    The execution contract, in ``docs/design.md``; `plugins.engines.contract` has its arithmetic.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=3, tz="UTC")
    >>> prices = pd.DataFrame({"open": [10.0, 10.0, 11.0], "close": [10.0, 11.0, 12.0]}, index=days)
    >>> signals = pd.DataFrame({"signal": ["BUY", "HOLD", "HOLD"]}, index=days)
    >>> done = LedgerEngine(commission=0.0, slippage=0.0, capital=1000.0).run(prices, signals)
    >>> done["equity_curve"]["equity"].tolist()
    [1000.0, 1100.0, 1200.0]
    """

    Params = EngineParams
    cost = "fast"

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        params = EngineParams(**self.params)
        execution = params.execution()
        market = prepare(prices, signals, execution)
        return result(market, simulate(market, execution), execution, params.interval, params.risk_free)

    def measure(self, bars: Bars, signals: pd.DataFrame, periods: float) -> tuple[Metrics, FloatArray]:
        """The metrics and the equity of `run`, without its tables.

        Parameters
        ----------
        bars
            Prepared once for many sets of signals, by `plugins.engines.market.prepare_bars`.
        signals
            `weight` or `signal`, and the columns `symbol` and `time` (ms).
        periods
            Bars in a year.
        """
        params = EngineParams(**self.params)
        execution = params.execution()
        market = decisions_on(bars, signals, execution)
        log = simulate(market, execution)
        return measured(market, log, execution, periods, params.risk_free), log.equity
