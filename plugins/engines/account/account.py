"""An account that is stepped over rows of bars, one or many at a time: the state between them is all that it knows."""

from typing import Any

import numpy as np

from plugins.engines.account.book import NOT_WAITING, SLOT, Book, Curve, Rows, Rules
from plugins.engines.account.step import PARTS, run_rows
from plugins.engines.market import Market
from plugins.engines.results.frames import CUT, FILL, PENDING, EngineLog, Records
from plugins.fold.kernel import compile_function
from schemas.configuration import Execution
from schemas.errors import ConfigurationError

LAYOUT = 1
"""Of the stored state."""
ROOM = 1 << 16
"""Fills that a buffer holds; the next one is taken when a row might no longer fit."""


class Account:
    """Cash, positions and waiting orders of the symbols, by number.

    Parameters
    ----------
    execution
        By which it fills.
    lots
        Shares in a lot, by symbol. The symbols are in their order as texts: fills at one time and sums go by it.
    """

    def __init__(self, execution: Execution, lots: Any) -> None:
        self._execution = execution
        self._lots = np.require(lots, np.float64, ["C", "W"])
        self._slots = np.zeros(len(self._lots), SLOT)
        self._slots["decided"] = NOT_WAITING
        self._cash = np.array([execution.capital])

    def advance(self, rows: Rows) -> EngineLog:
        """Takes the state over `rows`. Cut anywhere into several calls, they lead to the same state and fills."""
        most = PARTS * int(np.diff(rows.first).max(initial=0))
        orders = len(rows.decided_weight) + len(self._slots)
        book = self._book(most + min(PARTS * orders, ROOM))
        count = len(rows.number)
        curve = Curve(*(np.empty(count) for _ in Curve._fields))
        rules = self._rules()
        run = compile_function(run_rows, rows, rules, book, curve)
        fills, cuts = [], []
        while True:
            run(rows, rules, book, curve)
            fills.append(book.fills[: book.counts[1]])
            cuts.append(book.cuts[: book.counts[2]])
            if book.counts[0] == count:
                return EngineLog(_joined(fills), _joined(cuts), self.pending(), *curve)
            book = book._replace(fills=np.empty_like(book.fills), cuts=np.empty_like(book.cuts))
            book.counts[1:] = 0

    def pending(self) -> Records:
        """The orders that wait."""
        waiting = np.flatnonzero(self._slots["decided"] != NOT_WAITING)
        pending = np.zeros(len(waiting), PENDING)
        pending["symbol"], pending["lots"] = waiting, self._slots["ordered"][waiting]
        pending["decided"], pending["weight"] = self._slots["decided"][waiting], self._slots["weight"][waiting]
        return pending

    def state(self) -> dict[str, Any]:
        """Numbers and lists alone, for canonical JSON: the same state has the same bytes."""
        return {"layout": LAYOUT, "cash": float(self._cash[0]), "slots": [list(slot) for slot in self._slots.tolist()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave.

        Raises
        ------
        ConfigurationError
            It is of another layout, or of other symbols.
        """
        slots = state.get("slots", [])
        if state.get("layout") != LAYOUT or len(slots) != len(self._slots):
            raise ConfigurationError(
                f"a state of layout {state.get('layout')} with {len(slots)} symbols cannot be used here, where it is"
                f" {LAYOUT} with {len(self._slots)}; begin from the log"
            )
        self._cash[0] = state["cash"]
        self._slots[:] = [tuple(slot) for slot in slots]

    def _rules(self) -> Rules:
        execution = self._execution
        return Rules(
            execution.commission,
            execution.slippage,
            execution.leverage,
            execution.price == "next_open",
            execution.price == "this_close",
            self._lots,
        )

    def _book(self, room: int) -> Book:
        values = self._slots["value"].tolist()
        totals = np.array([sum(values), -sum(min(value, 0.0) for value in values)])
        return Book(self._cash, totals, self._slots, np.zeros(3, np.int64), np.empty(room, FILL), np.empty(room, CUT))


def _joined(parts: list[Records]) -> Records:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def rows_of(market: Market, execution: Execution, begin: int = 0, end: int | None = None) -> Rows:
    """Rows `begin` to `end` of `market`, called by their places in it."""
    numbers = np.arange(len(market.times))[begin:end]
    first = market.first[begin : begin + len(numbers) + 1]
    decided = np.searchsorted(market.decision_row, np.append(numbers, numbers[-1:] + 1))
    bars, decisions = slice(first[0], first[-1]), slice(decided[0], decided[-1])
    price = market.open if execution.price == "next_open" else market.close
    rows = Rows(
        numbers,
        first - first[0],
        market.symbol[bars],
        price[bars],
        market.close[bars],
        market.tradable[bars],
        decided - decided[0],
        market.decision_symbol[decisions],
        market.decision_weight[decisions],
    )
    return Rows._make(np.require(column, requirements=["C", "W"]) for column in rows)


def simulate(market: Market, execution: Execution) -> EngineLog:
    """An account of `market` from its first row to its last."""
    return Account(execution, market.lots).advance(rows_of(market, execution))
