"""JSON: a row a line, a list of rows, or rows somewhere in a document."""

import itertools
from collections.abc import Iterator
from typing import IO, Any

import msgspec
import pandas as pd

from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import Piece


def documents(piece: Piece, file: IO[bytes], source: Source, rows: int | None) -> Iterator[pd.DataFrame]:
    """Its rows; where each line is one by the file's name, at most `rows` at once."""
    if rows is None or not piece.suffix.startswith((".jsonl", ".ndjson")) or source.records is not None:
        yield _document(piece, file.read(), source)
        return
    while lines := list(itertools.islice(file, rows)):
        yield _document(piece, b"".join(lines), source)


def _document(piece: Piece, data: bytes, source: Source) -> pd.DataFrame:
    """Of lists the names are the source's."""
    try:
        rows = _rows(data, piece, source)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{piece}: cannot be read: {error}") from None
    if not rows:
        return pd.DataFrame(columns=list(source.names))
    if isinstance(rows[0], list):
        return _of_lists(rows, piece, source)
    if not all(isinstance(row, dict) for row in rows):
        raise ConfigurationError(f"{piece}: holds {str(rows[0])[:60]}, which is no row of named values")
    return pd.DataFrame.from_records([_flat(row) for row in rows])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Values within values by their path: mid.o."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    flat: dict[str, Any] = {}
    for name, value in row.items():
        inside = _flat(value) if isinstance(value, dict) else None
        flat |= {f"{name}.{each}": inner for each, inner in inside.items()} if inside is not None else {name: value}
    return flat


def _rows(data: bytes, piece: Piece, source: Source) -> list[Any]:
    if source.records is not None:
        found: list[Any] = []
        _collect(msgspec.json.decode(data), source.records.split("."), {}, found)
        if not found:
            raise ConfigurationError(f"{piece}: has nothing at records: {source.records}")
        return found
    if data.lstrip()[:1] == b"[" and not piece.suffix.startswith((".jsonl", ".ndjson")):
        whole = msgspec.json.decode(data)
        return whole if isinstance(whole, list) else [whole]
    try:
        rows = [msgspec.json.decode(line) for line in data.splitlines() if line.strip()]
    except msgspec.DecodeError:
        rows = [msgspec.json.decode(data)]  # one document over several lines
    whole = rows[0] if len(rows) == 1 else None
    if isinstance(whole, dict) and any(_of_rows(each) for each in whole.values()):
        names = ", ".join(list(whole)[:8]) if isinstance(whole, dict) else ""
        raise ConfigurationError(
            f"{piece}: is one document with {names}; declare records: where its rows lie, such as results"
        )
    if isinstance(whole, dict) and 2 * sum(isinstance(each, list) for each in whole.values()) > len(whole):
        raise ConfigurationError(
            f"{piece}: holds a list for each column; write a row a line, as pandas' to_json(orient='records',"
            " lines=True) does, or CSV"
        )
    return rows


def _of_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict | list)


def _collect(value: Any, path: list[str], keys: dict[str, str], found: list[Any]) -> None:
    """The rows at `path`, of which ``*`` is any name; that name is the row's ``key``."""
    if path:
        inside = value if isinstance(value, dict) else {}
        for name, each in inside.items():
            if path[0].endswith("*") and name.startswith(path[0][:-1]):
                _collect(each, path[1:], {"key": name}, found)
            elif name == path[0]:
                _collect(each, path[1:], keys, found)
    elif isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
        found += [{**row, "key": name} for name, row in value.items()]
    elif isinstance(value, list):
        found += [{**row, **keys} if isinstance(row, dict) else row for row in value]
    else:
        found.append(value)


def _of_lists(rows: list[Any], piece: Piece, source: Source) -> pd.DataFrame:
    widths = {len(row) for row in rows if isinstance(row, list)}
    if not source.names:
        raise ConfigurationError(f"{piece}: holds lists of {min(widths)} values; declare names: [open_time, open, …]")
    if widths != {len(source.names)}:
        raise ConfigurationError(f"{piece}: holds lists of {min(widths)} values, and names says {len(source.names)}")
    return pd.DataFrame(rows, columns=list(source.names))
