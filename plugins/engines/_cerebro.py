"""The parts of backtrader that the adapter extends. Imported only when the engine runs, since backtrader is optional.

backtrader keeps orders and positions, and makes the fills: price, commission, sequence. What is bent, and why:

- **Size counts lots** (`LotCommission`), so that positions are integers and a closed one is exactly zero.
- **Cash** (`Broker.balance`): backtrader refuses an order that takes the cash below zero, be it by a rounding error
  or on margin. So it executes on unlimited credit, and the balance follows by the contract's arithmetic from what it
  says was filled, and at what cost.
- **The cut** is backtrader's volume filler: it says how many lots of an order may be filled, and what is left is
  cancelled.
- **Order of fills**: orders are submitted in ``next_open``, sorted, and executed at once (cheat on open), each seeing
  the cash that the one before left. For fills at the close the feed's open *is* the close.
- **Times** are row numbers, in steps that a float64 holds exactly; dates as floats would shift most millisecond stamps.
- **Late starts**: a strategy sleeps until all its feeds have begun; here it does not (`prenext` and its kin).
"""

import math
import warnings
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugins.engines import contract
from plugins.engines.market import Market
from plugins.engines.results.frames import CUT, FILL, FOLLOWED, LIMIT, NO_CASH, PENDING, EngineLog
from schemas.configuration import Execution

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # of its docstrings, from Python 3.12 on
    import backtrader as bt

ROWS_PER_DAY = 1024
"""Rows in a day of backtrader's calendar: its last year, 9999, is then four thousand million rows away."""


class Feed(bt.feed.DataBase):  # type: ignore[misc]
    """One symbol's bars, put into the lines as they are: (row, the price to fill at, close)."""

    params = (("rows", ()), ("marks", ()), ("closes", ()))

    def preload(self) -> None:
        marks, closes = array("d", self.p.marks), array("d", self.p.closes)
        zeros = array("d", bytes(8 * len(marks)))
        times = array("d", [1.0 + row / ROWS_PER_DAY for row in self.p.rows])
        values = {"datetime": times, "open": marks, "close": closes}
        for name in self.getlinealiases():
            getattr(self.lines, name).array = array("d", values.get(name, zeros))
        self.home()

    def _tick_nullify(self) -> None:
        """No bar comes of ticks: noting the last one takes a good part of a run."""

    def _tick_fill(self, force: bool = False) -> None:
        """The same."""


class LotCommission(bt.CommInfoBase):  # type: ignore[misc]
    """A stock whose sizes are lots: value, profit and commission of `size` lots at a price for a share."""

    params = (("lot", 1.0), ("stocklike", True), ("commtype", bt.CommInfoBase.COMM_PERC), ("percabs", True))

    def getvaluesize(self, size: int, price: float) -> float:
        return float(size * self.p.lot * price)

    def getoperationcost(self, size: int, price: float) -> float:
        return float(abs(size) * self.p.lot * price)

    def getvalue(self, position: Any, price: float) -> float:
        return float(position.size * self.p.lot * price)

    def profitandloss(self, size: int, price: float, newprice: float) -> float:
        return float(size * self.p.lot * (newprice - price))

    def _getcommission(self, size: int, price: float, pseudoexec: bool) -> float:
        return contract.fee(size * self.p.lot, price, self.p.commission)


@dataclass
class Order:
    """A decision that waits for its symbol's next bar."""

    decided: int
    weight: float
    lots: int


@dataclass
class Part:
    """The reducing or the opening part of an order, sent to the broker in this row; `reason` is why it was cut."""

    symbol: int
    decided: int
    opens: bool
    wanted: int
    reason: int = LIMIT


@dataclass
class Diary:
    """What becomes the engine's `Log`, row by row: tuples in the order of the fields of `FILL`, `CUT`, `PENDING`."""

    fills: list[tuple[Any, ...]] = field(default_factory=list)
    cuts: list[tuple[Any, ...]] = field(default_factory=list)
    pending: list[tuple[Any, ...]] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    net: list[float] = field(default_factory=list)

    def log(self) -> EngineLog:
        return EngineLog(
            np.array(self.fills, FILL),
            np.array(self.cuts, CUT),
            np.array(self.pending, PENDING),
            np.array(self.cash),
            np.array(self.net),
        )


class Broker(bt.brokers.BackBroker):  # type: ignore[misc]
    """backtrader's broker with the contract's cut and cash."""

    def prepare(self, execution: Execution, market: Market, log: Diary) -> None:
        self.execution = execution
        self.sizes: list[float] = market.lots.tolist()
        self.log = log
        self.row = -1
        self.balance = execution.capital
        self.parts: dict[int, Part] = {}
        self.lots = [0] * len(market.symbols)
        self.marks = [0.0] * len(market.symbols)
        self.values = [0.0] * len(market.symbols)
        self.setcash(execution.capital)
        self.set_checksubmit(False)
        self.set_shortcash(True)
        self.set_slippage_perc(execution.slippage, slip_open=True, slip_match=True, slip_out=True)
        for name, lot in zip(market.symbols, self.sizes, strict=True):
            self.addcommissioninfo(LotCommission(lot=lot, commission=execution.commission), name=name)
        self.set_filler(self.allowed)

    def mark(self, symbol: int, price: float) -> None:
        """Value a symbol's position at `price` from now on."""
        self.marks[symbol] = price
        self.values[symbol] = self.lots[symbol] * self.sizes[symbol] * price

    def equity(self) -> float:
        return self.balance + sum(self.values)

    def allowed(self, order: Any, price: float, _ago: int) -> int:
        """The filler: how many lots of `order` the contract lets through at `price`, unsigned."""
        part = self.parts[order.ref]
        held = self.lots[part.symbol]
        if not part.opens and part.wanted < 0:
            return -part.wanted
        if part.opens and held * part.wanted < 0:
            part.reason = FOLLOWED
            return 0
        execution, mark, lot = self.execution, order.data.open[0], self.sizes[part.symbol]
        values = self.values.copy()
        values[part.symbol] = held * lot * mark
        equity, shorts = self.balance + sum(values), -sum(value for value in values if value < 0.0)
        costs = (execution.commission, execution.leverage, lot)
        if part.opens:
            part.reason = LIMIT
            return abs(contract.openable_lots(part.wanted, equity, self.balance, shorts, mark, price, *costs))
        part.reason = NO_CASH
        return abs(contract.coverable_lots(part.wanted, equity, self.balance, price, *costs))

    def next(self) -> None:
        """Tries what waits. What backtrader does besides for each position is nothing here, and takes its time:
        no interest, no daily settlement, and the account's value is `equity`.
        """
        while self._toactivate:
            self._toactivate.popleft().activate()
        for _ in range(len(self.pending)):
            order = self.pending.popleft()
            if order.active():
                self._try_exec(order)
            if order.alive():
                self.pending.append(order)

    def notify(self, order: Any) -> None:
        """Nobody listens: the copies that backtrader makes for its listeners cost more than the fills."""

    def _execute(self, order: Any, *args: Any, **kwargs: Any) -> None:
        self.cash = math.inf
        super()._execute(order, *args, **kwargs)
        self.cash = self.balance
        if not order.executed.size:
            return
        part, done = self.parts[order.ref], order.executed.exbits[-1]
        lot = self.sizes[part.symbol]
        fee = done.closedcomm + done.openedcomm
        self.cash = self.balance = contract.cash_after(self.balance, done.size * lot, done.price, fee)
        position = self.positions[order.data].size
        self.lots[part.symbol] = position
        self.values[part.symbol] = position * lot * self.marks[part.symbol]
        part_filled = (self.row, part.symbol, part.decided, part.opens)
        self.log.fills.append((*part_filled, done.size, order.data.open[0], done.price, fee, self.balance, position))


class Trader(bt.Strategy):  # type: ignore[misc]
    """Sends the orders that the signals mean, bar by bar."""

    params = (("market", None), ("execution", None), ("log", None))

    def __init__(self) -> None:
        market: Market = self.p.market
        self.first = market.first.tolist()
        self.bars = list(zip(market.symbol.tolist(), market.close.tolist(), market.tradable.tolist(), strict=True))
        self.decisions: dict[int, list[tuple[int, float]]] = {}
        for row, symbol, weight in zip(
            market.decision_row.tolist(), market.decision_symbol.tolist(), market.decision_weight.tolist(), strict=True
        ):
            self.decisions.setdefault(row, []).append((symbol, weight))
        self.at_open = self.p.execution.price == "next_open"
        self.same_close = self.p.execution.price == "this_close"
        self.waiting: dict[int, Order] = {}
        self.sent: list[Any] = []

    def next_open(self) -> None:
        self.broker.row += 1
        if not self.at_open:
            self._mark()
        if self.same_close:
            self._decide()
        if self.waiting:
            self._send()

    def next(self) -> None:
        if self.at_open:
            self._mark()
        self._settle()
        self.p.log.cash.append(self.broker.balance)
        self.p.log.net.append(sum(self.broker.values))
        if not self.same_close:
            self._decide()

    prenext_open = nextstart_open = next_open
    prenext = nextstart = next

    def stop(self) -> None:
        self.p.log.pending += [
            (symbol, order.decided, order.weight, order.lots) for symbol, order in sorted(self.waiting.items())
        ]

    def _row_bars(self) -> list[tuple[int, float, bool]]:
        row = self.broker.row
        return self.bars[self.first[row] : self.first[row + 1]]

    def _mark(self) -> None:
        for symbol, close, _ in self._row_bars():
            self.broker.mark(symbol, close)

    def _decide(self) -> None:
        """Size from the equity and the close known now; a new order replaces one that waits, even by nothing."""
        decisions = self.decisions.get(self.broker.row)
        if not decisions:
            return
        broker = self.broker
        equity = broker.equity()
        for symbol, weight in decisions:
            target = contract.target_lots(weight, equity, broker.marks[symbol], broker.sizes[symbol])
            lots = target - broker.lots[symbol]
            self.waiting.pop(symbol, None)
            if lots:
                self.waiting[symbol] = Order(broker.row, weight, lots)

    def _send(self) -> None:
        """Orders of the symbols that trade in this row: first what reduces, then what opens, each by symbol."""
        opening = []
        for symbol, _, tradable in self._row_bars():
            if not tradable or symbol not in self.waiting:
                continue
            order = self.waiting.pop(symbol)
            reducing = contract.reducing_lots(self.broker.lots[symbol], order.lots)
            if reducing:
                self._submit(Part(symbol, order.decided, False, reducing))
            if order.lots != reducing:
                opening.append(Part(symbol, order.decided, True, order.lots - reducing))
        for part in opening:
            self._submit(part)

    def _submit(self, part: Part) -> None:
        send = self.broker.buy if part.wanted > 0 else self.broker.sell
        order = send(self, self.datas[part.symbol], abs(part.wanted))
        self.broker.parts[order.ref] = part
        self.sent.append(order)

    def _settle(self) -> None:
        """Cancels and lists what was cut of this row's orders."""
        for order in self.sent:
            part = self.broker.parts.pop(order.ref)
            if order.executed.size != part.wanted:
                self.broker.cancel(order)
                done = int(order.executed.size)
                self.p.log.cuts.append(
                    (self.broker.row, part.symbol, part.decided, part.opens, part.wanted, done, part.reason)
                )
        self.sent.clear()


def simulate(market: Market, execution: Execution) -> EngineLog:
    """Runs Cerebro over `market`."""
    log = Diary()
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True, runonce=True, preload=True)
    broker = Broker()
    broker.prepare(execution, market, log)
    cerebro.setbroker(broker)
    marks = market.open if execution.price == "next_open" else market.close
    row = market.row
    for number, name in enumerate(market.symbols):
        rows = market.symbol == number
        cerebro.adddata(
            Feed(rows=row[rows].tolist(), marks=marks[rows].tolist(), closes=market.close[rows].tolist()), name=name
        )
    cerebro.addstrategy(Trader, market=market, execution=execution, log=log)
    cerebro.run()
    return log.log()
