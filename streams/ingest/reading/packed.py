"""Opening files as bytes: packed or not, here or in an object store, and never without bound.

A few kilobytes can unpack to terabytes, and a line can be as long as the file; both end with a line that says so.
"""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import ARROW, PACKED, PARQUET, SHEETS, Piece

BOMB, ALLOWED = 200, 1 << 28
"""More than so many times the packed size, and more than so many bytes, is no data."""
LINE = 1 << 20
FIRST = 16
"""Bytes that tell what a file is."""
CONTENTS = {
    b"\x1f\x8b": ("gzip", ".gz"), b"BZh": ("bzip2", ".bz2"), b"\xfd7zXZ\0": ("xz", ".xz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"), b"PK\x03\x04": ("a zip, or of Excel", ".zip"),
    b"PAR1": ("Parquet", ".parquet"),
    b"ARROW1": ("Arrow", ".arrow"), b"FEA1": ("feather", ".feather"), b"SQLite format 3": ("a database of SQLite", ""),
    b"\x89HDF": ("HDF5", ""), b"ORC": ("ORC", ""), b"Obj\x01": ("Avro", ""), b"%PDF": ("PDF", ""),
    b"\xd0\xcf\x11\xe0": ("of Excel", ".xls"),
}  # fmt: skip
"""How files begin → what they are, and how they are called."""


def content_of(data: bytes) -> tuple[str, str] | None:
    """What begins so, and its suffix; None: a text (its first word may be ORCL), or what is not known."""
    if data.isascii() and min(data, default=0) > 8 and not data.startswith(b"%PDF"):
        return None
    return next((what for begin, what in CONTENTS.items() if data.startswith(begin)), None)


def check_content(piece: Piece) -> None:
    """`ConfigurationError` where a file's first bytes are not what its name says: as text, they would be anything."""
    with opened(piece) as file:
        data = file.read(FIRST)
    found, name = content_of(data), PurePosixPath(piece.name).name
    kind = piece.packing or (".parquet" if piece.suffix in PARQUET else piece.suffix)
    if not data or piece.suffix in SHEETS or (found and found[1] == kind):
        return
    if found is None and kind in (*PACKED, ".parquet"):
        packed = (
            piece.packing and f"it is not packed; call it {name.removesuffix(piece.packing)} if it is what that says"
        )
        raise _belied(piece, packed or f"it is no Parquet; call it {piece.stem}.csv if it is CSV")
    if found is not None and not (kind in ARROW and found[1] in ARROW):
        raise _belied(piece, f"it is {found[0]}; {_name_for(piece, found[1])}")


def _belied(piece: Piece, said: str) -> ConfigurationError:
    return ConfigurationError(f"{piece}: cannot be read: by its first bytes {said}")


def check_unpacked(piece: Piece, file: IO[bytes]) -> None:
    """The same of a text that is unpacked."""
    data = file.peek(FIRST)[:FIRST] if isinstance(file, io.BufferedReader) else b""
    if found := content_of(data):
        raise ConfigurationError(
            f"{piece}: cannot be read: it is {found[0]} once it is unpacked; unpack it, and read what is in it"
        )


def called(piece: Piece) -> str:
    """The name that a file should have, by its first bytes."""
    with opened(piece) as file:
        found = content_of(file.read(FIRST))
    if found is None:
        return "call it .csv, .tsv, .txt or .jsonl, as it is written, or .parquet, .arrow, .xlsx"
    return f"it is {found[0]}: {_name_for(piece, found[1])}"


def _name_for(piece: Piece, suffix: str) -> str:
    if not suffix:
        return "export its bars as CSV or Parquet"
    name = PurePosixPath(piece.name).name.removesuffix(piece.packing)
    if suffix == ".zip":
        return f"call it {piece.stem}.zip, or {piece.stem}.xlsx where Excel wrote it"
    return f"call it {name}{suffix}" if suffix in PACKED else f"call it {piece.stem}{suffix}"


def opened(piece: Piece) -> IO[bytes]:
    """The bytes of a file as they are."""
    try:
        return cast(
            IO[bytes],
            piece.files.open_input_file(piece.name.partition("://")[2]) if piece.files else open(piece.name, "rb"),
        )
    except FileNotFoundError:
        raise ConfigurationError(f"{piece}: there is no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{piece}: cannot be read: {str(error).splitlines()[0]}") from None


def unpacked(piece: Piece) -> Iterator[tuple[Piece, IO[bytes]]]:
    """Each file in it, by its own name, and its bytes: several of a zip, else one."""
    raw = opened(piece)
    if piece.packing == ".zip":
        yield from _members(piece, raw)
        return
    size = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    yield (
        piece,
        cast(IO[bytes], io.BufferedReader(_Bounded(piece, _unpacking(piece, raw), size if piece.packing else None))),
    )


def _unpacking(piece: Piece, raw: IO[bytes]) -> Any:
    import pyarrow

    match piece.packing:
        case ".gz":
            return gzip.GzipFile(fileobj=raw)
        case ".bz2":
            return bz2.BZ2File(raw)
        case ".xz":
            return lzma.LZMAFile(raw)
        case ".zst":
            return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd")
    return raw


def _members(piece: Piece, raw: IO[bytes]) -> Iterator[tuple[Piece, IO[bytes]]]:
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, OSError) as error:
        raise ConfigurationError(f"{piece}: cannot be read: {error}") from None
    inside = [info for info in archive.infolist() if not info.is_dir() and not _mark(info.filename)]
    if not inside:
        raise ConfigurationError(f"{piece}: is empty: there is no file in it")
    for info in inside:
        if info.flag_bits & 1:
            raise ConfigurationError(f"{piece}: {info.filename} has a password; unpack it first")
        member = Piece(f"{piece.name}/{info.filename}", piece.keys, alone=piece.alone)
        yield member, cast(IO[bytes], io.BufferedReader(_Bounded(member, archive.open(info), info.compress_size)))


def _mark(name: str) -> bool:
    return any(part.startswith((".", "__")) for part in Path(name).parts)


class _Bounded(io.RawIOBase):
    """Bytes that are counted: `ConfigurationError` beyond the bound, and for a line without an end."""

    def __init__(self, piece: Piece, raw: Any, packed: int | None) -> None:
        self._piece, self._raw, self._read, self._line = piece, raw, 0, 0
        self._most = None if packed is None else max(ALLOWED, BOMB * packed)
        self._lines = piece.suffix in (".csv", ".tsv", ".txt", "")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._raw.read(len(buffer))
        except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, ValueError) as error:
            raise ConfigurationError(f"{self._piece}: cannot be unpacked: {str(error).splitlines()[0]}") from None
        buffer[: len(data)] = data
        self._count(data)
        return len(data)

    def _count(self, data: bytes) -> None:
        self._read += len(data)
        if self._most is not None and self._read > self._most:
            raise ConfigurationError(
                f"{self._piece}: unpacks to more than {self._most >> 20} MB, {BOMB} times its size; unpack it yourself"
                " if it is what it says"
            )
        if self._lines:
            last = data.rfind(b"\n")
            self._line = self._line + len(data) if last < 0 else len(data) - last
            if self._line > LINE:
                raise ConfigurationError(f"{self._piece}: has a line of more than {LINE >> 20} MB; that is no table")
