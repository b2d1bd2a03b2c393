"""Bars that close when enough has been traded: ticks, volume, dollars.

Source: M. López de Prado, Advances in Financial Machine Learning (2018), section 2.3.1.
"""

import math
from collections.abc import Callable
from typing import Any

from plugins.fold.trades.grid import NEVER
from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.open_bar import OpenBar, Row
from plugins.fold.trades.symbol_bars import ClosedBar, SymbolBars
from schemas.errors import BadRecord

ROUNDING = 2**-51
"""A running sum of n values above 0 is off by less than n times this, relative to itself."""
AMOUNT: dict[str, Callable[[Row], float]] = {
    "tick": lambda row: 1.0,
    "volume": lambda row: row.size,
    "dollar": lambda row: row.price * row.size,
}


class ThresholdBars(SymbolBars):
    """Closes with the trade by which its trades come to the threshold; that trade is the bar's as a whole, and the
    next bar begins at nothing.

    ============  ==============================
    kind          what is added up, exactly
    ============  ==============================
    ``tick``      trades
    ``volume``    sizes
    ``dollar``    price times size
    ============  ==============================

    Trades count in log order. One that is older than the one before it is late. `close_time` is the time of the last
    trade, and at least 1 ms after `open_time`, which is never before the close of the bar before: no two bars of a
    symbol have one time.

    >>> from schemas.wire.trades import Trade
    >>> bars = ThresholdBars("AAPL", BarKind.of("volume:10"))
    >>> closed = [bars.feed(Trade("AAPL", time, 20.0, 4.0), offset) for offset, time in enumerate([5, 7, 7, 9])]
    >>> [[(one.bar.open_time, one.bar.close_time, one.bar.volume) for one in ones] for ones in closed]
    [[], [], [(5, 7, 12.0)], []]
    """

    def __init__(self, symbol: str, kind: BarKind) -> None:
        super().__init__(symbol, kind)
        self._amount = AMOUNT.get(kind.kind, AMOUNT["tick"])
        self._bar = OpenBar()
        self._newest = NEVER
        self._closed_at = NEVER
        self._begin()

    def _begin(self) -> None:
        """Nothing has been traded in the bar."""
        self._total, self._trades = 0.0, 0

    def _count(self, row: Row) -> None:
        """Adds a trade of the bar to what has been traded."""
        self._total += self._amount(row)
        self._trades += 1

    def _is_full(self) -> bool:
        """Does the last trade close the bar? By the sum that is rounded once, which depends on no order; most often the
        running one is too far below for that.
        """
        if self._total * (1 + self._trades * ROUNDING) < self.kind.size:
            return False
        return math.fsum(map(self._amount, self._bar.trades())) >= self.kind.size

    def _note_closed(self, rows: list[Row]) -> None:
        """A bar of these trades has closed."""

    def _take(self, row: Row) -> list[ClosedBar]:
        if row.time < self._newest:
            raise BadRecord("late", f"the trade before it is of {self._newest}; {self.kind.name} takes them in order")
        self._newest = row.time
        self._bar.add(row)
        self._count(row)
        return [self._close_full()] if self._is_full() else []

    def _close_full(self) -> ClosedBar:
        rows = self._bar.trades()
        open_time = max(rows[0].time, self._closed_at)
        times = open_time, max(rows[-1].time, open_time + 1)
        closed = self._close(times, rows)
        self._bar, self._closed_at = OpenBar(), times[1]
        self._note_closed(rows)
        self._begin()
        return closed

    def _amended(self) -> None:
        self._recount()

    def _recount(self) -> None:
        self._begin()
        for row in self._bar.trades():
            self._count(row)

    def tick(self, time: int) -> list[ClosedBar]:
        return []

    def due(self, time: int) -> int | None:
        return None

    def open_bars(self) -> list[OpenBar]:
        return [self._bar]

    def state(self) -> dict[str, Any]:
        times = {"newest": self._newest, "closed_at": self._closed_at}
        return {"rows": self._bar.state(), **times, **self._common_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._restore_common(state)
        self._bar = OpenBar(Row(*row) for row in state["rows"])
        self._newest, self._closed_at = state["newest"], state["closed_at"]
        self._recount()
