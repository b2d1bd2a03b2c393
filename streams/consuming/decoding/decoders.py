"""Decoders of a topic's records: alphawire's own, or as a declared source says.

>>> source = ('{"topic": "md", "interval": "1m", "columns": {"symbol": ["s"], "open": ["k.o"], "high": ["k.h"],'
...           ' "low": ["k.l"], "close": ["k.c"], "volume": ["k.v"]}, "time": {"columns": ["t"], "unit": ["ms"]}}')
>>> value = b'{"s": "A", "t": 60000, "k": {"o": 2.0, "h": 3.0, "l": 1.0, "c": 2.5, "v": 7, "x": true}}'
>>> (bar,) = Decoders(source).of(source).bars(value, Counter())
>>> bar.symbol, bar.close_time, bar.open, bar.volume
('A', 120000, 2.0, 7.0)
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from schemas.configuration.sources import REGISTERED, Source
from schemas.errors import BadRecord
from schemas.wire import UNREADABLE, Bar, decode_bar
from schemas.wire.decoding import unreadable
from schemas.wire.news import Article
from schemas.wire.trades import TICK, Tick, Trade, decode_trade
from streams.consuming.decoding import connect
from streams.consuming.decoding.articles import ArticlePlan
from streams.consuming.decoding.compiled.avro_scanner import AvroScanner
from streams.consuming.decoding.compiled.json_scanner import json_scanner
from streams.consuming.decoding.compiled.scanner import Scanner, slots_of
from streams.consuming.decoding.mapping import Plan
from streams.consuming.decoding.registered import Registered
from streams.consuming.decoding.trades import TradePlan
from streams.kafka.schema_registry import Schemas

LARGEST = 8 << 20
"""Bytes of a record of several bars."""
Made = TypeVar("Made")
_json = msgspec.json.Decoder()


def _content(value: bytes) -> Any:
    try:
        return _json.decode(value)
    except UNREADABLE as error:
        raise unreadable(error) from None


class RecordDecoder:
    """The content of the records that one source declares."""

    def __init__(self, source: Source, schemas: Schemas | None) -> None:
        self._source = source
        self.any_key = source.key == "any"
        self._registered = None
        self._content: Callable[[bytes], Any] = connect.content if source.encoding == "connect" else _content
        if source.encoding in REGISTERED:
            self._registered = Registered(source.encoding, schemas)
            self._content = self._registered.content

    async def prepare(self, values: Iterable[bytes | None]) -> None:
        """Waits until the schemas of these values are known, or known not to be there."""
        if self._registered is not None:
            await self._registered.prepare(values)

    def _read(self, value: bytes | None, what: str, make: Callable[[Any], Made]) -> Made:
        """What the content of a record is made into; `BadRecord` that says why there is nothing."""
        if value is None:
            raise BadRecord("tombstone", f"{what} cannot be deleted: the record has no value")
        if len(value) > LARGEST:
            raise BadRecord("too_large", f"{len(value)} bytes; a record has at most {LARGEST}")
        try:
            return make(self._content(value))
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            # what a value may be that nobody thought of: it is this record that cannot be read
            raise BadRecord("invalid", f"it cannot be read: {(str(error) or type(error).__name__)[:200]}") from None


class BarDecoder(RecordDecoder):
    """Bars of the records that one source declares."""

    def __init__(self, source: Source, schemas: Schemas | None) -> None:
        super().__init__(source, schemas)
        self.plan = Plan(source)

    def scanner(self) -> Scanner | None:
        """A new one, that has learned nothing; None where records are read one by one."""
        if self._source.encoding == "json":
            return json_scanner(self._source)
        paths = slots_of(self._source) if self._source.encoding == "avro" else None
        return AvroScanner(self._source, paths) if paths else None

    def teach(self, scanner: Scanner) -> None:
        """The schemas that are known now."""
        if isinstance(scanner, AvroScanner) and self._registered is not None:
            for number, schema in self._registered.schemas.items():
                scanner.add(number, schema)

    def names(self, value: bytes) -> tuple[Any, Any]:
        """What symbol and interval of a record are called in it; the interval is empty where it is not there."""
        return self.plan.names(self._content(value))

    def bars(self, value: bytes | None, counts: Counter[str]) -> list[Bar]:
        """The bars of one record; `BadRecord` that says why there are none, or which of them cannot be used."""
        return self._read(value, "a bar", lambda content: self.plan.bars(content, counts))


class TradeDecoder(RecordDecoder):
    """Trades of the records that one source (JSON) declares, and the ticks that the service wrote between them."""

    def __init__(self, source: str, schemas: Schemas | None) -> None:
        super().__init__(Source.model_validate_json(source), schemas)
        self._plan = TradePlan(self._source)

    def trade(self, value: bytes | None) -> Trade | Tick | None:
        """None: the record is none of those that are read. `BadRecord` that says why it is no trade."""
        if value is not None and value.startswith(TICK):
            with contextlib.suppress(BadRecord):  # somebody else's record may begin so, too
                return decode_trade(value)
        return self._read(value, "a trade", self._plan.trade)


class ArticleDecoder(RecordDecoder):
    """Articles of the records that one source (JSON) declares."""

    def __init__(self, source: str, schemas: Schemas | None, as_written: bool) -> None:
        super().__init__(Source.model_validate_json(source), schemas)
        self._plan = ArticlePlan(self._source, as_written)

    def article(self, value: bytes | None) -> Article | None:
        """None: the record is none of those that are read. `BadRecord` that says why it is no article."""
        return self._read(value, "an article", self._plan.article)


class OwnBars:
    """alphawire's own records."""

    any_key = False

    def scanner(self) -> None:
        """They have one of their own."""

    async def prepare(self, values: Iterable[bytes | None]) -> None:
        """Nothing has to be known."""

    def bars(self, value: bytes | None, counts: Counter[str]) -> list[Bar]:
        """The one bar of a record; `BadRecord` that says why there is none."""
        return [decode_bar(value)]


OWN = OwnBars()


class Decoders:
    """Those of the topic of bars: `source` (JSON; empty: alphawire's own records) is the one that is declared now; what
    was declared before is on the log. `schemas`: where the schemas of records lie.
    """

    def __init__(self, source: str = "", schemas: Schemas | None = None) -> None:
        self.source = source
        self._schemas = schemas
        self._known: dict[str, BarDecoder] = {}

    def of(self, source: str) -> BarDecoder | OwnBars:
        """The decoder of a source."""
        if not source:
            return OWN
        if source not in self._known:
            self._known[source] = BarDecoder(Source.model_validate_json(source), self._schemas)
        return self._known[source]

    @property
    def now(self) -> BarDecoder | OwnBars:
        return self.of(self.source)
