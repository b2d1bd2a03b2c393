"""Which trades made a bar: folded from the log again, and held against the bar that was published."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from backtest.verify.trade_bars import MADE_OF, BuiltBar, Place, again, key
from plugins.fold.trades.open_bar import SIDES, Row
from plugins.fold.trades.symbol_bars import ClosedBar
from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval, encode
from streams.kafka.log import Log
from streams.owners.trades.stored import load_bars

NAMES = {number: name for name, number in SIDES.items()}


@dataclass
class ExplainedBar:
    """A bar as its trades give it: `closed_by` is the offset of the record on ``trades/PARTITION`` by which it closed.
    `published`: is this bar on the topic, equal to the byte? `trades` by their times, as they were when it closed;
    there are none where it is flat, and it has the price of the trade at the offset `price_of`.
    """

    partition: int
    closed_by: int
    bar: dict[str, Any]
    published: bool
    trades: list[dict[str, Any]]
    price_of: int | None = None


def _explained(partition: int, closed_by: int, closed: ClosedBar, published: bool) -> ExplainedBar:
    bar, price_of = msgspec.to_builtins(closed.bar), None if closed.rows else closed.price_of
    return ExplainedBar(partition, closed_by, bar, published, [_plain(row) for row in closed.rows], price_of)


def place_of(text: str, moment: Callable[[str], int]) -> Place:
    """SYMBOL/INTERVAL/OPENING as a place; `moment` reads a time."""
    parts = text.rsplit("/", 2)
    if len(parts) != 3:
        raise ConfigurationError(
            f"{text!r} names no bar; write SYMBOL/INTERVAL/OPENING, as BAC/1m/2013-10-04T14:30:00Z"
        )
    return parts[0], canonical_interval(parts[1]), moment(parts[2])


async def explain_bar(log: Log, place: Place, progress: Callable[[int], None] = lambda _: None) -> ExplainedBar:
    """The bar at a place (symbol, interval, opening in ms); `ConfigurationError` where no trades on the log give it."""
    for number in range(await log.partition_count("trades")):
        stored = await load_bars(log, number)
        if stored.marker is None:
            continue
        async with contextlib.aclosing(again(log, number, stored, progress)) as folded:
            async for one, offset in folded:
                if key(built := BuiltBar(encode(one.bar), one.made_of(number), offset)) == place:
                    found = await _published(log, number, built)
                    return _explained(number, offset, one, found)
    symbol, interval, opening = place
    raise ConfigurationError(
        f"no trades on this log give a closed bar of {symbol} and {interval} that opens at {opening}; is that the bar's"
        " own `open_time`?"
    )


async def _published(log: Log, number: int, built: BuiltBar) -> bool:
    async with contextlib.aclosing(log.records("bars", number, isolation="read_committed")) as records:
        async for record in records:
            if (record.value, dict(record.headers).get(MADE_OF)) == built[:2]:
                return True
    return False


def _plain(row: Row) -> dict[str, Any]:
    return row._asdict() | {"side": NAMES[row.side]}
