"""Trades: what is on the topic `trades`, and the ticks by which bars without trades close.

Times are integers: milliseconds since the epoch, UTC.
"""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import Price, Symbol, Time, is_symbol, not_a_symbol

MAX_TRADE_BYTES = 16 * 1024
TICK = b'{"kind":"tick"'
"""How a tick begins, as the service writes it."""

TradeId = Annotated[str, Meta(min_length=1, max_length=100)]


class Trade(Struct, forbid_unknown_fields=True, gc=False):
    """Topic `trades`, key symbol: one trade, or what became of one that was sent before.

    `action` is ``cancel`` (the trade of this `id` did not happen) or ``correct`` (it was at this price and size);
    either counts until the bar of the trade has closed.
    """

    symbol: Symbol
    time: Annotated[Time, Meta(description="when it happened, by the venue's clock")]
    price: Price
    size: Annotated[float, Meta(gt=0, description="shares, contracts or coins")]
    id: Annotated[TradeId | None, Meta(description="of the symbol's trade at its venue; repeats are dropped by it")] = (
        None
    )
    side: Annotated[Literal["buy", "sell"] | None, Meta(description="of who took the price")] = None
    action: Literal["trade", "cancel", "correct"] = "trade"


class Tick(Struct, tag="tick", tag_field="kind", forbid_unknown_fields=True, gc=False):
    """Topic `trades`, key symbol, written by the service: bars of the symbol that end by `time` close, trades or not."""

    symbol: Symbol
    time: Time


_trade_decoder = msgspec.json.Decoder(Trade)
_tick_decoder = msgspec.json.Decoder(Tick)


def decode_trade(value: bytes | None) -> Trade | Tick:
    """A valid trade or tick, or `BadRecord` that says why not."""
    if value is None:
        raise BadRecord("tombstone", "a trade cannot be deleted: the record has no value; send action cancel")
    if len(value) > MAX_TRADE_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a trade has at most {MAX_TRADE_BYTES}")
    record: Trade | Tick = decode(_tick_decoder, value) if value.startswith(TICK) else decode(_trade_decoder, value)
    if not is_symbol(record.symbol):
        raise BadRecord("invalid", not_a_symbol(record.symbol))
    if isinstance(record, Trade):
        _check(record)
    return record


def _check(trade: Trade) -> None:
    if math.isinf(trade.price) or math.isinf(trade.size):
        raise BadRecord("invalid", "the price or the size is infinite")
    if trade.action != "trade" and trade.id is None:
        raise BadRecord("invalid", f"action {trade.action} without an `id`: nothing says which trade")
