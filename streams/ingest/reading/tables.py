"""A file's rows as tables, whatever it is written in; what the columns mean is not known here."""

import codecs
import contextlib
import io
import json
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import pandas as pd

from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.reading.layouts import Look, settle
from streams.ingest.reading.packed import check_content, check_unpacked, opened, unpacked
from streams.ingest.reading.pieces import COLUMNAR, LINES, PARQUET, SHEETS, Piece
from streams.ingest.reading.texts import text_tables

HEAD = 4096
"""Bytes of a text that tell how it is written."""
BUFFER = 1 << 20
"""Bytes of a column that are read ahead."""


@dataclass(frozen=True)
class Table:
    """Rows of a file under the names that it has, in lower case, and the source as it stands for them."""

    frame: pd.DataFrame
    source: Source
    piece: Piece
    whole: bool = True
    """False: there may be more of them."""
    first: int = 0
    """The number of its first row in the file."""


def tables(piece: Piece, source: Source, rows: int | None = None, texts: Container[str] | None = ()) -> Iterator[Table]:
    """The rows of `piece`: all at once, or some `rows` of them (up to three times as many, so that no table is so short
    that its rows tell nothing); of a text the columns `texts` (None: all) as they are written.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, or is not as the source says.
    """
    with _named_faults(piece):
        if piece.kind == "file":
            check_content(piece)
        parts = _tables(piece, source, rows, texts)
        yield from parts if rows is None else grouped(parts, rows)


@contextlib.contextmanager
def _named_faults(piece: Piece) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ConfigurationError(f"{piece}: there is no such file") from None
    except (OSError, ValueError, UnicodeError) as error:  # pyarrow's and pandas' parser errors are ValueErrors
        raise ConfigurationError(f"{piece}: cannot be read: {(str(error) or repr(error)).splitlines()[0]}") from None


def grouped(parts: Iterator[Table], rows: int) -> Iterator[Table]:
    """The rows of each file in tables of `rows` and more: short ones are joined."""
    ready: list[Table] = []
    waiting: list[Table] = []
    count = first = 0
    for part in parts:
        if (waiting and waiting[0].piece != part.piece) or (not waiting and ready and ready[0].piece != part.piece):
            yield _joined([*ready, *waiting], first, whole=first == 0)
            ready, waiting, count, first = [], [], 0, 0
        waiting.append(part)
        count += len(part.frame)
        if count >= rows:
            if ready:
                yield (table := _joined(ready, first, whole=False))
                first += len(table.frame)
            ready, waiting, count = waiting, [], 0
    if ready or waiting:
        yield _joined([*ready, *waiting], first, whole=first == 0)


def _joined(parts: list[Table], first: int, whole: bool) -> Table:
    frame = parts[0].frame if len(parts) == 1 else pd.concat([part.frame for part in parts], ignore_index=True)
    return replace(parts[0], frame=frame.reset_index(drop=True), whole=whole, first=first)


def look_at(piece: Piece) -> Iterator[Look]:
    """What is seen of it, and of each file in it, before it is read."""
    with _named_faults(piece):
        if piece.kind == "file":
            check_content(piece)
        if piece.kind != "file" or piece.suffix in COLUMNAR:
            yield _look(piece)
            return
        for member, file in unpacked(piece):
            yield Look(member, head_of(file)) if _is_text(member) else Look(member)


def _is_text(piece: Piece) -> bool:
    return piece.suffix not in (*COLUMNAR, *SHEETS)


def _tables(piece: Piece, source: Source, rows: int | None, texts: Container[str] | None) -> Iterator[Table]:
    if piece.kind != "file":
        yield from _arrows(piece, lambda: _of_folder(piece), source, rows)
    elif piece.suffix in COLUMNAR and not piece.packing:
        yield from _files(piece, source, rows)
    else:
        for member, file in unpacked(piece):
            yield from _file(member, file, source, rows, texts)


def _file(
    piece: Piece, file: IO[bytes], source: Source, rows: int | None, texts: Container[str] | None
) -> Iterator[Table]:
    if piece.suffix in COLUMNAR:
        yield from _files(piece, source, rows, io.BytesIO(file.read()))
        return
    if piece.suffix in SHEETS:
        frame = _sheet(piece, file, source)
        chosen = settle(source, Look(piece, columns=tuple(map(str, frame.columns))))
        yield Table(named(piece, frame), chosen, piece)
        return
    check_unpacked(piece, file)
    head = head_of(file)
    if not head.strip("\ufeff\r\n\t \x00"):
        raise ConfigurationError(f"{piece}: cannot be read: it is empty")
    chosen = settle(source, Look(piece, head))
    if piece.suffix in LINES:
        from streams.ingest.reading.documents import documents

        for frame in documents(piece, file, chosen, rows):
            yield Table(named(piece, frame), chosen, piece)
        return
    for frame in text_tables(piece, file, chosen, rows, texts):
        yield Table(named(piece, frame), chosen, piece)


def head_of(file: IO[bytes]) -> str:
    """The first lines; `file` is read from its start afterwards, too."""
    data = file.peek(HEAD)[:HEAD] if isinstance(file, io.BufferedReader) else b""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "ignore")
    return data.decode("utf-8-sig", "replace")


def _files(piece: Piece, source: Source, rows: int | None, file: Any = None) -> Iterator[Table]:
    where = file or opened(piece)
    if piece.suffix in PARQUET:
        yield from _arrows(piece, lambda: _parquet(where, BUFFER if rows else 0), source, rows)
    else:
        yield from _arrows(piece, lambda: _arrow(where), source, rows)


def _arrows(piece: Piece, open_it: Callable[[], Any], source: Source, rows: int | None) -> Iterator[Table]:
    import pyarrow

    try:
        yield from _columnar(open_it(), piece, source, rows)
    except pyarrow.ArrowException as error:
        raise ConfigurationError(f"{piece}: cannot be read: {str(error).splitlines()[0]}") from None


def _parquet(file: Any, buffer: int = 0) -> Any:
    """`buffer`: a group of rows may be as large as the file, and is not read at once."""
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(
        file, coerce_int96_timestamp_unit="us", buffer_size=buffer, page_checksum_verification=True
    )


def _arrow(file: Any) -> Any:
    import pyarrow.feather
    import pyarrow.ipc

    try:
        return pyarrow.ipc.open_file(file)
    except pyarrow.ArrowInvalid:  # a stream, or the first version of feather
        file.seek(0)
        try:
            return pyarrow.ipc.open_stream(file)
        except pyarrow.ArrowInvalid:
            file.seek(0)
            return pyarrow.feather.read_table(file)


def _of_folder(piece: Piece) -> Any:
    from streams.ingest.reading.lakes import lake_table
    from streams.ingest.reading.qlib import qlib_table

    return qlib_table(piece) if piece.kind == "qlib" else lake_table(piece)


def _look(piece: Piece) -> Look:
    if piece.kind != "file":
        return _look_of(piece, _of_folder(piece).schema)
    found = _parquet(opened(piece)).schema_arrow if piece.suffix in PARQUET else None
    return _look_of(piece, found or _arrow(opened(piece)).schema)


def _look_of(piece: Piece, schema: Any) -> Look:
    notes = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    counted = [each.get("name") for each in notes.get("index_columns", []) if isinstance(each, dict)]
    names = [str(name) for name in (*schema.names, *counted) if name is not None]
    types = {str(each.name).lower(): str(each.type) for each in schema}
    return Look(piece, columns=tuple(names), types=types)


def _columnar(data: Any, piece: Piece, source: Source, rows: int | None) -> Iterator[Table]:
    """Of a table of Arrow's, or of a file that gives batches."""
    import pyarrow

    from streams.ingest.reading.columnar import batches, flat

    schema = data.schema_arrow if hasattr(data, "schema_arrow") else data.schema
    look = _look_of(piece, schema)
    chosen = settle(source, look)
    first = 0
    for batch in batches(data, rows):
        frame = flat(batch, schema, first, chosen)
        del batch  # as much as the frame; Arrow would keep the memory for itself
        pyarrow.default_memory_pool().release_unused()
        first += len(frame)
        yield Table(named(piece, frame), chosen, piece)


def _sheet(piece: Piece, file: IO[bytes], source: Source) -> pd.DataFrame:
    try:
        import python_calamine  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f"{piece}: Excel files need a library more: pip install 'alphawire[excel]', or save it as CSV"
        ) from None
    book = pd.ExcelFile(io.BytesIO(file.read()), engine="calamine")
    if source.records is None and len(book.sheet_names) > 1:
        names = ", ".join(map(str, book.sheet_names))
        raise ConfigurationError(f"{piece}: has the sheets {names}; declare records: NAME of the one that is meant")
    header = None if source.csv.header is False or source.names else 0
    return book.parse(source.records or 0, header=header, names=list(source.names) or None, skiprows=source.csv.skip)


def named(piece: Piece, frame: pd.DataFrame) -> pd.DataFrame:
    """With names in lower case, and what the folders' names say."""
    frame.columns = pd.Index([str(name).strip().lower() for name in frame.columns])
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise ConfigurationError(f"{piece}: has the column {twice[0]} twice")
    for name, value in piece.keys.items():
        if name not in frame:
            frame[name] = value
    return frame
