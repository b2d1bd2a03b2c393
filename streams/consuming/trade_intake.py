"""From records on the topic `trades` to trades and ticks; what cannot be used becomes a dead letter."""

from typing import Any

from schemas.errors import BadRecord
from schemas.wire.trades import Tick, Trade, decode_trade
from streams.consuming.clock_bound import ClockBound
from streams.kafka.partitioner import misplaced


class TradeIntake:
    """Decodes and checks the records of one partition of `trades`; whoever makes bars of them, live or later, uses it.

    `partitioner` says which symbols belong on the partition; `bound`: what is refused by the clock.
    """

    def __init__(self, partition: int, partitions: int, partitioner: str, bound: ClockBound | None = None) -> None:
        self.partition = partition
        self.partitions = partitions
        self.partitioner = partitioner
        self.bound = bound or ClockBound()
        self._keys: dict[str, bytes] = {}

    def read(self, record: Any) -> Trade | Tick:
        """The record, or `BadRecord` that says why it is none."""
        trade = decode_trade(record.value)
        if record.key is None or self._keys.get(trade.symbol) != record.key:
            self._check_key(trade.symbol, record.key)
        self.bound.check_time(record.offset, trade.time, "the trade is of")
        return trade

    def _check_key(self, symbol: str, key: bytes | None) -> None:
        if key != symbol.encode():
            shown = "none" if key is None else repr(key[:80])
            raise BadRecord("wrong_key", f"the key {shown} is not the symbol {symbol!r}")
        if fault := misplaced(symbol, self.partition, self.partitions, self.partitioner):
            raise BadRecord("wrong_partition", fault)
        self._keys[symbol] = key
