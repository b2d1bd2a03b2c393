"""CSV and its relatives."""

import io
import warnings
from collections.abc import Container, Iterator
from typing import IO, Any

import pandas as pd

from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.reading.columnar import by_symbol
from streams.ingest.reading.pieces import Piece

MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "None", "none", "-"]
NUMBERS = ("open", "high", "low", "close", "volume")
AS_WRITTEN = ("symbol", "ticker", "interval")
"""Columns that are texts whatever they look like: a symbol may be called NA, or 007."""


def text_tables(
    piece: Piece, file: IO[bytes], source: Source, rows: int | None, texts: Container[str] | None
) -> Iterator[pd.DataFrame]:
    """Its rows, at most `rows` at once."""
    if source.shape == "wide":
        yield _wide(piece, file, source)
        return
    names, lines = _header(piece, file, source)
    text = names if texts is None else _texts(names, source, texts)
    options: dict[str, Any] = {
        "names": names, "header": None, "skiprows": lines, "sep": _delimiter(piece, source),
        "decimal": source.csv.decimal, "thousands": source.csv.thousands, "encoding": encoding(file, source),
        "dtype": dict.fromkeys(text, str), "keep_default_na": False,
        "na_values": {name: MISSING for name in names if name not in text},
        "index_col": False, "low_memory": False,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            if rows is None:
                yield pd.read_csv(file, **options)
            else:
                with pd.read_csv(file, chunksize=rows, **options) as chunks:
                    yield from chunks
        except pd.errors.ParserWarning:
            raise ConfigurationError(
                f"{piece}: has rows with more fields than its header names; name all with names: […]"
            ) from None


def encoding(file: IO[bytes], source: Source) -> str:
    """As declared; a byte order mark is believed."""
    start = file.peek(4)[:4] if isinstance(file, io.BufferedReader) else b""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if source.csv.encoding == "utf-8" else source.csv.encoding


def _delimiter(piece: Piece, source: Source) -> str:
    return "\t" if piece.suffix == ".tsv" and "delimiter" not in source.csv.model_fields_set else source.csv.delimiter


def _header(piece: Piece, file: IO[bytes], source: Source) -> tuple[list[str], int]:
    """Names of the columns, and how many lines lie before the data."""
    lines = _first_lines(piece, file, source)
    skip = source.csv.skip
    if len(lines) <= skip:
        raise ConfigurationError(f"{piece}: cannot be read: it has {len(lines)} lines, and csv.skip leaves out {skip}")
    fields = _fields(lines[skip], piece, source)
    data = _fields(lines[skip + 1], piece, source) if len(lines) > skip + 1 else fields
    own = {name.strip().lower() for name in fields}
    if source.names and not own & {name.lower() for name in source.names}:
        if source.csv.header is True:
            return _padded(piece, source.names, fields), skip + 1
        if not any(_number(field) for field in fields):
            raise ConfigurationError(
                f"{piece}: its first line is {lines[skip][:60]!r}, which has no number: a header of other names than"
                " `names` says; declare csv: {header: true} to leave it out"
            )
        return _padded(piece, source.names, fields), skip
    if source.csv.header is False and not source.names:
        return [str(place + 1) for place in range(len(fields))], skip
    if any(_number(field) for field in fields) and source.csv.header is None and not source.names:
        raise ConfigurationError(
            f"{piece}: its first line is {lines[skip][:60]!r}, which is no header; declare csv: {{header: false}} and"
            " the columns by their numbers, or names: […]"
        )
    if twice := [name for name in fields if fields.count(name) > 1 and name.strip()]:
        raise ConfigurationError(f"{piece}: has the column {twice[0]} twice")
    extra = len(data) - len(fields)
    if extra > 0 and any(field.strip() for field in data[len(fields) :]):
        raise ConfigurationError(
            f"{piece}: has {len(data)} fields below a header of {len(fields)}; declare csv: {{skip: 1}} where its"
            " first line is no header, another csv.delimiter, or names: […]"
        )
    return [*fields, *(f"unnamed {place + 1}" for place in range(extra))], skip + 1


def _padded(piece: Piece, names: tuple[str, ...], fields: list[str]) -> list[str]:
    if len(fields) > len(names) and any(field.strip() for field in fields[len(names) :]):
        raise ConfigurationError(f"{piece}: has {len(fields)} columns, and names says {len(names)}")
    if len(fields) < len(names):
        raise ConfigurationError(f"{piece}: has {len(fields)} columns, and names says {len(names)}: {', '.join(names)}")
    return [*names, *(f"unnamed {place + 1}" for place in range(len(fields) - len(names)))]


def _first_lines(piece: Piece, file: IO[bytes], source: Source) -> list[str]:
    head = file.peek(1 << 16) if isinstance(file, io.BufferedReader) else b""
    return head.decode(encoding(file, source), "replace").splitlines()


def _fields(line: str, piece: Piece, source: Source) -> list[str]:
    import csv

    return next(csv.reader([line], delimiter=_delimiter(piece, source)), [])


def _number(field: str) -> bool:
    try:
        float(field.strip().replace(",", "."))
    except ValueError:
        return False
    return field.strip().lower() not in ("nan", "inf", "infinity")


def _texts(names: list[str], source: Source, texts: Container[str]) -> list[str]:
    """Columns that are read as they are written."""
    several = len(source.time.columns) > 1 or source.time.format is not None
    declared = [*(source.time.columns if several else ()), *source.columns.get("symbol", ())]
    declared += [*source.columns.get("interval", ()), source.symbol.column or ""]
    wanted = {*AS_WRITTEN, *(name.lower() for name in declared)}
    return [name for name in names if name.strip().lower() in wanted or name.strip().lower() in texts]


def _wide(piece: Piece, file: IO[bytes], source: Source) -> pd.DataFrame:
    """Two lines of names, those of fields and those of symbols, and perhaps a third with the name of the times."""
    frame = pd.read_csv(file, header=[0, 1], index_col=0, sep=source.csv.delimiter, encoding=encoding(file, source))
    if frame.columns.nlevels != 2 or not len(frame):
        raise ConfigurationError(f"{piece}: has no two lines of names above its rows")
    times = (
        frame.index.name if isinstance(frame.index.name, str) and frame.index.name not in ("Price", "Ticker") else None
    )
    name = times or "Date"
    return by_symbol(frame.reset_index(drop=True), pd.DataFrame({name: frame.index.astype(str)}))
