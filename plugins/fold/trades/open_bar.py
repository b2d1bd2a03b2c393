"""A bar that is not closed yet: the trades that it has, until they are a bar."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.wire import Bar
from schemas.wire.trades import Trade

SIDES = {"buy": 1, "sell": -1, "unknown": 0}


class Row(NamedTuple):
    """What of a trade its bar needs; `offset` orders trades of one time."""

    time: int
    offset: int
    price: float
    size: float
    id: str | None
    side: int
    """1 bought, -1 sold, 0 not known."""

    @classmethod
    def of(cls, trade: Trade, offset: int) -> "Row":
        values = trade.time, offset, trade.price, trade.size, trade.id, SIDES[trade.side]
        return tuple.__new__(cls, values)  # a third of the time of `cls(…)`, and there is one for each trade

    def same_trade(self, other: "Row") -> bool:
        """Do both say the same of one trade, wherever they stand on the log?"""
        return self._replace(offset=0) == other._replace(offset=0)


class OpenBar:
    """Trades in the order in which they came; `identified` finds those that have an id."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row | None] = []
        self.identified: dict[str, int] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        if row.id is not None:
            self.identified[row.id] = len(self.rows)
        self.rows.append(row)

    def row(self, trade_id: str) -> Row | None:
        place = self.identified.get(trade_id)
        return None if place is None else self.rows[place]

    def replace(self, trade_id: str, row: Row | None) -> None:
        """The trade is `row` from now on, or (None) never was."""
        place = self.identified[trade_id] if row else self.identified.pop(trade_id)
        self.rows[place] = row

    def trades(self) -> list[Row]:
        """Those that count, in the order in which they came."""
        return [row for row in self.rows if row is not None]

    def state(self) -> list[tuple[Any, ...]]:
        """What `OpenBar` is made of again."""
        return [tuple(row) for row in self.trades()]


def flat_bar(symbol: str, interval: str, times: tuple[int, int], price: float) -> Bar:
    """The bar of a time without trades: at the last price, and marked as such."""
    return Bar(symbol, interval, *times, price, price, price, price, 0.0, flat=True)


def bar_of(symbol: str, interval: str, times: tuple[int, int], rows: list[Row]) -> Bar:
    """The bar that opens and closes at `times` (ms) of `rows`, at least one, in the order of their times.

    ``volume`` is the exactly rounded sum of the sizes, so it does not depend on the order in which they came.
    """
    prices = [row.price for row in rows]
    volume = math.fsum(row.size for row in rows)
    return Bar(symbol, interval, *times, prices[0], max(prices), min(prices), prices[-1], volume)
