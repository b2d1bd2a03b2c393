"""Tables that a log describes: only what the log says is there, never overwritten or deleted files beside it."""

from pathlib import PurePosixPath
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

    store = piece.store.items()
    options = {f"AWS_{'ENDPOINT_URL' if name == 'endpoint' else name.upper()}": value for name, value in store}
    options |= {"AWS_ALLOW_HTTP": "true"} if piece.store.get("endpoint", "").startswith("http:") else {}
    try:
        return DeltaTable(piece.name, storage_options=options or None).to_pyarrow_dataset()
    except (DeltaError, pyarrow.ArrowException, OSError) as error:
        raise ConfigurationError(f"{piece}: cannot be read as Delta Lake: {str(error).splitlines()[0]}") from None


def _iceberg(piece: Piece) -> Any:
    try:
        from pyiceberg.exceptions import NoSuchTableError, ValidationError
        from pyiceberg.table import StaticTable
    except ImportError:
        raise ConfigurationError(f"{piece}: is a table of Iceberg, which {MEND}") from None
    try:
        newest = max(_metadata(piece), key=lambda path: (_version(PurePosixPath(path).name), path))
        store = {f"s3.{name}": value for name, value in piece.store.items()}
        return StaticTable.from_metadata(newest, store).scan().to_arrow_batch_reader()
    except (NoSuchTableError, ValidationError, OSError, ValueError) as error:
        raise ConfigurationError(f"{piece}: cannot be read as Iceberg: {str(error).splitlines()[0]}") from None


def _metadata(piece: Piece) -> list[str]:
    if piece.files is None:
        return [str(path.absolute()) for path in (piece.path / "metadata").glob("*.metadata.json")]
    from pyarrow import fs

    scheme, _, path = piece.name.partition("://")
    found = piece.files.get_file_info(fs.FileSelector(f"{path}/metadata"))
    return [f"{scheme}://{each.path}" for each in found if each.path.endswith(".metadata.json")]


def _version(name: str) -> int:
    digits = name.removeprefix("v").split("-")[0].split(".")[0]
    return int(digits) if digits.isdigit() else -1
