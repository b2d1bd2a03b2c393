"""vectorbt's part of its engine. Imported only when the engine runs, since vectorbt is optional.

vectorbt's own simulators cannot follow the execution contract (an order on a missing bar vanishes, its granularity
rounds the order and not the target, it has no leverage). So the orders are the ledger's, one after the other, and
vectorbt executes each (`execute_order_nb`: price, fees, side); cash and equity follow from what it says was filled. It
refuses what it thinks cannot be paid: so it executes on unlimited credit.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from vectorbt.portfolio.enums import OrderStatus, ProcessOrderState
from vectorbt.portfolio.nb import execute_order_nb, order_nb

from plugins.engines.account.account import simulate as simulate_ledger
from plugins.engines.contract import cash_after
from plugins.engines.market import FloatArray, IntArray, Market
from plugins.engines.results.frames import EngineLog, Records
from plugins.fold.kernel import compile_function, is_cached
from schemas.configuration import Execution
from schemas.errors import PluginError

FILLED = int(OrderStatus.Filled)


def simulate(market: Market, execution: Execution, compiling: Any = None) -> EngineLog:
    """The ledger's orders, filled by vectorbt; `compiling` is called before the loop is compiled for the first time."""
    if compiling and not is_cached(execute):
        compiling()
    ordered = simulate_ledger(market, execution)
    fills, refused = ordered.fills.copy(), np.zeros(1, np.int64)
    costs = np.array([execution.capital, execution.commission, execution.slippage])
    given = fills, np.require(market.lots, requirements=["C", "W"]), costs, refused
    compile_function(execute, *given)(*given)
    if refused[0]:
        raise PluginError(f"vectorbt refused {refused[0]} orders; is the lot ({market.lots.min():g}) too small for it?")
    last = np.searchsorted(fills["row"], np.arange(len(market.times)), side="right")
    cash = np.concatenate([[execution.capital], fills["cash"]])[last]
    return replace(ordered, fills=fills, cash=cash)


def execute(fills: Records, lots: FloatArray, costs: FloatArray, refused: IntArray) -> None:
    """Each order in turn, and the cash that its fill leaves; `costs`: cash before, commission, slippage."""
    cash, commission, slippage = costs[0], costs[1], costs[2]
    for number in range(len(fills)):
        fill = fills[number]
        lot = lots[fill.symbol]
        size, held = fill.lots * lot, (fill.position - fill.lots) * lot
        state = ProcessOrderState(np.inf, held, 0.0, 0.0, fill.mark, np.nan, 0, 0)
        order = order_nb(size=size, price=fill.mark, fees=commission, slippage=slippage)
        done = execute_order_nb(state, order)[1]
        if done.status != FILLED or done.size != abs(size):
            refused[0] += 1
            continue
        cash = cash_after(cash, size, done.price, done.fees)
        fill.price, fill.commission, fill.cash = done.price, done.fees, cash
