"""Bars of equal time: ``[open_time, open_time + interval)``, on a grid by the clock or by a market's sessions."""

from collections.abc import Iterable, Iterator
from typing import Any

from plugins.fold.trades.grid import NEVER, Grid, Slot
from plugins.fold.trades.kinds import BarKind, TimeRules
from plugins.fold.trades.open_bar import OpenBar, Row, flat_bar
from plugins.fold.trades.symbol_bars import ClosedBar, SymbolBars
from schemas.errors import BadRecord

BEFORE = Slot(NEVER, NEVER)


class TimeBars(SymbolBars):
    """A bar closes when a trade at or after its end + `rules.lateness_ms` comes, or a tick at or after its end. Until
    then a trade of its time counts, in the order of times. For a slot of the `grid` without trades there is a bar only
    where `rules.flat` allows one more in a row. Not `whole`: the bar of the first trade may lack others, and there is
    none.

    >>> from schemas.wire.trades import Trade
    >>> bars = TimeBars("AAPL", BarKind.of("1m"), TimeRules(), Grid(60_000))
    >>> bars.feed(Trade("AAPL", 59_999, 10.0, 5.0), 0)
    []
    >>> [(one.bar.open_time, one.bar.close, one.bar.volume) for one in bars.feed(Trade("AAPL", 60_000, 11.0, 1.0), 1)]
    [(0, 10.0, 5.0)]
    """

    def __init__(self, symbol: str, kind: BarKind, rules: TimeRules, grid: Grid, whole: bool = True) -> None:
        super().__init__(symbol, kind)
        self._whole = whole
        self._rules = rules
        self._grid = grid
        self._open: dict[int, OpenBar] = {}
        self._next = BEFORE
        """The first slot that has not closed; every bar before it has, or never had a trade."""
        self._slot = BEFORE
        """Of the last trade: the next one is mostly there, too."""
        self._flats = _FlatRun(grid, rules.flat)

    def _take(self, row: Row) -> list[ClosedBar]:
        time = row.time
        if not self._slot.begin <= time < self._slot.end:
            self._slot = self._grid.not_over(time)
        begin = self._slot.begin
        if time < begin:
            return self._take_outside(time)
        if self._next is BEFORE and not self._whole:
            self._next = self._grid.not_over(self._slot.end)
        if begin < self._next.begin:
            raise BadRecord("late", f"the bar that opens at {begin} has closed")
        open_bar = self._open.get(begin)
        if open_bar is None:
            open_bar = self._open[begin] = OpenBar()
        open_bar.add(row)
        return self._close_until(time - self._rules.lateness_ms)

    def _take_outside(self, time: int) -> list[ClosedBar]:
        """Of no session: it is in no bar, but says how late it is."""
        self._grid.check_known(time)
        self.outside += 1
        return self._close_until(time - self._rules.lateness_ms)

    def tick(self, time: int) -> list[ClosedBar]:
        return self._close_until(time)

    def due(self, time: int) -> int | None:
        if (end := self._flats.over(time)) is not None:
            return end
        end = self._grid.not_over(min(self._open)).end if self._open else None
        return end if end is not None and end <= time else None

    def open_bars(self) -> Iterable[OpenBar]:
        return self._open.values()

    def _close_until(self, time: int) -> list[ClosedBar]:
        """Bars that end by `time`, the oldest first."""
        if time < self._next.end:
            return []
        self._next = self._grid.not_over(time)
        return list(self._closed_before(self._next.begin))

    def _closed_before(self, until: int) -> Iterator[ClosedBar]:
        for begin in sorted(begin for begin in self._open if begin < until):
            if rows := sorted(self._open.pop(begin).trades()):
                yield from self._flat_before(begin)
                self._flats.begin(rows[-1], begin)
                yield self._close(self._grid.times(begin), rows)
        yield from self._flat_before(until)

    def _flat_before(self, until: int) -> Iterator[ClosedBar]:
        for begin, price_of in self._flats.before(until):
            bar = flat_bar(self.symbol, self.kind.name, self._grid.times(begin), price_of.price)
            yield ClosedBar(bar, [], price_of.offset)

    def state(self) -> dict[str, Any]:
        bars = [[begin, open_bar.state()] for begin, open_bar in sorted(self._open.items())]
        return {"open": bars, "closed_until": self._next.begin, **self._flats.state(), **self._common_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._restore_common(state)
        closed_until = state["closed_until"]
        self._next = BEFORE if closed_until == NEVER else self._grid.not_over(closed_until)
        self._open = {begin: OpenBar(Row(*row) for row in rows) for begin, rows in state["open"]}
        self._flats.restore(state)


class _FlatRun:
    """The bars without trades that follow the last one with some: at most so many, at its last price."""

    def __init__(self, grid: Grid, most: int) -> None:
        self._grid, self._most = grid, most
        self._last: Row | None = None
        self._left = 0
        self.next: Slot | None = None
        """The slot of the one that comes next, if it has no trade."""

    def begin(self, last: Row, begin: int) -> None:
        """After the bar of this slot, of which it is the last trade."""
        if self._most:
            self._last, self._left = last, self._most
            self.next = self._grid.not_over(self._grid.not_over(begin).end)

    def before(self, until: int) -> Iterator[tuple[int, Row]]:
        """Where such bars begin up to there, and the trade whose price they have."""
        while self._last is not None and self.next is not None and self.next.begin < until:
            yield self.next.begin, self._last
            self._left -= 1
            self.next = self._grid.not_over(self.next.end) if self._left else None

    def over(self, time: int) -> int | None:
        """The end of the last one that is over at `time`. Not more: a trade that comes later may count."""
        slot, end = self.next, None
        for _ in range(self._left):
            if slot is None or slot.end > time:
                break
            end, slot = slot.end, self._grid.not_over(slot.end)
        return end

    def state(self) -> dict[str, Any]:
        if self._last is None:
            return {}
        return {"flat": [tuple(self._last), self._left, self.next.begin if self.next else None]}

    def restore(self, state: dict[str, Any]) -> None:
        if "flat" in state:
            last, self._left, begin = state["flat"]
            self._last, self.next = Row(*last), None if begin is None else self._grid.not_over(begin)
