"""The engine `vectorbt`."""

import logging
from typing import Any

import pandas as pd

from plugins.engines import BaseBacktestEngine, engine_registry
from plugins.engines.market import prepare
from plugins.engines.params import EngineParams
from plugins.engines.results.frames import result
from schemas.errors import PluginError

logger = logging.getLogger("alphawire.engines")


@engine_registry.register("vectorbt")
class VectorbtEngine(BaseBacktestEngine):
    """vectorbt's fills and its Portfolio, by the execution contract of `plugins.engines.contract`.

    Parameters: those of a strategy's `execution` section, `interval` and `risk_free`. Beside the common results `run`
    returns portfolio, a `vectorbt.Portfolio` of the same fills, for vectorbt's own plots and statistics. It has the
    bars' interval as its frequency. Its statistics count every bar as one interval and a year as 365 days, whatever
    hours the market has, so that its Sharpe ratio is another than the one in the metrics: set
    ``vectorbt.settings.returns["year_freq"]`` or give ``year_freq`` to its methods.

    Notes
    -----
    The orders are those of the engine `ledger`; vectorbt fills each in one compiled loop. That is compiled once, which
    is told in a line, and then found on disk; the first use in a process also imports vectorbt (some seconds).
    vectorbt is licensed under the Apache License 2.0 with the Commons Clause: you may use it, but not sell a product
    or a service whose value derives from it. It is not installed unless you ask: ``alphawire[vectorbt]``.

    References
    ----------
    vectorbt 1.2.0, by Oleg Polakow.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=3, tz="UTC")
    >>> prices = pd.DataFrame({"open": [10.0, 10.0, 11.0], "close": [10.0, 11.0, 12.0]}, index=days)
    >>> signals = pd.DataFrame({"signal": ["BUY", "HOLD", "HOLD"]}, index=days)
    >>> done = VectorbtEngine(commission=0.0, slippage=0.0, capital=1000.0).run(prices, signals)
    >>> done["equity_curve"]["equity"].tolist()
    [1000.0, 1100.0, 1200.0]
    """

    Params = EngineParams
    cost = "fast"
    packages = {"vectorbt": "alphawire[vectorbt]"}

    def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
        try:
            from plugins.engines import _executed, _portfolio
        except ModuleNotFoundError as error:
            raise PluginError(f"vectorbt: {error.name} is not installed; pip install 'alphawire[vectorbt]'") from None
        params = EngineParams(**self.params)
        execution = params.execution()
        market = prepare(prices, signals, execution)
        log = _executed.simulate(market, execution, compiling=_tell)
        report = result(market, log, execution, params.interval, params.risk_free)
        return {**report, "portfolio": _portfolio.portfolio(market, log, execution, params.interval)}


def _tell() -> None:
    logger.warning("vectorbt: compiling the loop, once; this takes up to half a minute, and later runs find it on disk")
