"""Which column of a table is what: as declared, or by names that leave no doubt; else a line says what to declare."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from plugins.base.bars import PRICES
from schemas.errors import ConfigurationError
from schemas.wire import is_symbol
from streams.ingest.reading.tables import Table

TIMES = ("open_time", "timestamp", "datetime", "time", "date")
OTHER_TIMES = (
    "ts", "ts_event", "t", "start", "start_time", "starttime", "opentime", "open time", "timeopen", "time_open",
    "begin",
    "begins_at", "candle_begin_time", "period_start", "window_start", "datetime_utc", "date_time", "unix", "epoch",
    "unix_timestamp", "dt", "day", "trade_date", "trading_day",
)  # fmt: skip
ENDS = ("close_time", "closetime", "close time", "timeclose", "time_close", "stop", "end", "end_time", "endtime")
"""Names of ends; they are held against the starts."""
SYMBOLS = ("symbol", "ticker")
OTHER_SYMBOLS = (
    "name", "symbols", "tic", "instrument", "instrument_id", "code", "pair", "ts_code", "act_symbol", "asset",
    "contract",
    "instid", "market", "permno", "product_id", "s", "sid", "stock", "tickers", "security", "figi", "isin", "ric",
    "coin",
    "bar_type", "raw_symbol", "product", "stock_code", "secid", "gvkey", "cusip", "currency_pair", "currencypair",
    "base_asset", "underlying",
)  # fmt: skip
CLOSED = ("closed", "is_closed")
ADJUSTED = (
    "adj close",
    "adj_close",
    "adjclose",
    "adjusted_close",
    "adjusted close",
    "close_adj",
    "adj. close",
    "adjustedclose",
)
OTHER_VOLUMES = re.compile(r"(^v$|^vol$|^<vol>$|^up$|^down$|vol|turnover|^qty$|quantity|^amount$|^size$|^total_traded)")
NO_VOLUMES = re.compile(r"(volatil|vwap|quote|taker|trades|weighted|implied|adj)")
VAGUE = re.compile(
    r"""( ^(bars?|data|prices?|candles?|ohlcv?|quotes?|klines?|history|hist|stocks?|crypto|export|download|output|table|
           file|dataset|all|minute|daily|hourly|raw|combined|merged|sample|test|train)$
        | ^(data|part|chunk|file|block|batch|bars?)[-_.]?\d+ | ^\d{5,}\.?$(?<=0{5}\d) | ^(19|20)\d\d$ | ^[0-9a-f]{8}-
        | (19|20)\d\d[-_.]?[01]\d([-_.]?[0-3]\d)?
        | [-_. ](\d+[-_ ]?(s|m|h|d|w|sec|min|minutes?|hours?|days?|weeks?)|[smhdw]\d+|mn1)([-_. ]|$)
        | [-_. ](daily|hourly|minute|weekly|monthly|intraday|adjusted|unadjusted|adjsplit\w*|trade|full|ohlcv?
                 |bars?|candles?
                 |klines?|data|prices?|history|hist|historical|eod)([-_. ]|$) )""",
    re.VERBOSE | re.IGNORECASE,
)
"""Names of files that hold more than a symbol, or none."""
PLAIN = (
    "exchange",
    "currency",
    "type",
    "interval",
    "timeframe",
    "venue",
    "source",
    "conditions",
    "unit",
    "side",
    "period",
)
"""Columns of text that are no symbol's."""


@dataclass(frozen=True)
class Columns:
    """Field → its columns. `times` are the bars' own; `ends`: of a column that says their ends."""

    times: tuple[str, ...]
    ends: str | None
    values: dict[str, tuple[str, ...]]
    symbol: tuple[str, ...]
    """Their texts are joined by dots."""
    interval: str | None
    closed: str | None
    adjusted: str | None
    used: frozenset[str] = field(default_factory=frozenset)

    def described(self, names: Iterable[str]) -> dict[str, Any]:
        """Field → the columns that it comes from, and those that nothing comes from."""
        fields = {"time": self.times, "symbol": self.symbol, **self.values}
        fields |= {"interval": (self.interval,), "end": (self.ends,), "closed": (self.closed,)}  # type: ignore[dict-item]
        used = {name: " + ".join(found) for name, found in fields.items() if found and found[0]}
        return {"used": used, "ignored": [name for name in names if name not in self.used]}


def columns_of(table: Table) -> Columns:
    """`ConfigurationError` where one is missing, or might be another."""
    raw, source = table.frame, table.source
    values = {name: _declared(table, name) or ((name,) if name in raw else ()) for name in PRICES}
    missing = [name for name, found in values.items() if not found]
    times = _times(table)
    if not times and "date" not in (source.symbol.from_path or ""):
        missing.insert(0, f"a time ({', '.join(TIMES)})")
    if missing:
        signs = [
            sign for sign in (";", "\t", "|") if sum(sign in name for name in raw.columns) and len(raw.columns) < 4
        ]
        mend = f"; declare csv: {{delimiter: {signs[0]!r}}}" if signs else ""
        has = f"it has {', '.join(raw.columns)}{mend}"
        raise ConfigurationError(f"{table.piece}: has no column {', '.join(missing)}; {has}")
    ends = _one(table, "close_time") or next((name for name in ENDS if name in raw and name not in times), None)
    values["volume"] = _volume(table)
    closed = (
        _named(table, source.closed.column) if source.closed else next((each for each in CLOSED if each in raw), None)
    )
    adjusted = _one(table, "adjusted_close") or next((each for each in ADJUSTED if each in raw), None)
    interval = None if source.interval else _one(table, "interval") or ("interval" if "interval" in raw else None)
    used = {*times, *(name for found in values.values() for name in found)}
    symbol = _symbol(table, used | {each for each in (ends, closed, adjusted) if each})
    used |= {each for each in (ends, *symbol, interval, closed, adjusted) if each}
    return Columns(times, ends, values, symbol, interval, closed, adjusted, frozenset(used))


def _declared(table: Table, name: str) -> tuple[str, ...]:
    """The columns that are declared for a field, by the names that they have."""
    declared = table.source.columns.get(name, ())  # type: ignore[call-overload]
    if declared in ((), ("none",)):
        return ()
    return tuple(_named(table, each) for each in declared)


def _one(table: Table, name: str) -> str | None:
    found = _declared(table, name)
    return found[0] if found else None


def _named(table: Table, name: str) -> str:
    low = name.strip().lower()
    if low not in table.frame:
        raise ConfigurationError(
            f"{table.piece}: has no column {name}, which is declared; it has {', '.join(table.frame.columns)}"
        )
    return low


def _times(table: Table) -> tuple[str, ...]:
    raw, source = table.frame, table.source
    if source.time.columns:
        return tuple(_named(table, name) for name in source.time.columns)
    if declared := _declared(table, "open_time"):
        return declared
    if "open_time" in raw:
        return ("open_time",)
    own = [name for name in raw.columns if name not in table.piece.keys or name not in raw.columns[:-1]]
    found = [name for name in (*TIMES, *OTHER_TIMES) if name in own and name not in table.piece.keys]
    found += [name for name in own if name not in (*found, *ENDS) and _of_times(raw[name])]
    found = [name for name in found if name in TIMES or _may_be_times(raw[name])]
    if len(found) > 1 and not all(_same(raw[found[0]], raw[name]) for name in found[1:]):
        raise ConfigurationError(
            f"{table.piece}: may have its times in {' or '.join(found)}; declare time: {{columns: {found[0]}}}, and"
            " stamp: end where it says the bars' ends"
        )
    if found and found[0] not in TIMES:
        raise ConfigurationError(
            f"{table.piece}: has no column a time ({', '.join(TIMES)}); where {found[0]} is it, declare time:"
            f" {{columns: {found[0]}}}, and stamp: end where it says the bars' ends; it has {', '.join(raw.columns)}"
        )
    return tuple(found[:1])


def _of_times(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(column)


def _may_be_times(column: "pd.Series[Any]") -> bool:
    """Not a count, a flag or a name."""
    if _of_times(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        return bool(len(values)) and not bool(np.nanmax(values, initial=0) < 10**7)
    first = column.dropna().astype(str).head(3)
    return bool(len(first)) and bool(first.str.contains(r"\d").all())


def _same(one: "pd.Series[Any]", other: "pd.Series[Any]") -> bool:
    try:
        return bool((one == other).all())
    except (TypeError, ValueError):
        return False


def _volume(table: Table) -> tuple[str, ...]:
    raw, source = table.frame, table.source
    if "volume" in source.columns:
        return _declared(table, "volume")
    others = [name for name in raw.columns if OTHER_VOLUMES.search(name) and not NO_VOLUMES.search(name)]
    others = [name for name in others if name != "volume" and pd.api.types.is_numeric_dtype(raw[name])]
    there = "volume" in raw
    zero = there and not bool((pd.to_numeric(raw["volume"], errors="coerce").fillna(0) != 0).any())
    if others and (not there or (zero and any((raw[name].fillna(0) != 0).any() for name in others))):
        mend = f"declare columns: {{volume: {others[0]}}}, or volume: none"
        why = "is 0 everywhere" if there else "is not there"
        raise ConfigurationError(f"{table.piece}: its column volume {why}, and there is {', '.join(others)}; {mend}")
    return ("volume",) if there else ()


def _symbol(table: Table, used: Iterable[str]) -> tuple[str, ...]:
    """The columns that say the symbols; none: something else is declared, or the file's name does."""
    raw, source = table.frame, table.source
    if source.symbol.column:
        return (_named(table, source.symbol.column),)
    if declared := _declared(table, "symbol"):
        return declared
    if source.symbol.value is not None or "(?P<symbol>" in (source.symbol.from_path or ""):
        return ()
    for name in SYMBOLS:
        if name in raw:
            return (name,)
    if doubtful := _may_say_symbols(raw, set(used)):
        raise ConfigurationError(
            f"{table.piece}: has no column symbol; where {doubtful} says it, declare symbol: {{column: {doubtful}}},"
            " else symbol: {value: …} or {from_path: …}"
        )
    if VAGUE.search(table.piece.stem):
        raise ConfigurationError(
            f"{table.piece}: has no column symbol, and {table.piece.stem} is more than a symbol's name; declare symbol:"
            " {value: …}, or where in the path it stands, such as {from_path: '(?P<symbol>[A-Z]+)-1m-.*'}"
        )
    return ()


def _may_say_symbols(raw: pd.DataFrame, used: set[str]) -> str | None:
    others = [name for name in raw.columns if name not in used and name not in (*TIMES, *OTHER_TIMES, *ENDS)]
    known = [name for name in OTHER_SYMBOLS if name in others]
    if known:
        return known[0]
    return next((name for name in others if name not in PLAIN and _looks_like_symbols(raw[name])), None)


def _looks_like_symbols(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column) or _of_times(column) or not len(column):
        return False
    values = {str(value) for value in column.dropna().unique()[:50]}
    return bool(values) and all(is_symbol(value) and not value.replace(".", "").isdigit() for value in values)
