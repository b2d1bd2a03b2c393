"""Declared sources: what the columns of somebody's files mean, so that nothing about them has to be guessed."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.configuration.fields import FileInterval, Section, Zone

Unit = Literal["s", "ms", "us", "ns"]
Encoding = Literal["json", "connect", "avro", "protobuf", "json_schema"]
REGISTERED = ("avro", "protobuf", "json_schema")
"""Encodings whose records say the id of a schema that a registry holds."""
FieldName = Literal[
    "symbol", "interval", "open_time", "close_time", "open", "high", "low", "close", "volume", "adjusted_close",
    "factor", "price", "size", "id", "side", "action", "published_at", "symbols", "headline", "body", "source", "url",
    "language",
]  # fmt: skip


def _several(value: Any) -> Any:
    """One name stands for a list of one; a number is a column's place, from 1."""
    given = list(value) if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, bool) or (isinstance(each, int) and each < 1) for each in given):
        raise ValueError("columns are counted from 1")
    return tuple(str(each) if isinstance(each, int) else each for each in given)


def _units(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _pattern(value: str) -> str:
    try:
        groups = set(re.compile(value).groupindex)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    if not groups or groups - {"symbol", "interval", "date"}:
        raise ValueError("names what it finds as (?P<symbol>…), (?P<interval>…) or (?P<date>…), and nothing else")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class TimeUse(Section):
    """What the times are."""

    columns: Names = Field((), description="one column, or several whose texts are read as one: [DATE, TIME]")
    format: str | None = Field(None, description="as Python's strptime writes it, such as %Y.%m.%d %H:%M:%S")
    unit: Annotated[tuple[Unit, ...], BeforeValidator(_units)] = Field(
        (), description="of numbers since the epoch; several: the range of the values tells which"
    )
    zone: Zone | None = Field(None, description="whose clock times without a zone are by")
    stamp: Literal["start", "end"] | None = Field(None, description="of the bar that is stamped; none: its start")
    wall: bool = Field(False, description="numbers count by the clock of `zone`, as MetaTrader's do, not by UTC")

    @model_validator(mode="after")
    def _one_meaning(self) -> "TimeUse":
        if self.wall and self.zone is None:
            raise ValueError("wall needs a zone: whose clock do the numbers count by?")
        return self


class SymbolUse(Section):
    """Where a bar's symbol is said."""

    column: str | None = None
    value: str | None = Field(None, description="all bars are of this one")
    from_path: Pattern | None = Field(None, description="a regular expression that finds it in a file's path")
    pattern: Pattern | None = Field(None, description="a regular expression that finds it in the column's text")
    upper: bool = Field(False, description="in capitals")
    replace: dict[str, str] = Field({}, description="texts in it → what stands for them, such as _: /")

    @model_validator(mode="after")
    def _one(self) -> "SymbolUse":
        if self.column is not None and self.value is not None:
            raise ValueError("give one of column, value and from_path")
        if self.pattern and not self.column:
            raise ValueError("pattern looks at a column's text: name the column")
        return self


class CsvUse(Section):
    """How a text file is written."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    decimal: str = Field(".", min_length=1, max_length=1)
    thousands: str | None = Field(None, min_length=1, max_length=1)
    header: bool | None = Field(None, description="false: the first line is data, and columns are called 1, 2, 3, …")
    skip: int = Field(0, ge=0, le=1_000_000, description="lines before the header, or before the data")
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _known(self) -> "CsvUse":
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"there is no encoding {self.encoding!r}; write one such as utf-8 or utf-16") from None
        if self.decimal == self.delimiter:
            raise ValueError("the delimiter and the decimal mark are the same")
        return self


class ClosedUse(Section):
    column: str = Field(description="true in the rows of finished bars, false in those of one that is still forming")


OF_FILES = ("preset", "path", "names", "shape", "csv", "adjust", "repeated", "market")
OF_TOPICS = ("encoding", "texts", "key", "sides")
Kind = Literal["bars", "trades", "news"]
KINDS: tuple[Kind, ...] = ("bars", "trades", "news")
_COMMON = {"topic", "encoding", "texts", "key", "columns", "time", "only"}
_SETTINGS = {
    "trades": _COMMON | {"symbol", "price_scale", "volume_scale", "scaled", "undefined", "sides"},
    "news": _COMMON,
}
_FIELDS = {
    "bars": {"symbol", "interval", "open_time", "close_time", "open", "high", "low", "close", "volume"},
    "trades": {"symbol", "price", "size", "id", "side", "action"},
    "news": {"id", "published_at", "symbols", "headline", "body", "source", "url", "language"},
}


def check_kind(name: str, source: "Source", kind: Kind) -> None:
    """`ValueError` where a source of a topic says what the topic's records have not, or not enough."""
    place, fields = f"sources.{name}", _FIELDS[kind]
    if wrong := sorted(set[str](source.columns) - fields):
        raise ValueError(f"{place}.columns: {wrong[0]} is no field of {kind}; there is: {_list(fields)}")
    if wrong := sorted(source.model_fields_set - _SETTINGS.get(kind, source.model_fields_set)):
        raise ValueError(f"{place}: {wrong[0]} is nothing that {kind} have; there is: {_list(_SETTINGS[kind])}")
    said = source.interval or "interval" in source.columns or "(?P<interval>" in (source.symbol.pattern or "")
    if kind == "bars" and not said:
        raise ValueError(f"{place}: say how long the topic's bars are: interval: 1m, or columns: {{interval: …}}")
    if source.sides and "side" not in source.columns:
        raise ValueError(f"{place}: sides says what the words of columns.side mean: name that")


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _check_topic(source: "Source") -> None:
    """What is said of a topic's records is enough, and nothing of it is of files only."""
    given = source.model_fields_set
    if source.topic is None:
        if wrong := [name for name in OF_TOPICS if name in given]:
            raise ValueError(f"{wrong[0]} is of a topic's records: name the topic")
        return
    if wrong := [name for name in OF_FILES if name in given]:
        raise ValueError(f"{wrong[0]} is of files, and this source is of a topic: leave it out")
    if source.symbol.from_path or source.columns.keys() & {"adjusted_close", "factor"}:
        raise ValueError("a topic's records have no path, and no adjusted prices: leave out symbol.from_path and those")


class Source(Section):
    """Files of one kind, or the records of a topic, and what in them is what."""

    topic: str | None = Field(
        None, description="a topic of bars, trades or news by its full name: its records are read so"
    )
    encoding: Encoding = Field("json", description="of the topic's values; those of Confluent's format need a registry")
    texts: bool = Field(False, description="numbers of a topic's records may be written as texts, such as '0.01'")
    key: Literal["symbol", "any"] = Field("symbol", description="of the topic's records; any: it is not looked at")
    preset: str | None = Field(None, description="the settings below, as a tool or a vendor writes its files")
    path: str | tuple[str, ...] | None = Field(None, description="files, folders, or patterns such as bars/*.parquet")
    names: tuple[str, ...] = Field((), description="of the columns, where the file has none")
    columns: dict[FieldName, Names] = Field(
        {}, description="field → its column; of several the sum; none: there is none"
    )
    records: str | None = Field(None, description="where in a JSON document its rows lie, such as results")
    shape: Literal["table", "wide"] = Field(
        "table", description="wide: a column for each field and symbol, as yfinance"
    )
    time: TimeUse = TimeUse()
    interval: FileInterval | None = Field(None, description="how long the bars are")
    interval_names: dict[str, FileInterval] = Field({}, description="words of the files for it, such as 60: 1h")
    symbol: SymbolUse = SymbolUse()
    price_scale: float = Field(1.0, gt=0, description="what prices are multiplied with, such as 1.0e-9")
    volume_scale: float = Field(1.0, gt=0)
    scaled: Literal["all", "integers"] = Field("all", description="integers: only whole numbers are scaled")
    undefined: float | None = Field(None, description="a number that stands for no value")
    adjust: Literal["none", "ratio", "factor"] | None = Field(
        None, description="ratio: prices by adjusted_close / close; factor: prices / factor, volume * factor"
    )
    csv: CsvUse = CsvUse()
    closed: ClosedUse | None = None
    sides: dict[str, Literal["buy", "sell", "unknown"]] = Field(
        {}, description="of a topic of trades: words of columns.side, and who took the price, such as 'true': sell"
    )
    only: dict[str, str | tuple[str, ...]] = Field({}, description="column → the values of the rows that are read")
    repeated: Literal["refuse", "all", "first", "last"] = Field(
        "refuse", description="rows of one symbol and time with other values: all as corrections, the first, the last"
    )
    market: str | None = Field(None, description="a calendar, as execution.calendar: XNYS, 24/7")

    @model_validator(mode="after")
    def _whole(self) -> "Source":
        if self.symbol.column and "symbol" in self.columns and self.columns["symbol"] != (self.symbol.column,):
            raise ValueError("columns.symbol and symbol.column name two columns")
        if self.time.columns and "open_time" in self.columns:
            raise ValueError("columns.open_time and time.columns: leave one out")
        _check_topic(self)
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path or ()
