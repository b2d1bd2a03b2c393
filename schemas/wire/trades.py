"""Trades: what is on the topic `trades`, and the ticks by which bars without trades close.

Times are integers: milliseconds since the epoch, UTC.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import Price, Symbol, Time, is_symbol, not_a_symbol

MAX_TRADE_BYTES = 16 * 1024
TICK = b'{"kind":"tick"'
"""How a tick begins, as the service writes it."""

MAX_ID = 100
LARGEST = 1e100
"""Prices and sizes are below it: what bars add up of them stays finite."""
TradeId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


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
    side: Annotated[Literal["buy", "sell", "unknown"], Meta(description="of who took the price")] = "unknown"
    action: Literal["trade", "cancel", "correct"] = "trade"


class Tick(Struct, tag="tick", tag_field="kind", forbid_unknown_fields=True, gc=False):
    """Topic `trades`, key symbol, written by the service: bars of the symbol that end by `time` close."""

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
        check_trade(record)
    return record


def check_trade(trade: Trade) -> None:
    """What types alone do not say."""
    if trade.price >= LARGEST or trade.size >= LARGEST:
        raise BadRecord("invalid", f"the price or the size is not below {LARGEST:g}")
    if trade.action != "trade" and trade.id is None:
        raise BadRecord("invalid", f"action {trade.action} without an `id`: nothing says which trade")


class BuiltKind(Struct):
    """Of one kind of bars: the offset where its fold began, how long its bars wait for late trades, and how many states
    the last complete round of snapshots has of it; the market by whose sessions they are, with the digest of these; how
    many in a row may be without trades.
    """

    origin: int
    lateness_ms: int
    states: int = 0
    session: str | None = None
    sessions: str | None = None
    flat: int = 0


class BuiltMarker(Struct, tag="built", tag_field="kind"):
    """Topic `trades.state`, key ``trades/PARTITION``: the bars of all trades before `offset` are published; `kinds` by
    their names. `floor` is the offset of the last complete round of snapshots; null: none yet.
    """

    topic: str
    partition: int
    offset: int
    kinds: dict[str, BuiltKind]
    floor: int | None = None
    source: Annotated[str, Meta(description="how trades are read, as `sources` has it; empty: as own ones")] = ""


class OpenBars(Struct, tag="open_bars", tag_field="kind"):
    """Topic `trades.state`, key ``INTERVAL/SYMBOL``: the bars of a symbol that are not closed after every record before
    `offset`. `number`: it is the how manyth of its kind on the partition.
    """

    interval: str
    symbol: str
    partition: int
    offset: int
    number: int
    layout: str
    sha256: Annotated[str, Meta(description="of the payload")]
    payload: bytes


TradesState = BuiltMarker | OpenBars
_state_decoder: msgspec.json.Decoder[TradesState] = msgspec.json.Decoder(TradesState)


def decode_trades_state(value: bytes | None) -> TradesState:
    """A valid record of `trades.state`, or `BadRecord` that says why not."""
    return decode(_state_decoder, value)
