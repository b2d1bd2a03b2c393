"""Which files a path names: files, patterns, folders with partitions, tables with a log, object stores."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas.errors import ConfigurationError
from streams.ingest.reading.object_stores import bare, stored
from streams.ingest.reading.packed import called
from streams.ingest.reading.pieces import PACKED, SUFFIXES, TABLES, TEXTS, Piece, hidden, keys_of


def pieces_of(paths: str | Path | Iterable[str | Path], what: str = "bars", ignore: str | None = None) -> list[Piece]:
    """The files that `paths` name; those whose path `ignore` finds are none of a folder's.

    Raises
    ------
    ConfigurationError
        Where one of them holds no `what`.
    """
    pieces: list[Piece] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        inside = [piece for piece in _named(str(path)) if piece.alone or not (ignore and re.search(ignore, piece.name))]
        if not inside:
            raise ConfigurationError(
                f"{bare(str(path))}: no {what} there; give {', '.join(SUFFIXES)} files, or a folder of them"
            )
        pieces += inside
    if not pieces:
        raise ConfigurationError(f"no file of {what} was named")
    return pieces


def _named(path: str) -> Iterator[Piece]:
    if "://" in path:
        yield from stored(path)
    elif any(sign in path for sign in "*?[") and not Path(path).exists():
        yield from _pattern(path)
    elif Path(path).is_dir():
        yield from _folder(Path(path))
    elif _readable(path, True):
        _check_live(Path(path))
        yield Piece(path)
    elif Path(path).is_file():
        raise ConfigurationError(f"{path}: its name says no kind of file that is read; {called(Piece(path))}")


def _check_live(file: Path) -> None:
    """`ConfigurationError` for a file of a table, which may have been overwritten or deleted there since."""
    for folder in file.parents:
        if (kind := _table(folder)) in TABLES:
            raise ConfigurationError(
                f"{file}: is a file of a table of {TABLES[kind]}, whose log says which files count: give {folder}"
            )


def _pattern(path: str) -> Iterator[Piece]:
    import glob

    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise ConfigurationError(f"{path}: no file has such a name")
    for each in found:
        if Path(each).is_dir():
            yield from _folder(Path(each))
        elif not hidden(Path(each).name):
            _check_live(Path(each))
            yield Piece(each, alone=False)


def _folder(folder: Path) -> Iterator[Piece]:
    """Its files; where it has none, those of the folders in it, whose names may be partitions."""
    if kind := _table(folder):
        yield Piece(str(folder), kind=kind)
        return
    inside = sorted(item for item in folder.iterdir() if not hidden(item.name))
    files = [item for item in inside if item.is_file() and _readable(item.name)]
    files = files or [item for item in inside if item.is_file() and _readable(item.name, True)]  # .txt, if all are
    yield from (Piece(str(item), keys_of(folder, item), alone=False) for item in files)
    if not files:
        for item in inside:
            if item.is_dir():
                yield from (_below(folder, piece) for piece in _folder(item))


def _table(folder: Path) -> str | None:
    if (folder / "_delta_log").is_dir():
        return "delta"
    if (folder / "calendars").is_dir() and (folder / "features").is_dir():
        return "qlib"
    metadata = folder / "metadata"
    return "iceberg" if metadata.is_dir() and any(metadata.glob("*.metadata.json")) else None


def _below(folder: Path, piece: Piece) -> Piece:
    return Piece(piece.name, keys_of(folder, piece.path), piece.files, piece.kind, alone=False)


def _readable(name: str, alone: bool = False) -> bool:
    lower = name.lower()
    for packed in PACKED:
        lower = lower.removesuffix(packed)
    return lower.endswith((*SUFFIXES, *TEXTS) if alone else SUFFIXES) or name.lower().endswith(".zip")
