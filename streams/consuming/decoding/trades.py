"""From the content of a record to a trade, as a source declares it."""

from collections.abc import Callable
from typing import Any

from schemas.configuration.sources import Source
from schemas.errors import BadRecord
from schemas.wire import LAST_TIME, is_symbol, not_a_symbol
from schemas.wire.trades import MAX_ID, Trade, check_trade
from streams.consuming.decoding.fields import getter, number, shown
from streams.consuming.decoding.mapping import Chosen, symbol_of
from streams.consuming.decoding.times import reader_of

ACTIONS = ("trade", "cancel", "correct")


class TradePlan:
    """How the fields of a record become a trade. `id`, `side` and `action` count only where they are declared: another
    id by the same name would have trades dropped as repeats.
    """

    def __init__(self, source: Source) -> None:
        columns = source.columns
        self._chosen = Chosen(source)
        self._symbol = symbol_of(source)
        self._time_of = getter(source.time.columns[0] if source.time.columns else "time")
        self._time = reader_of(source.time, source.texts)
        self._price = _number(source, "price", source.price_scale)
        self._size = _number(source, "size", source.volume_scale)
        self._sides = source.sides
        self._id, self._side, self._action = (
            getter(columns[name][0]) if name in columns else None for name in ("id", "side", "action")
        )

    def trade(self, content: Any) -> Trade | None:
        """None: the record is none of those that are read. `BadRecord` that says why it is no trade."""
        if not self._chosen.has(content):
            return None
        trade = Trade(
            self._symbol(content),
            self._time(self._time_of(content)),
            self._price(content),
            self._size(content),
            None if self._id is None else text_of(self._id(content), "id", MAX_ID),
            "unknown" if self._side is None else self._side_of(self._side(content)),
            "trade" if self._action is None else _action_of(self._action(content)),  # type: ignore[arg-type]
        )
        _check_types(trade)
        check_trade(trade)
        return trade

    def _side_of(self, value: Any) -> Any:
        word = str(value).lower() if isinstance(value, bool) else str(value)
        side = self._sides.get(word, word.lower() if not self._sides else None)
        if side not in ("buy", "sell", "unknown"):
            raise BadRecord("invalid", f"its side is {shown(value)}: declare sides: {{{word[:20]}: buy}}, or sell")
        return side


def text_of(value: Any, name: str, longest: int) -> str:
    """A text, or a whole number as one."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not 0 < len(str(value)) <= longest:
        raise BadRecord("invalid", f"its {name} is {shown(value)}, and no text of up to {longest} letters")
    return str(value)


def _action_of(value: Any) -> str:
    if value not in ACTIONS:
        raise BadRecord("invalid", f"its action is {shown(value)}, and none of {', '.join(ACTIONS)}")
    return str(value)


def _number(source: Source, name: str, scale: float) -> Callable[[Any], float]:
    path = source.columns.get(name, (name,))[0]  # type: ignore[call-overload]
    get, read = getter(path), number(source.texts, scale, source.scaled, source.undefined)
    return lambda row: read(get(row), path)


def _check_types(trade: Trade) -> None:
    """What msgspec looks at in alphawire's own records."""
    if not is_symbol(trade.symbol):
        raise BadRecord("invalid", not_a_symbol(trade.symbol))
    if not 0 <= trade.time <= LAST_TIME:
        raise BadRecord("invalid", f"its time {trade.time} is not between 1970 and 9999")
    for name, value in (("price", trade.price), ("size", trade.size)):
        if not value > 0:
            raise BadRecord("invalid", f"its {name} {value} is not above 0")
