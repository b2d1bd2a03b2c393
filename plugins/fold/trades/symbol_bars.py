"""Trades of one symbol, in log order, to bars: what bars of every kind share."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.open_bar import OpenBar, Row, bar_of
from schemas.errors import BadRecord
from schemas.wire import Bar
from schemas.wire.trades import Trade

REMEMBERED = 1_000
"""Trades with an id that are known after their bar has closed: a repeat of theirs is none that is late."""


class ClosedBar(NamedTuple):
    """A bar, and the trades that it was made of; of a flat one the offset of the trade whose price it has."""

    bar: Bar
    rows: list[Row]
    price_of: int = -1

    def made_of(self, partition: int) -> bytes:
        """Which trades, as the record of the bar says: PARTITION/FIRST-LAST/COUNT, of their offsets on the log."""
        offsets = [row.offset for row in self.rows] or [self.price_of]
        return f"{partition}/{min(offsets)}-{max(offsets)}/{len(self.rows)}".encode()


class SymbolBars(ABC):
    """The open bars of `symbol`, of one kind."""

    def __init__(self, symbol: str, kind: BarKind) -> None:
        self.symbol = symbol
        self.kind = kind
        self.repeats = self.outside = 0
        self._closed: OrderedDict[str, Row] = OrderedDict()

    def feed(self, trade: Trade, offset: int) -> list[ClosedBar]:
        """The bars that close with it. `BadRecord` for a trade that cannot count any more, or contradicts itself:
        ``late``, ``conflict``, ``unknown_trade``.
        """
        row = Row.of(trade, offset)
        if trade.action != "trade":
            self._amend(trade, row)
            return []
        if trade.id is not None and (known := self._known(trade.id)) is not None:
            if not known.same_trade(row):
                raise BadRecord("conflict", f"trade {trade.id!r} came with other values; send action correct")
            self.repeats += 1
            return []
        return self._take(row)

    @abstractmethod
    def _take(self, row: Row) -> list[ClosedBar]:
        """A trade that is new."""

    @abstractmethod
    def tick(self, time: int) -> list[ClosedBar]:
        """The bars that close because it is `time`."""

    @abstractmethod
    def due(self, time: int) -> int | None:
        """The time of the tick that closes bars which are over at `time` (ms); None: there are none."""

    @abstractmethod
    def open_bars(self) -> Iterable[OpenBar]: ...

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain values by which `restore` goes on to the same bytes."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None: ...

    def _known(self, trade_id: str) -> Row | None:
        for open_bar in self.open_bars():
            if trade_id in open_bar.identified:
                return open_bar.row(trade_id)
        return self._closed.get(trade_id)

    def _amend(self, trade: Trade, row: Row) -> None:
        assert trade.id is not None
        for open_bar in self.open_bars():
            if (known := open_bar.row(trade.id)) is not None:
                changed = known._replace(price=row.price, size=row.size) if trade.action == "correct" else None
                open_bar.replace(trade.id, changed)
                self._amended()
                return
        if trade.id in self._closed:
            raise BadRecord("late", f"action {trade.action}: the bar of trade {trade.id!r} has closed")
        raise BadRecord("unknown_trade", f"action {trade.action}: no open bar has a trade {trade.id!r}")

    def _amended(self) -> None:  # noqa: B027 (most bars need nothing)
        """A trade of an open bar is another one, or none any more."""

    def _close(self, times: tuple[int, int], rows: list[Row]) -> ClosedBar:
        closed = self._closed
        closed.update([(row.id, row) for row in rows if row.id is not None][-REMEMBERED:])
        for _ in range(len(closed) - REMEMBERED):
            closed.popitem(last=False)
        return ClosedBar(bar_of(self.symbol, self.kind.name, times, rows), rows)

    def _common_state(self) -> dict[str, Any]:
        return {"closed": [tuple(row) for row in self._closed.values()]}

    def _restore_common(self, state: dict[str, Any]) -> None:
        self._closed = OrderedDict((row[4], Row(*row)) for row in state["closed"])
