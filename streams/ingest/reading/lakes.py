"""Tables that a log describes: only what the log says is there, never overwritten or deleted files beside it."""

from typing import Any

from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import Piece

MEND = "needs a library more: pip install 'alphawire[lake]'"


def lake_table(piece: Piece) -> Any:
    """The rows that are in it now, as a data set or a reader of Arrow's: neither holds them all."""
    return _delta(piece) if piece.kind == "delta" else _iceberg(piece)


def _delta(piece: Piece) -> Any:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise ConfigurationError(f"{piece}: is a table of Delta Lake, which {MEND}") from None
    import pyarrow

    try:
        return DeltaTable(piece.name).to_pyarrow_dataset()
    except (DeltaError, pyarrow.ArrowException, OSError) as error:
        raise ConfigurationError(f"{piece}: cannot be read as Delta Lake: {str(error).splitlines()[0]}") from None


def _iceberg(piece: Piece) -> Any:
    try:
        from pyiceberg.exceptions import NoSuchTableError, ValidationError
        from pyiceberg.table import StaticTable
    except ImportError:
        raise ConfigurationError(f"{piece}: is a table of Iceberg, which {MEND}") from None
    newest = max((piece.path / "metadata").glob("*.metadata.json"), key=lambda path: (_version(path.name), path.name))
    try:
        return StaticTable.from_metadata(str(newest.absolute())).scan().to_arrow_batch_reader()
    except (NoSuchTableError, ValidationError, OSError, ValueError) as error:
        raise ConfigurationError(f"{piece}: cannot be read as Iceberg: {str(error).splitlines()[0]}") from None


def _version(name: str) -> int:
    digits = name.removeprefix("v").split("-")[0].split(".")[0]
    return int(digits) if digits.isdigit() else -1
