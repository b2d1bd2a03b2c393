"""The bars of all symbols of a partition of `trades`, by log order.

>>> builder = BarBuilder(BarKind.of("1m"))
>>> builder.feed(Trade("AAPL", 30_000, 10.0, 5.0), 0)
[]
>>> builder.due(59_999), builder.due(60_000)
([], [Tick(symbol='AAPL', time=60000)])
>>> [one.bar.close for one in builder.feed(Tick("AAPL", 60_000), 1)]
[10.0]
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plugins.fold.trades.grid import Grid, grid_of, sessions_of
from plugins.fold.trades.imbalance_bars import ImbalanceBars
from plugins.fold.trades.kinds import TIME, BarKind, TimeRules
from plugins.fold.trades.symbol_bars import ClosedBar, SymbolBars
from plugins.fold.trades.threshold_bars import ThresholdBars
from plugins.fold.trades.time_bars import TimeBars
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire.trades import Tick, Trade

LAYOUT = "trades-1"


class BarBuilder:
    """Bars of one kind, time bars by their `rules`. `whole`: is the first trade the first that there was? If not, a
    symbol's first time bar would lack trades, and is left out.

    Raises
    ------
    ConfigurationError
        For a market whose sessions are not known here, or are others than the rules say.
    """

    def __init__(self, kind: BarKind, rules: TimeRules = TimeRules(), whole: bool = True) -> None:  # noqa: B008
        self.kind = kind
        self.whole = whole
        self._rules = rules
        self._grid = _grid(kind, rules) if kind.kind == TIME else None
        self._symbols: dict[str, SymbolBars] = {}

    def feed(self, record: Trade | Tick, offset: int) -> list[ClosedBar]:
        """The bars that close with the record, the oldest first; `BadRecord` for a trade that cannot count."""
        bars = self._symbols.get(record.symbol)
        if bars is None:
            if isinstance(record, Tick):
                return []
            bars = self._symbols[record.symbol] = self._new(record.symbol)
        return bars.feed(record, offset) if isinstance(record, Trade) else bars.tick(record.time)

    @property
    def repeats(self) -> int:
        """Trades that came again, and were dropped."""
        return sum(bars.repeats for bars in self._symbols.values())

    @property
    def outside(self) -> int:
        """Trades in no bar, because the market was closed."""
        return sum(bars.outside for bars in self._symbols.values())

    @property
    def still_open(self) -> int:
        """Bars that have trades and have not closed."""
        return sum(bool(one.trades()) for bars in self._symbols.values() for one in bars.open_bars())

    def due(self, time: int) -> list[Tick]:
        """For each symbol that has a bar which is over at `time` (ms) the tick by which that closes."""
        ends = ((symbol, bars.due(time)) for symbol, bars in sorted(self._symbols.items()))
        return [Tick(symbol, end) for symbol, end in ends if end is not None]

    def snapshot(self, symbol: str) -> bytes:
        """The state of a symbol; `restore` goes on from it to the same bytes."""
        return msgspec.msgpack.encode(self._symbols[symbol].state())

    def restore(self, symbol: str, snapshot: bytes) -> None:
        state: dict[str, Any] = msgspec.msgpack.decode(snapshot)
        bars = self._symbols[symbol] = self._new(symbol)
        bars.restore(state)

    def symbols(self) -> list[str]:
        return sorted(self._symbols)

    def _new(self, symbol: str) -> SymbolBars:
        if self._grid is not None:
            return TimeBars(symbol, self.kind, self._rules, self._grid, self.whole)
        return (ImbalanceBars if self.kind.kind == "imbalance" else ThresholdBars)(symbol, self.kind)


def _grid(kind: BarKind, rules: TimeRules) -> Grid:
    if rules.session is not None:
        here = sessions_of(int(kind.size), rules.session).digest
        if rules.sessions not in (None, here):
            raise ConfigurationError(
                f"bars of {kind.name} were made by other sessions of {rules.session} than are known here"
                f" ({rules.sessions}, and not {here}): install the exchange_calendars with which they were made"
            )
    return grid_of(int(kind.size), rules.session)


def feed_each(
    builders: Mapping[str, BarBuilder], record: Trade | Tick, offset: int, begin: Callable[[str], int] = lambda _: 0
) -> tuple[list[ClosedBar], dict[str, BadRecord]]:
    """The bars of all kinds that close with the record, and by kind why it is in none; a kind has seen what is before
    the offset that `begin` says of it.
    """
    closed: list[ClosedBar] = []
    refusals: dict[str, BadRecord] = {}
    for name, builder in builders.items():
        if offset < begin(name):
            continue
        try:
            closed += builder.feed(record, offset)
        except BadRecord as bad:
            refusals[name] = bad
    return closed, refusals
