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

from plugins.fold.trades.imbalance_bars import ImbalanceBars
from plugins.fold.trades.kinds import TIME, BarKind
from plugins.fold.trades.symbol_bars import ClosedBar, SymbolBars
from plugins.fold.trades.threshold_bars import ThresholdBars
from plugins.fold.trades.time_bars import TimeBars
from schemas.errors import BadRecord
from schemas.wire.trades import Tick, Trade

LAYOUT = "trades-1"


class BarBuilder:
    """Bars of one kind. `lateness_ms`: for so long after its end a time bar waits for trades that come late. `whole`:
    is the first trade the first that there was? If not, a symbol's first time bar would lack trades, and is left out.
    """

    def __init__(self, kind: BarKind, lateness_ms: int = 0, whole: bool = True) -> None:
        self.kind = kind
        self.lateness_ms = lateness_ms
        self.whole = whole
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
    def still_open(self) -> int:
        """Bars that have trades and have not closed."""
        return sum(bool(one.trades()) for bars in self._symbols.values() for one in bars.open_bars())

    def due(self, time: int) -> list[Tick]:
        """For each symbol the tick by which the first of its open bars closes, if that is over at `time` (ms)."""
        ends = ((symbol, bars.due()) for symbol, bars in sorted(self._symbols.items()))
        return [Tick(symbol, end) for symbol, end in ends if end is not None and end <= time]

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
        if self.kind.kind == TIME:
            return TimeBars(symbol, self.kind, self.lateness_ms, self.whole)
        return (ImbalanceBars if self.kind.kind == "imbalance" else ThresholdBars)(symbol, self.kind)


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
