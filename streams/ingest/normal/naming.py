"""What each row is called: its symbol, and the interval of its bar."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration.sources import Source, SymbolUse
from schemas.errors import ConfigurationError
from schemas.wire import bar_length, canonical_interval, in_days, is_varying
from schemas.wire.fields import MAX_SYMBOL, known_interval
from streams.ingest.normal.columns import Columns
from streams.ingest.normal.interval_names import known_name
from streams.ingest.reading.pieces import Piece
from streams.ingest.reading.tables import Table


def symbol_text(symbol: Any) -> str:
    """A symbol as its column's type has it: text, bytes, or a whole number, as Tokyo, Hong Kong and Shanghai use; one
    that is none is empty.

    >>> symbol_text(" A "), symbol_text(7203), symbol_text(7203.0), symbol_text(7203.5), symbol_text(b"A")
    ('A', '7203', '7203', '', 'A')
    """
    if isinstance(symbol, bytes):
        symbol = symbol.decode("utf-8", "replace")
    if isinstance(symbol, str):
        return symbol.strip()
    if isinstance(symbol, int) and not isinstance(symbol, bool):
        return str(symbol) if abs(symbol) < 10**MAX_SYMBOL else ""
    whole = isinstance(symbol, float | np.integer | np.floating)
    return str(int(symbol)) if whole and np.isfinite(symbol) and symbol == int(symbol) else ""


def symbols_of(table: Table, columns: Columns) -> "pd.Categorical[Any]":
    use, raw = table.source.symbol, table.frame
    if columns.symbol:
        texts = _categories(raw[columns.symbol[0]], lambda symbol: found_symbol(use, symbol_text(symbol)))
        for name in columns.symbol[1:]:
            joined = pd.Series(texts, raw.index).astype(str) + "." + raw[name].astype(str).str.strip()
            texts = _categories(joined, symbol_text)
        return texts
    if use.value is not None:
        return _all(use.value, raw)
    if use.from_path:
        symbol = group_in(use.from_path, table.piece, "symbol")
        if symbol is not None:
            return _all(_renamed(use, symbol), raw)
    return _all(_renamed(use, table.piece.stem), raw)


def found_symbol(use: SymbolUse, text: str) -> str:
    """The symbol in a column's text: what the pattern finds (without one all of it), renamed."""
    found = re.search(use.pattern, text) if use.pattern else None
    return _renamed(use, str(found["symbol"]) if found else "" if use.pattern else text)


def _renamed(use: SymbolUse, symbol: str) -> str:
    for old, new in use.replace.items():
        symbol = symbol.replace(old, new)
    return symbol.upper() if use.upper else symbol


def group_in(pattern: str, piece: Piece, name: str) -> str | None:
    """What a pattern of the path finds as `name`; `ConfigurationError` where it does not fit the path at all."""
    found = re.search(pattern, piece.name.replace("\\", "/"))
    if found is None:
        raise ConfigurationError(f"{piece}: symbol.from_path {pattern!r} is not found in it")
    return found.groupdict().get(name)


def intervals_of(
    table: Table, columns: Columns, given: str | None
) -> tuple["pd.Categorical[Any]", NDArray[np.int64], NDArray[np.bool_]]:
    """Interval of each row, its length in ms, and which rows have another than the given one."""
    piece, raw, source = table.piece, table.frame, table.source
    of_path = group_in(source.symbol.from_path, piece, "interval") if source.symbol.from_path else None
    of_text = source.symbol.pattern if "(?P<interval>" in (source.symbol.pattern or "") else None
    _check_declared(piece, source.interval, given)
    wanted = in_days(given or source.interval or "") or None
    if of_path is not None:
        names = _all(_named(source, of_path), raw)
    elif of_text and columns.symbol:
        names = _categories(raw[columns.symbol[0]], lambda text: _named(source, _group(of_text, str(text))))
    elif columns.interval is not None:
        names = _categories(raw[columns.interval], lambda interval: _named(source, str(interval).strip()))
    elif wanted is None:
        raise ConfigurationError(
            f"{piece}: does not say how long its bars are; say it with --interval, such as --interval 1m"
        )
    else:
        names = _all(canonical_interval(wanted), raw)
    word = names.categories[0]
    if of_path is not None and wanted is not None and known_interval(word) is None and not is_varying(word):
        return names, np.full(len(raw), bar_length(wanted)), np.ones(len(raw), np.bool_)
    lengths = np.array([_length(piece, name) for name in names.categories], np.int64)
    other = np.array([wanted is not None and name != canonical_interval(wanted) for name in names.categories], np.bool_)
    return names, lengths[names.codes], other[names.codes]


def _named(source: Source, word: str) -> str:
    return canonical_interval(source.interval_names.get(word) or known_name(word))


def _group(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found["interval"] if found else text


def _check_declared(piece: Piece, declared: str | None, given: str | None) -> None:
    if (
        given is not None
        and declared is not None
        and canonical_interval(in_days(given)) != canonical_interval(declared)
    ):
        raise ConfigurationError(f"{piece}: holds bars of {declared}, as its source declares, and {given} is asked for")


def _categories(values: "pd.Series[Any]", named: Callable[[Any], str]) -> "pd.Categorical[Any]":
    """The values by their names; only the distinct ones are looked at."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    names = [named(value) for value in distinct]
    places = {name: place for place, name in enumerate(sorted(set(names)))}
    return pd.Categorical.from_codes(
        np.array([places[name] for name in names], np.int64)[codes], pd.Index(list(places), dtype=object)
    )


def _all(name: str, raw: pd.DataFrame) -> "pd.Categorical[Any]":
    return pd.Categorical.from_codes(np.zeros(len(raw), np.int64), pd.Index([name], dtype=object))


def _length(path: Piece, interval: str) -> int:
    try:
        return bar_length(interval)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}; declare interval: 1m where the file has another word") from None
