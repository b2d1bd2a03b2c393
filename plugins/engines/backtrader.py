"""The engine `backtrader`."""

from typing import Any

import pandas as pd

from plugins.engines import BaseBacktestEngine, engine_registry
from plugins.engines.market import prepare
from plugins.engines.params import EngineParams
from plugins.engines.results.frames import result
from schemas.errors import PluginError


@engine_registry.register("backtrader")
class BacktraderEngine(BaseBacktestEngine):
    """Cerebro with a strategy fed by the signals, by the execution contract of `plugins.engines.contract`.

    Parameters: those of a strategy's `execution` section, `interval` and `risk_free`.

    Notes
    -----
    Event by event, so its time goes with bars and fills (about 50 µs a fill). backtrader is licensed under the GPL,
    version 3: a program that you give away together with it falls under that licence. It is not installed unless you
    ask: ``alphawire[backtest]``.

    References
    ----------
    backtrader 1.9.78.123, by Daniel Rodriguez.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=3, tz="UTC")
    >>> prices = pd.DataFrame({"open": [10.0, 10.0, 11.0], "close": [10.0, 11.0, 12.0]}, index=days)
    >>> signals = pd.DataFrame({"signal": ["BUY", "HOLD", "HOLD"]}, index=days)
    >>> done = BacktraderEngine(commission=0.0, slippage=0.0, capital=1000.0).run(prices, signals)
    >>> done["equity_curve"]["equity"].tolist()
    [1000.0, 1100.0, 1200.0]
    """

    Params = EngineParams
    cost = "slow"
    packages = {"backtrader": "alphawire[backtest]"}

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        try:
            from plugins.engines import _cerebro
        except ModuleNotFoundError as error:
            raise PluginError(f"backtrader: {error.name} is not installed; pip install 'alphawire[backtest]'") from None
        params = EngineParams(**self.params)
        execution = params.execution()
        market = prepare(prices, signals, execution)
        return result(market, _cerebro.simulate(market, execution), execution, params.interval, params.risk_free)
