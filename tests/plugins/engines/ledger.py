"""A ledger in exact fractions, written from the words of the execution contract alone: it judges the engines.

It shares no code with them. What an engine computes by a formula it finds by trying: the largest whole number of lots
after which the limit still holds. Prices, costs and capital are taken as the exact values of their floats; nothing is
ever rounded but to lots.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

ABSOLUTE, RELATIVE = Fraction(1, 10**9), Fraction(1, 2**46)
"""The contract forgives this much of a lot, and this share of a number of lots, when it rounds down."""


@dataclass
class Booked:
    """One fill: its bar's time, symbol, reduce or open, signed lots, price, cash after it."""

    bar: Any
    symbol: str
    part: str
    lots: int
    price: Fraction
    cash: Fraction


@dataclass
class Stock:
    """What is held of one symbol: lots (signed), what they cost, the commission paid for them, the first one's bar."""

    lots: int = 0
    cost: Fraction = Fraction(0)
    paid: Fraction = Fraction(0)
    since: Any = None


@dataclass
class Book:
    """All that happened. Cuts: (bar, symbol, part, wanted, filled); pending: (symbol, signal time, lots); below a lot:
    (symbol, signal time); trades: (symbol, entry bar, exit bar, lots, own bars from one to the other) and (entry price,
    exit price, commission, profit).
    """

    fills: list[Booked] = field(default_factory=list)
    trades: list[tuple[tuple[str, Any, Any, int, int], tuple[Fraction, ...]]] = field(default_factory=list)
    cuts: list[tuple[Any, str, str, int, int]] = field(default_factory=list)
    pending: list[tuple[str, Any, int]] = field(default_factory=list)
    below_lot: list[tuple[str, Any]] = field(default_factory=list)
    cash: list[Fraction] = field(default_factory=list)
    equity: list[Fraction] = field(default_factory=list)
    positions: list[dict[str, int]] = field(default_factory=list)


class Ledger:
    """Prices and signals by (time, symbol); `rules` are the fields of `execution`."""

    def __init__(self, prices: pd.DataFrame, signals: pd.DataFrame, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.bars: dict[Any, dict[str, Any]] = {}
        for (time, symbol), bar in zip(prices.index, prices.to_dict("records"), strict=True):
            self.bars.setdefault(time, {})[symbol] = bar
        self.signals: dict[Any, dict[str, Any]] = {}
        for (time, symbol), signal in zip(signals.index, signals.to_dict("records"), strict=True):
            self.signals.setdefault(time, {})[symbol] = signal
        has_volume = prices[prices["volume"] > 0] if "volume" in prices else prices[:0]
        self.has_volume = set(has_volume.index.get_level_values("symbol"))
        self.leverage = Fraction(rules["leverage"])
        self.commission, self.slippage = Fraction(rules["commission"]), Fraction(rules["slippage"])
        self.cash = Fraction(rules["capital"])
        self.lots: dict[str, int] = {}
        self.stocks: dict[str, Stock] = {}
        self.last_close: dict[str, Fraction] = {}
        self.last_weight: dict[str, float] = {}
        self.waiting: dict[str, tuple[Any, int]] = {}
        self.book = Book()

    def run(self) -> Book:
        for time in sorted(self.bars):
            bars = self.bars[time]
            if self.rules["price"] == "next_open":
                self._fill(time, {symbol: Fraction(bar["open"]) for symbol, bar in bars.items()})
                self._see_closes(bars)
                self._decide(time)
            elif self.rules["price"] == "next_close":
                self._see_closes(bars)
                self._fill(time, {symbol: Fraction(bar["close"]) for symbol, bar in bars.items()})
                self._decide(time)
            else:
                self._see_closes(bars)
                self._decide(time)
                self._fill(time, {symbol: Fraction(bar["close"]) for symbol, bar in bars.items()})
            self.book.cash.append(self.cash)
            self.book.equity.append(self._equity())
            self.book.positions.append(dict(self.lots))
        self.book.pending = [(symbol, time, lots) for symbol, (time, lots) in sorted(self.waiting.items())]
        return self.book

    def _lot(self, symbol: str) -> Fraction:
        lot = self.rules["lot"]
        return Fraction(lot.get(symbol, lot["default"]) if isinstance(lot, dict) else lot)

    def _see_closes(self, bars: dict[str, Any]) -> None:
        for symbol, bar in bars.items():
            self.last_close[symbol] = Fraction(bar["close"])

    def _equity(self, mark: dict[str, Fraction] | None = None) -> Fraction:
        """Cash and positions at their last closes, but those in `mark` at that."""
        marks = {**self.last_close, **(mark or {})}
        return self.cash + sum(lots * self._lot(symbol) * marks[symbol] for symbol, lots in self.lots.items() if lots)

    def _weight(self, signal: dict[str, Any]) -> float | None:
        weight = self.rules["weight"]
        if "weight" in signal:
            given = signal["weight"]
            return None if given is None or np.isnan(given) else float(given)
        said = signal["signal"]
        if said is None or said == "HOLD" or (isinstance(said, float) and np.isnan(said)):
            return None
        unit = {"BUY": 1.0, "SELL": -1.0, "FLAT": 0.0}[said] if isinstance(said, str) else float(said)
        return 0.0 if unit < 0 and self.rules["long_only"] else unit * weight

    def _decide(self, time: Any) -> None:
        equity = self._equity()
        for symbol, signal in self.signals.get(time, {}).items():
            weight = self._weight(signal)
            if weight is None:
                continue
            if self.rules["rebalance"] == "on_change" and weight == self.last_weight.get(symbol, 0.0):
                continue
            self.last_weight[symbol] = weight
            target = 0
            if equity > 0:
                lots = abs(Fraction(weight)) * equity / (self.last_close[symbol] * self._lot(symbol))
                target = int(lots * (1 + RELATIVE) + ABSOLUTE) * (1 if weight > 0 else -1)
                if target == 0 and weight:
                    self.book.below_lot.append((symbol, time))
            self.waiting.pop(symbol, None)
            if order := target - self.lots.get(symbol, 0):
                self.waiting[symbol] = (time, order)

    def _fill(self, time: Any, marks: dict[str, Fraction]) -> None:
        """First what reduces, then what opens, each by symbol; a flip is in both."""
        bars = self.bars[time]
        due = sorted(s for s in self.waiting if s in bars and (s not in self.has_volume or bars[s]["volume"] > 0))
        orders = {symbol: self.waiting.pop(symbol)[1] for symbol in due}
        reducing = {}
        for symbol, order in orders.items():
            held = self.lots.get(symbol, 0)
            towards_zero = held * order < 0
            reducing[symbol] = (order if abs(order) <= abs(held) else -held) if towards_zero else 0
        for symbol in due:
            if reducing[symbol]:
                self._trade(time, symbol, "reduce", reducing[symbol], marks[symbol])
        for symbol in due:
            if opening := orders[symbol] - reducing[symbol]:
                self._trade(time, symbol, "open", opening, marks[symbol])

    def _trade(self, time: Any, symbol: str, part: str, wanted: int, mark: Fraction) -> None:
        side = 1 if wanted > 0 else -1
        price = mark * (1 + side * self.slippage)
        lots = side * self._largest(abs(wanted), lambda q: self._holds(symbol, part, side * q, mark, price))
        if lots != wanted:
            self.book.cuts.append((time, symbol, part, wanted, lots))
        if lots:
            lot = self._lot(symbol)
            self.cash -= lots * lot * price + abs(lots) * lot * price * self.commission
            self.lots[symbol] = self.lots.get(symbol, 0) + lots
            self.book.fills.append(Booked(time, symbol, part, lots, price, self.cash))
            self._account(time, symbol, part, lots, price)

    def _account(self, time: Any, symbol: str, part: str, lots: int, price: Fraction) -> None:
        """Average cost: what leaves takes its share of all that was paid for what is there."""
        stock = self.stocks.setdefault(symbol, Stock())
        lot = self._lot(symbol)
        fee = abs(lots) * lot * price * self.commission
        if part == "open":
            stock.since = stock.since if stock.lots else time
            stock.lots, stock.cost, stock.paid = stock.lots + lots, stock.cost + lots * price, stock.paid + fee
            return
        share = Fraction(-lots, stock.lots)
        entry, paid = stock.cost / stock.lots, stock.paid * share + fee
        profit = -lots * lot * (price - entry) - paid
        own = sum(symbol in bars for at, bars in self.bars.items() if stock.since < at <= time)
        self.book.trades.append(((symbol, stock.since, time, -lots, own), (entry, price, paid, profit)))
        stock.lots, stock.cost, stock.paid = stock.lots + lots, stock.cost * (1 - share), stock.paid * (1 - share)

    @staticmethod
    def _largest(wanted: int, holds: Any) -> int:
        """The largest n up to `wanted` for which n lots, less what the contract forgives, are allowed."""
        low, high = 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            if holds((middle - ABSOLUTE) / (1 + RELATIVE)):
                low = middle
            else:
                high = middle - 1
        return low

    def _holds(self, symbol: str, part: str, lots: Fraction, mark: Fraction, price: Fraction) -> bool:
        """May this many lots trade? Tried out: pay, hold, and look at the books."""
        held = self.lots.get(symbol, 0)
        lot = self._lot(symbol)
        size = lots * lot
        cash = self.cash - size * price - abs(size) * price * self.commission
        if part == "reduce":
            credit = (self.leverage - 1) * max(self._equity({symbol: mark}), Fraction(0))
            return lots < 0 or cash + credit >= 0
        if held * lots < 0:
            return False
        values = {other: n * self._lot(other) * self.last_close[other] for other, n in self.lots.items() if n}
        values[symbol] = held * lot * mark + size * mark
        equity = cash + sum(values.values())
        return sum(abs(value) for value in values.values()) <= self.leverage * equity
