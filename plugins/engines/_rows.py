"""vectorbt's part of its engine: the loop over rows, compiled. Imported only when the engine runs.

vectorbt makes the fills (`execute_order_nb`: price, fees, side) and what its `Portfolio` tells of them. Its own
simulators cannot follow the execution contract (an order on a missing bar vanishes, its granularity rounds the order
and not the target, it has no leverage), so the orders come from this loop, by the functions of
`plugins.engines.contract`, compiled as they stand. vectorbt refuses what it thinks cannot be paid: so it executes on
unlimited credit, and cash follows by the contract's arithmetic from what it says was filled.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from vectorbt.portfolio.enums import OrderStatus, ProcessOrderState
from vectorbt.portfolio.nb import execute_order_nb, order_nb

from plugins.engines.contract import cash_after, coverable_lots, openable_lots, reducing_lots, slipped, target_lots
from plugins.engines.market import FloatArray, IntArray, Market
from plugins.engines.results.frames import CUT, FILL, FOLLOWED, LIMIT, NO_CASH, PENDING, EngineLog, Records
from plugins.fold.kernel import compile_function, is_cached
from schemas.configuration import Execution
from schemas.errors import PluginError

FILLED = int(OrderStatus.Filled)


class Rules(NamedTuple):
    """The fields of `execution` that the loop needs; `at_open` and `same_close` say which price fills, `lots` are by
    symbol.
    """

    commission: float
    slippage: float
    lots: FloatArray
    leverage: float
    at_open: bool
    same_close: bool


class Bars(NamedTuple):
    """A `Market` without its names; `price` is what fills: the open or the close."""

    first: IntArray
    symbol: IntArray
    price: FloatArray
    close: FloatArray
    tradable: NDArray[np.bool_]
    decided_first: IntArray
    decided_symbol: IntArray
    decided_weight: FloatArray


class Book(NamedTuple):
    """All that changes. By symbol: lots, mark, value, and the order that waits (its row is -1 if there is none) with
    its opening part; `cash` has one element; `counts` are those of fills, of cuts, and of what vectorbt refused.
    """

    cash: FloatArray
    lots: IntArray
    marks: FloatArray
    values: FloatArray
    decided: IntArray
    weight: FloatArray
    ordered: IntArray
    opening: IntArray
    counts: IntArray
    fills: Records
    cuts: Records


def simulate(market: Market, execution: Execution, compiling: Any = None) -> EngineLog:
    """Runs the loop over `market`; `compiling` is called before it is compiled for the first time."""
    if compiling and not is_cached(run_rows):
        compiling()
    bars, book = _bars(market, execution), _book(market, execution.capital)
    rules = Rules(
        execution.commission,
        execution.slippage,
        np.require(market.lots, requirements=["C", "W"]),
        execution.leverage,
        execution.price == "next_open",
        execution.price == "this_close",
    )
    cash, equity = np.empty(len(market.times)), np.empty(len(market.times))
    compile_function(run_rows, bars, rules, book, cash, equity)(bars, rules, book, cash, equity)
    fills, cuts, refused = book.counts.tolist()
    if refused:
        raise PluginError(f"vectorbt refused {refused} orders; is the lot ({market.lots.min():g}) too small for it?")
    waiting = np.flatnonzero(book.decided >= 0)
    pending = np.zeros(len(waiting), PENDING)
    pending["symbol"], pending["decided"] = waiting, book.decided[waiting]
    pending["weight"], pending["lots"] = book.weight[waiting], book.ordered[waiting]
    return EngineLog(book.fills[:fills], book.cuts[:cuts], pending, cash, equity)


def _bars(market: Market, execution: Execution) -> Bars:
    rows = np.arange(len(market.times) + 1)
    price = market.open if execution.price == "next_open" else market.close
    bars = Bars(
        market.first,
        market.symbol,
        price,
        market.close,
        market.tradable,
        np.searchsorted(market.decision_row, rows),
        market.decision_symbol,
        market.decision_weight,
    )
    return Bars._make(np.require(column, requirements=["C", "W"]) for column in bars)


def _book(market: Market, capital: float) -> Book:
    symbols, most = len(market.symbols), 2 * len(market.decision_row)
    return Book(
        np.array([capital]),
        np.zeros(symbols, np.int64),
        np.zeros(symbols),
        np.zeros(symbols),
        np.full(symbols, -1),
        np.zeros(symbols),
        np.zeros(symbols, np.int64),
        np.zeros(symbols, np.int64),
        np.zeros(3, np.int64),
        np.empty(most, FILL),
        np.empty(most, CUT),
    )


def run_rows(bars: Bars, rules: Rules, book: Book, cash: FloatArray, equity: FloatArray) -> None:
    """Row by row what the contract says: fill, mark, note down, decide; at this_close decide before."""
    for row in range(len(cash)):
        if not rules.at_open:
            mark_closes(bars, book, rules.lots, row)
        if rules.same_close:
            decide(bars, book, rules.lots, row)
        fill_orders(bars, rules, book, row)
        if rules.at_open:
            mark_closes(bars, book, rules.lots, row)
        cash[row] = book.cash[0]
        equity[row] = book.cash[0] + total(book.values)
        if not rules.same_close:
            decide(bars, book, rules.lots, row)


def mark_closes(bars: Bars, book: Book, lots: FloatArray, row: int) -> None:
    """Values what is held at this row's closes."""
    for bar in range(bars.first[row], bars.first[row + 1]):
        symbol = bars.symbol[bar]
        book.marks[symbol] = bars.close[bar]
        book.values[symbol] = book.lots[symbol] * lots[symbol] * bars.close[bar]


def decide(bars: Bars, book: Book, lots: FloatArray, row: int) -> None:
    """Sizes from the equity and the close known now; a new order replaces one that waits, even by nothing."""
    begin, end = bars.decided_first[row], bars.decided_first[row + 1]
    if begin == end:
        return
    equity = book.cash[0] + total(book.values)
    for place in range(begin, end):
        symbol, weight = bars.decided_symbol[place], bars.decided_weight[place]
        order = target_lots(weight, equity, book.marks[symbol], lots[symbol]) - book.lots[symbol]
        book.decided[symbol] = row if order != 0 else -1
        book.weight[symbol], book.ordered[symbol] = weight, order


def fill_orders(bars: Bars, rules: Rules, book: Book, row: int) -> None:
    """Orders of the symbols that trade in this row: first what reduces, then what opens, each by symbol."""
    begin, end = bars.first[row], bars.first[row + 1]
    for bar in range(begin, end):
        symbol = bars.symbol[bar]
        if bars.tradable[bar] and book.decided[symbol] >= 0:
            reducing = reducing_lots(book.lots[symbol], book.ordered[symbol])
            book.opening[symbol] = book.ordered[symbol] - reducing
            if reducing != 0:
                trade(rules, book, row, symbol, False, reducing, bars.price[bar])
    for bar in range(begin, end):
        symbol = bars.symbol[bar]
        if bars.tradable[bar] and book.decided[symbol] >= 0:
            if book.opening[symbol] != 0:
                trade(rules, book, row, symbol, True, book.opening[symbol], bars.price[bar])
            book.decided[symbol] = -1


def trade(rules: Rules, book: Book, row: int, symbol: int, opens: bool, wanted: int, price: float) -> None:
    """One part of an order: cut, filled by vectorbt, and written down."""
    lots, reason = allowed_lots(rules, book, symbol, opens, wanted, price)
    if lots != wanted:
        cut = book.cuts[book.counts[1]]
        cut.row, cut.symbol, cut.decided, cut.opens = row, symbol, book.decided[symbol], opens
        cut.wanted, cut.filled, cut.reason = wanted, lots, reason
        book.counts[1] += 1
    if lots == 0:
        return
    size = lots * rules.lots[symbol]
    state = ProcessOrderState(np.inf, book.lots[symbol] * rules.lots[symbol], 0.0, 0.0, price, np.nan, 0, 0)
    order = order_nb(size=size, price=price, fees=rules.commission, slippage=rules.slippage)
    done = execute_order_nb(state, order)[1]
    if done.status != FILLED or done.size != abs(size):
        book.counts[2] += 1
        return
    book.lots[symbol] += lots
    book.values[symbol] = book.lots[symbol] * rules.lots[symbol] * book.marks[symbol]
    book.cash[0] = cash_after(book.cash[0], size, done.price, done.fees)
    fill = book.fills[book.counts[0]]
    fill.row, fill.symbol, fill.decided, fill.opens = row, symbol, book.decided[symbol], opens
    fill.lots, fill.price, fill.commission = lots, done.price, done.fees
    fill.cash, fill.position = book.cash[0], book.lots[symbol]
    book.counts[0] += 1


def allowed_lots(rules: Rules, book: Book, symbol: int, opens: bool, wanted: int, mark: float) -> tuple[int, int]:
    """How many of the `wanted` lots the contract lets through at `mark`, and the reason if they are fewer."""
    held, lot = book.lots[symbol], rules.lots[symbol]
    if not opens and wanted < 0:
        return wanted, LIMIT
    if opens and held != 0 and (held > 0) != (wanted > 0):
        return 0, FOLLOWED
    price = slipped(mark, wanted, rules.slippage)
    net, shorts = exposure(book.values, symbol, held * lot * mark)
    cash = book.cash[0]
    equity = cash + net
    if opens:
        lots = openable_lots(wanted, equity, cash, shorts, mark, price, rules.commission, rules.leverage, lot)
        return lots, LIMIT
    return coverable_lots(wanted, equity, cash, price, rules.commission, rules.leverage, lot), NO_CASH


def total(values: FloatArray) -> float:
    """Added in the order of the symbols, so that every engine gets the same bits."""
    added = 0.0
    for value in values:
        added += value
    return added


def exposure(values: FloatArray, symbol: int, value: float) -> tuple[float, float]:
    """Value of all positions and of the short ones (positive), with the one of `symbol` taken at `value`."""
    added = shorts = 0.0
    for number in range(len(values)):
        one = value if number == symbol else values[number]
        added += one
        if one < 0.0:
            shorts -= one
    return added, shorts
