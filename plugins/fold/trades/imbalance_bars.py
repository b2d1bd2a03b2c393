"""Tick imbalance bars: a bar closes when buyers or sellers are further ahead than was to be expected.

Source: M. López de Prado, Advances in Financial Machine Learning (2018), section 2.3.2.1.
"""

import math
from typing import Any

from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.open_bar import Row
from plugins.fold.trades.threshold_bars import ThresholdBars

SPAN = 20
NEWEST = 2 / (SPAN + 1)
"""Weight of the newest bar in the exponential means over bars."""


class ImbalanceBars(ThresholdBars):
    """A trade's sign b is its side, or without one that of the change of price (the tick rule; no change: the sign
    before). With θ = Σ b over the bar's trades, it closes as soon as

        |θ| ≥ max(E[T] · |E[b]|, √E[T])

    E[T], the trades of a bar, and E[b], the mean of its signs, are exponential means over the bars before, of span
    `SPAN`. The first bar has as many trades as the threshold says (``imbalance:500``), where E[T] begins. √E[T], the
    standard deviation of θ when both sides are equally likely, is the floor without which E[b] near 0 would close a bar
    with every trade; the book has none.
    """

    def __init__(self, symbol: str, kind: BarKind) -> None:
        self._expected_trades = kind.size
        self._expected_sign: float | None = None
        self._price: float | None = None
        self._sign = 0
        """Of the last trade of the bar before."""
        super().__init__(symbol, kind)

    def _begin(self) -> None:
        self._imbalance = self._trades = 0
        self._last = self._price, self._sign

    def _count(self, row: Row) -> None:
        self._last = row.price, self._sign_of(row)
        self._imbalance += self._last[1]
        self._trades += 1

    def _is_full(self) -> bool:
        if self._expected_sign is None:
            return self._trades >= self.kind.size
        bound = max(self._expected_trades * abs(self._expected_sign), math.sqrt(self._expected_trades))
        return abs(self._imbalance) >= bound

    def _sign_of(self, row: Row) -> int:
        price, sign = self._last
        if row.side:
            return row.side
        if price is None or row.price == price:
            return sign
        return 1 if row.price > price else -1

    def _note_closed(self, rows: list[Row]) -> None:
        mean = self._imbalance / self._trades
        if self._expected_sign is None:
            self._expected_sign = mean
        else:
            self._expected_sign += NEWEST * (mean - self._expected_sign)
            self._expected_trades += NEWEST * (self._trades - self._expected_trades)
        self._price, self._sign = self._last

    def state(self) -> dict[str, Any]:
        expected = {"trades": self._expected_trades, "sign": self._expected_sign}
        return {**super().state(), "expected": expected, "before": [self._price, self._sign]}

    def restore(self, state: dict[str, Any]) -> None:
        self._expected_trades, self._expected_sign = state["expected"]["trades"], state["expected"]["sign"]
        self._price, self._sign = state["before"]
        super().restore(state)
