"""An engine's fills as a `vectorbt.Portfolio`. Imported only when the engine runs, since vectorbt is optional."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import OrderSide, log_dt, order_dt

from plugins.engines.market import FloatArray, Market
from plugins.engines.results.frames import EngineLog, Records
from schemas.configuration import Execution
from schemas.wire import bar_length


def portfolio(market: Market, log: EngineLog, execution: Execution, interval: str | None = None) -> Any:
    """All symbols as one group that shares its cash; a symbol's close before its first bar is its first close. One bar
    is `interval` long, else the shortest distance of two times.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the resolution of times, and of names of arguments in pandas
        wrapper = vbt.ArrayWrapper(market.times, market.symbols, 2, freq=_frequency(market, interval), group_by=True)
        return vbt.Portfolio(
            wrapper,
            market.closes(),
            _orders(log.fills, market.lots),
            np.empty(0, log_dt),
            np.array([execution.capital]),
            True,
            fillna_close=True,
        )


def _frequency(market: Market, interval: str | None) -> pd.Timedelta | None:
    if interval is not None and (length := bar_length(interval)):
        return pd.Timedelta(milliseconds=length)
    return pd.Series(market.times).diff().min() if len(market.times) > 1 else None


def _orders(fills: Records, sizes: FloatArray) -> Any:
    """vectorbt's records, in the order that it wants: by symbol, and in time."""
    order = np.argsort(fills["symbol"], kind="stable")
    lots = fills["lots"][order]
    orders = np.empty(len(order), order_dt)
    orders["id"] = np.arange(len(order))
    orders["col"], orders["idx"] = fills["symbol"][order], fills["row"][order]
    orders["size"] = np.abs(lots) * sizes[orders["col"]]
    orders["side"] = np.where(lots > 0, OrderSide.Buy, OrderSide.Sell)
    orders["price"], orders["fees"] = fills["price"][order], fills["commission"][order]
    return orders
