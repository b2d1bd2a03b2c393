"""Bars of equal time: ``[open_time, open_time + interval)``, on the grid of the interval from the epoch (UTC)."""

from collections.abc import Iterable
from typing import Any

from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.open_bar import OpenBar, Row
from plugins.fold.trades.symbol_bars import ClosedBar, SymbolBars
from schemas.errors import BadRecord

NEVER = -(2**62)


class TimeBars(SymbolBars):
    """A bar closes when a trade at or after its end + `lateness_ms` comes, or a tick at or after its end. Until then a
    trade of its time counts, in the order of times. Nothing is invented for an interval without trades. Not `whole`:
    the bar of the first trade may lack others, and there is none.

    >>> from schemas.wire.trades import Trade
    >>> bars = TimeBars("AAPL", BarKind.of("1m"))
    >>> bars.feed(Trade("AAPL", 59_999, 10.0, 5.0), 0)
    []
    >>> [(one.bar.open_time, one.bar.close, one.bar.volume) for one in bars.feed(Trade("AAPL", 60_000, 11.0, 1.0), 1)]
    [(0, 10.0, 5.0)]
    """

    def __init__(self, symbol: str, kind: BarKind, lateness_ms: int = 0, whole: bool = True) -> None:
        super().__init__(symbol, kind)
        self._whole = whole
        self._length = int(kind.size)
        self._lateness = lateness_ms
        self._open: dict[int, OpenBar] = {}
        self._closed_until = NEVER
        """Every bar that ends by then is closed, or never had a trade."""

    def _take(self, row: Row) -> list[ClosedBar]:
        begin = row.time - row.time % self._length
        if self._closed_until == NEVER and not self._whole:
            self._closed_until = begin + self._length
        if begin < self._closed_until:
            raise BadRecord("late", f"the bar that opens at {begin} has closed")
        open_bar = self._open.get(begin)
        if open_bar is None:
            open_bar = self._open[begin] = OpenBar()
        open_bar.add(row)
        return self._close_until(row.time - self._lateness)

    def tick(self, time: int) -> list[ClosedBar]:
        return self._close_until(time)

    def due(self) -> int | None:
        return min(self._open) + self._length if self._open else None

    def open_bars(self) -> Iterable[OpenBar]:
        return self._open.values()

    def _close_until(self, time: int) -> list[ClosedBar]:
        """Bars that end by `time`, the oldest first."""
        if time < self._closed_until + self._length:
            return []
        self._closed_until = time - time % self._length
        over = sorted(begin for begin in self._open if begin < self._closed_until)
        closed = []
        for begin in over:
            if rows := sorted(self._open.pop(begin).trades()):
                closed.append(self._close((begin, begin + self._length), rows))
        return closed

    def state(self) -> dict[str, Any]:
        bars = [[begin, open_bar.state()] for begin, open_bar in sorted(self._open.items())]
        return {"open": bars, "closed_until": self._closed_until, **self._common_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._restore_common(state)
        self._closed_until = state["closed_until"]
        self._open = {begin: OpenBar(Row(*row) for row in rows) for begin, rows in state["open"]}
