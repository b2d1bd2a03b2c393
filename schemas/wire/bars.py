"""Bars: what is on the topic `bars`."""

import math
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import (
    Interval,
    Price,
    Symbol,
    Time,
    are_months,
    is_symbol,
    is_varying,
    known_interval,
    months_of,
    not_a_symbol,
)

MAX_BAR_BYTES = 64 * 1024


class Bar(Struct, forbid_unknown_fields=True, gc=False):
    """One OHLCV bar of one symbol: topic `bars`, key symbol. ``close_time = open_time + interval``; `open_time` is a
    whole minute, of shorter intervals a multiple of them. Bars that close when enough has been traded
    (``volume:10000``) have the times of their trades, bars of months (``1M``) those of the months.

    `closed: false` marks a bar that is still forming; such a bar is counted and ignored. `flat: true` marks one of a
    time without trades, at the last price; it counts as any other.
    """

    symbol: Symbol
    interval: Interval
    open_time: Time
    close_time: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Annotated[float, Meta(ge=0)]
    closed: Annotated[bool, Meta(description="true where it is left out")] = True
    flat: Annotated[bool, Meta(description="there were no trades; false where it is left out")] | UnsetType = UNSET


_decoder = msgspec.json.Decoder(Bar)


def decode_bar(value: bytes | None) -> Bar:
    """A valid bar, or `BadRecord` that says why not."""
    if value is None:
        raise BadRecord("tombstone", "a bar cannot be deleted: the record has no value")
    if len(value) > MAX_BAR_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a bar has at most {MAX_BAR_BYTES}")
    bar = decode(_decoder, value)
    check_bar(bar)
    return bar


def check_bar(bar: Bar) -> None:
    """What types alone do not say: names, the order of prices, times."""
    length = known_interval(bar.interval)
    if length is None and not is_varying(bar.interval):
        raise BadRecord("invalid", f"{bar.interval[:80]!r} is not an interval such as 1m, 1h or 1d")
    if not is_symbol(bar.symbol):
        raise BadRecord("invalid", not_a_symbol(bar.symbol))
    low, high = bar.low, bar.high
    if not low <= bar.open <= high or not low <= bar.close <= high:
        raise BadRecord("invalid", _price_fault(bar))
    if length is None and bar.close_time <= bar.open_time:
        raise BadRecord("invalid", f"close_time {bar.close_time} is not after open_time {bar.open_time}")
    months = months_of(bar.interval)
    if months and not are_months(bar.open_time, bar.close_time, months):
        days = (bar.close_time - bar.open_time) / 86_400_000
        raise BadRecord("invalid", f"close_time is {days:.1f} days after open_time, which are no {bar.interval}")
    if length is not None and bar.close_time != bar.open_time + length:
        raise BadRecord("invalid", f"close_time {bar.close_time} is not open_time {bar.open_time} + {bar.interval}")
    if math.isinf(high) or math.isinf(bar.volume):
        raise BadRecord("invalid", "a price or the volume is infinite")


def _price_fault(bar: Bar) -> str:
    if bar.high < bar.low:
        return f"high {bar.high} is below low {bar.low}"
    name = "open" if not bar.low <= bar.open <= bar.high else "close"
    return f"{name} {getattr(bar, name)} is outside [low {bar.low}, high {bar.high}]"
