"""From records on the topic `trades` to trades and ticks; what cannot be used becomes a dead letter."""

from collections.abc import Iterable
from typing import Any

from schemas.errors import BadRecord
from schemas.wire.trades import Tick, Trade, decode_trade
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import TradeDecoder
from streams.kafka.partitioner import misplaced


class TradeIntake:
    """Decodes and checks the records of one partition of `trades`; whoever makes bars of them, live or later, uses it.

    `partitioner` says which symbols belong on the partition; `bound`: what is refused by the clock; `decoder`: how
    records of a declared source are read (None: they are alphawire's own).
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        partitioner: str,
        bound: ClockBound | None = None,
        decoder: TradeDecoder | None = None,
    ) -> None:
        self._decoder = decoder
        self.partition = partition
        self.partitions = partitions
        self.partitioner = partitioner
        self.bound = bound or ClockBound()
        self._keys: dict[str, bytes] = {}

    async def prepare(self, records: Iterable[Any]) -> None:
        """Waits until all is known that `read` needs for these records: the schemas of some."""
        if self._decoder is not None:
            await self._decoder.prepare(record.value for record in records)

    def read(self, record: Any) -> Trade | Tick | None:
        """The record, or `BadRecord` that says why it is none; None: it is not among those that are to be read."""
        trade = decode_trade(record.value) if self._decoder is None else self._declared(self._decoder, record)
        if trade is None:
            return None
        key = trade.symbol.encode() if self._decoder is not None and self._decoder.any_key else record.key
        if key is None or self._keys.get(trade.symbol) != key:
            self._check_key(trade.symbol, key)
        self.bound.check_time(record.offset, trade.time, "the trade is of")
        return trade

    def _declared(self, decoder: TradeDecoder, record: Any) -> Trade | Tick | None:
        try:
            return decoder.trade(record.value)
        except BadRecord as bad:
            if bad.kind == "unknown_schema":
                self.bound.refuse(record.offset)
            raise

    def _check_key(self, symbol: str, key: bytes | None) -> None:
        if key != symbol.encode():
            shown = "none" if key is None else repr(key[:80])
            mend = "" if self._decoder is None else "; declare key: any in the source where it need not be"
            raise BadRecord("wrong_key", f"the key {shown} is not the symbol {symbol!r}{mend}")
        if fault := misplaced(symbol, self.partition, self.partitions, self.partitioner):
            raise BadRecord("wrong_partition", fault)
        self._keys[symbol] = key
