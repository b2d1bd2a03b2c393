"""Files that say who is in a universe: a list of symbols, or who was a member when."""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from schemas.canonical import canonical_json, sha256_hex
from schemas.errors import ConfigurationError
from schemas.wire import is_symbol, not_a_symbol

Periods = tuple[tuple[int, int], ...]
BEGINNING, END = 0, 253_402_300_800_000
"""Before every bar's close, and after it: 1970 and 10000, in milliseconds."""
ALWAYS: Periods = ((BEGINNING, END),)
HEADER = ("symbol", "from", "to")
LARGEST = 64 * 1024 * 1024


def read_symbols(path: Path, place: str) -> list[str]:
    """Symbols of a text file, one a line; empty lines and those that begin with ``#`` are skipped.

    Parameters
    ----------
    place
        Of the file's name in the configuration; messages begin with it.

    Raises
    ------
    ConfigurationError
        The file cannot be read or names no symbol, a line is no symbol, or a symbol is there twice. It names the line.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(_text(path, place).splitlines(), start=1):
        symbol = line.strip()
        if not symbol or symbol.startswith("#"):
            continue
        _check_symbol(symbol, f"{place}: {path}:{number}")
        if symbol in seen:
            raise ConfigurationError(f"{place}: {path}:{number}: {symbol} is there twice; see line {seen[symbol]}")
        seen[symbol] = number
    if not seen:
        raise ConfigurationError(f"{place}: {path} names no symbols; write one a line")
    return list(seen)


def read_history(path: Path, place: str) -> dict[str, Periods]:
    """Periods of membership by symbol, of a CSV file with the columns symbol, from, to.

    A date means its midnight in UTC; a time has an offset, or is UTC. `from` is the first moment of a membership, `to`
    the first after it; empty: it has no end. A symbol may come back.

    Parameters
    ----------
    place
        Of the file's name in the configuration; messages begin with it.

    Returns
    -------
    dict
        By symbol, ``(first, end)`` in ms since the epoch (UTC), half-open, in order.

    Raises
    ------
    ConfigurationError
        A field is no symbol or no date, a period is empty, or two of a symbol overlap. It names the line.
    """
    rows: dict[str, list[tuple[int, int, int]]] = {}
    for number, row in _rows(path, place):
        where = f"{place}: {path}:{number}"
        symbol, first, end = row
        _check_symbol(symbol, where)
        begin, stop = _time(first, "from", where), _time(end, "to", where) if end else END
        if begin >= stop:
            raise ConfigurationError(f"{where}: {symbol} is a member from {first} to {end}, which is no time at all")
        rows.setdefault(symbol, []).append((begin, stop, number))
    if not rows:
        raise ConfigurationError(f"{place}: {path} names no symbols; write rows of symbol,from,to")
    return {symbol: _in_order(symbol, own, f"{place}: {path}") for symbol, own in sorted(rows.items())}


def digest(periods: Mapping[str, Periods]) -> str:
    """SHA-256 of who is a member when, whatever the file looked like."""
    return sha256_hex(canonical_json({symbol: list(map(list, own)) for symbol, own in periods.items()}))


def _text(path: Path, place: str) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigurationError(f"{place}: {path} is larger than {LARGEST >> 20} MB; is it a universe?")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{place}: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place}: {path} is no text in UTF-8") from None


def _rows(path: Path, place: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_text(path, place).splitlines())
    wanted = f"write {','.join(HEADER)} in its first line"
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted(HEADER):
            columns = ",".join(header)[:80] or "nothing"
            raise ConfigurationError(f"{place}: {path}: the first line names {columns}; {wanted}")
        places = [header.index(name) for name in HEADER]
        for row in reader:
            if not row:
                continue
            if len(row) != len(HEADER):
                raise ConfigurationError(f"{place}: {path}:{reader.line_num}: {len(row)} fields instead of 3")
            yield reader.line_num, [row[at].strip() for at in places]
    except csv.Error as error:
        raise ConfigurationError(f"{place}: {path}:{reader.line_num}: not valid CSV: {error}") from None


def _check_symbol(symbol: str, where: str) -> None:
    if not is_symbol(symbol):
        raise ConfigurationError(f"{where}: {not_a_symbol(symbol)}")


def _time(text: str, column: str, where: str) -> int:
    try:
        time = datetime.fromisoformat(text)
        moment = time if time.tzinfo else time.replace(tzinfo=UTC)
        milliseconds = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{where}: {column} {text[:40]!r} is no date; write it as 2024-01-31") from None
    if not BEGINNING <= milliseconds < END:
        raise ConfigurationError(f"{where}: {column} {text} is not between 1970 and 9999")
    return milliseconds


def _in_order(symbol: str, rows: list[tuple[int, int, int]], where: str) -> Periods:
    """Periods of one symbol, of rows of begin, end and line."""
    rows.sort()
    for (_, end, line), (begin, _, other) in pairwise(rows):
        if begin < end:
            first, second = sorted((line, other))
            raise ConfigurationError(f"{where}:{second}: {symbol} is a member already by line {first}; they overlap")
    return tuple((begin, end) for begin, end, _ in rows)
