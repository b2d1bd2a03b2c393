"""Trades from files, row by row in the order in which they stand; the rows' numbers serve as offsets of a log."""

from collections.abc import Iterator
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from schemas.wire import is_symbol
from schemas.wire.fields import LAST_TIME
from schemas.wire.trades import LARGEST, MAX_ID, Trade
from streams.ingest.bar_files import EXAMPLES, Refused
from streams.ingest.normal.bar_times import stamps, starts
from streams.ingest.normal.naming import symbol_text
from streams.ingest.reading.places import pieces_of
from streams.ingest.reading.tables import Table, tables

ROWS = 50_000
"""Rows in memory at once, where the file can be read in parts."""
NAMES = {
    "symbol": ("symbol", "ticker"),
    "price": ("price",),
    "size": ("size", "qty", "quantity"),
    "id": ("id", "trade_id"),
    "side": ("side",),
    "action": ("action",),
}
"""Field → the columns that are it without a declaration."""
TIMES = ("time", "timestamp", "ts", "datetime")
SIDES = {"buy": "buy", "b": "buy", "sell": "sell", "s": "sell", "unknown": "unknown", "": "unknown"}
ACTIONS = ("trade", "cancel", "correct")
Numbered = tuple[int, Trade]


def read_trades(paths: tuple[str, ...], source: Source, left: Refused) -> Iterator[list[Numbered]]:
    """The trades of files, some at once, each with its row's number over all of them; `left`: rows that are none.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, lacks a column, or leaves a doubt that a line of the source would settle.
    """
    first = 0
    for piece in pieces_of(paths):
        for table in tables(piece, source, ROWS, texts=None):
            yield _trades(table, first, left)
            first += len(table.frame)


def _trades(table: Table, first: int, left: Refused) -> list[Numbered]:
    raw, columns = table.frame, _columns(table)
    if not len(raw):
        return []
    times, faults = _times(table, columns["time"])
    symbols = raw[columns["symbol"]].map(symbol_text) if columns["symbol"] else _named_by(table)
    price, size = (_numbers(raw[columns[name]]) for name in ("price", "size"))
    ids = _ids(raw[columns["id"]]) if columns["id"] else [None] * len(raw)
    sides = _words(raw, columns["side"], "unknown").map(SIDES)
    actions = _words(raw, columns["action"], "trade").replace("", "trade")
    faults |= {
        "before 1970 or after 9999": (times < 0) | (times > LAST_TIME),
        "without a symbol": ~symbols.map(is_symbol).to_numpy(np.bool_),
        f"with a price not above 0 and below {LARGEST:g}": ~((price > 0) & (price < LARGEST)),
        f"with a size not above 0 and below {LARGEST:g}": ~((size > 0) & (size < LARGEST)),
        "with a side that is neither buy, sell nor unknown": sides.isna().to_numpy(),
        "with an action that is neither trade, cancel nor correct": ~actions.isin(ACTIONS).to_numpy(),
        "that cancel or correct without an id": (actions != "trade").to_numpy() & np.array([i is None for i in ids]),
        f"with an id of more than {MAX_ID} characters": np.array([len(i or "") > MAX_ID for i in ids], np.bool_),
    }
    good = _good(table, faults, first, left)
    rows = zip(symbols, times.tolist(), price.tolist(), size.tolist(), ids, sides, actions, strict=True)
    numbers = (first + np.flatnonzero(good)).tolist()
    return [(number, Trade(*row)) for number, row in zip(numbers, compress(rows, good), strict=True)]


def _columns(table: Table) -> dict[str, str]:
    """Field → its column; empty where there is none."""
    raw, source, found = table.frame, table.source, {}
    times = source.time.columns or source.columns.get("time", ())  # type: ignore[call-overload]
    for field, names in {"time": TIMES, **NAMES}.items():
        declared = times if field == "time" else source.columns.get(field, ())  # type: ignore[call-overload]
        there = [name.lower() for name in declared] or [name for name in names if name in raw]
        if len(there) > 1 or any(name not in raw for name in there):
            raise ConfigurationError(
                f"{table.piece}: {field} may be {' or '.join(there)}; declare columns: {{{field}: {there[0]}}}; it has"
                f" {', '.join(raw.columns)}"
            )
        found[field] = there[0] if there else ""
    for field in ("time", "price", "size"):
        if not found[field]:
            mend = "time: {columns: …}" if field == "time" else f"columns: {{{field}: …}}"
            raise ConfigurationError(
                f"{table.piece}: has no column {field} of trades; declare {mend}; it has {', '.join(raw.columns)}"
            )
    return found


def _times(table: Table, column: str) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
    found = stamps(table, (column,))
    if table.source.time.zone is None and (found.naive & found.wall.notna().to_numpy()).any():
        raise ConfigurationError(
            f"{table.piece}: column {column} names no zone; declare time: {{zone: UTC}}, or whose clock it is"
        )
    return starts(table, found, np.zeros(len(table.frame), np.int64))


def _named_by(table: Table) -> "pd.Series[Any]":
    """Without a column: what is declared. A file's name is no symbol unless somebody says so."""
    if table.source.symbol.value is None:
        raise ConfigurationError(
            f"{table.piece}: has no column symbol; declare symbol: {{value: …}} or symbol: {{column: …}}; it has"
            f" {', '.join(table.frame.columns)}"
        )
    return pd.Series([table.source.symbol.value] * len(table.frame), table.frame.index, dtype=object)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan), np.float64)


def _ids(column: "pd.Series[Any]") -> list[str | None]:
    """Whole numbers as they are written without a point, whatever a column with missing ones made of them."""
    return [None if pd.isna(value) else symbol_text(value) or None for value in column.tolist()]


def _words(raw: pd.DataFrame, column: str, otherwise: str) -> "pd.Series[Any]":
    if not column:
        return pd.Series([otherwise] * len(raw), raw.index, dtype=object)
    return raw[column].fillna("").astype(str).str.strip().str.lower()


def _good(table: Table, faults: dict[str, NDArray[np.bool_]], first: int, left: Refused) -> NDArray[np.bool_]:
    """The rows without a fault; the others are counted, each by its first one."""
    good = np.ones(len(table.frame), np.bool_)
    for reason, bad in faults.items():
        new = np.flatnonzero(good & bad)
        if len(new):
            left.reasons[reason] = left.reasons.get(reason, 0) + len(new)
            room = EXAMPLES - len(left.examples)
            left.examples += [f"{table.piece} row {first + row}: {reason}" for row in new[:room].tolist()]
            good[new] = False
    return good
