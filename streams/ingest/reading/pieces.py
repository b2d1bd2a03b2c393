"""A file of a source, by its name: what kind it is, how it is packed, and what the folders' names say."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

TEXTS = (".csv", ".tsv", ".txt")
LINES = (".jsonl", ".ndjson", ".json")
"""A JSON object a line, or one document."""
PARQUET, ARROW = (".parquet", ".pq", ".parq"), (".feather", ".arrow", ".ipc")
COLUMNAR = (*PARQUET, *ARROW)
SHEETS = (".xlsx", ".xls", ".xlsb", ".ods")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
SUFFIXES = (".csv", ".tsv", *LINES, *COLUMNAR, *SHEETS)
"""What of a folder is read; of what is named itself, texts of other names, too."""
TABLES = {"delta": "Delta Lake", "iceberg": "Iceberg"}
"""Tables whose log says which files count."""
_KEY = re.compile(r"([^=/]+)=([^/]*)")


@dataclass(frozen=True)
class Piece:
    """A file, or a table that its log describes."""

    name: str
    """As it was named or found: what errors say, and what patterns of paths look at."""
    keys: dict[str, str] = field(default_factory=dict)
    """Of its folders, as Hive writes them: symbol=AAA."""
    files: Any = None
    """The file system of an object store; None: this machine's."""
    kind: str = "file"
    """file, delta or iceberg."""
    alone: bool = True
    """Named by itself, not found in a folder."""
    store: dict[str, str] = field(default_factory=dict)
    """Of a table in an object store that is not where its name says: ``endpoint``, ``region``."""

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        return Path(self.name)

    @property
    def suffix(self) -> str:
        """Of what is in it: ``.csv`` of bars.csv.gz."""
        name = PurePosixPath(self.name).name.lower()
        for packed in PACKED:
            name = name.removesuffix(packed)
        return PurePosixPath(name).suffix

    @property
    def stem(self) -> str:
        name = PurePosixPath(self.name).name
        for suffix in (*PACKED, *SUFFIXES, *TEXTS):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
        return name

    @property
    def packing(self) -> str:
        suffix = PurePosixPath(self.name.lower()).suffix
        return suffix if suffix in PACKED else ""


def keys_of(folder: Path | PurePosixPath, item: Path | PurePosixPath) -> dict[str, str]:
    """What the names of the folders between say, and that of `folder` itself: symbol=AAA."""
    parts = (folder.name, *item.parent.parts[len(folder.parts) :])
    found = (_KEY.fullmatch(part) for part in parts)
    return {match[1].lower(): unquote(match[2]) for match in found if match}


def table_of(path: str) -> tuple[str, str] | None:
    """The folder of the table to whose log a file belongs, and the table's kind."""
    root, log, _ = path.partition("/_delta_log/")
    if log:
        return root, "delta"
    item = PurePosixPath(path)
    iceberg = item.name.endswith(".metadata.json") and item.parent.name == "metadata"
    return (str(item.parent.parent), "iceberg") if iceberg else None


def hidden(name: str) -> bool:
    """Marks of other programs: ``_SUCCESS``, ``.crc``, ``._bars.parquet`` of macOS."""
    return name.startswith((".", "_"))
