"""Files in object stores, by Arrow's file systems: ``s3://BUCKET/PATH``, ``gs://…``, ``abfs://…``.

Credentials are those of the store's own tools (environment, profile, instance). A store of one's own is named by
``AWS_ENDPOINT_URL``, or in the address: ``s3://BUCKET/PATH?endpoint_override=localhost:9000&scheme=http``.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import SUFFIXES, Piece, hidden, keys_of


def stored(address: str) -> Iterator[Piece]:
    """The files at `address`: one, those of a folder and the folders in it, or those that fit a pattern."""
    from pyarrow import ArrowException, fs

    try:
        files, path = fs.FileSystem.from_uri(address)
        scheme = address.partition("://")[0]
        folder = path.split("*")[0].rpartition("/")[0] if "*" in path else path
        info = files.get_file_info(folder)
        if info.type == fs.FileType.File:
            yield Piece(f"{scheme}://{path}", files=files)
            return
        inside = (
            files.get_file_info(fs.FileSelector(folder, recursive=True)) if info.type != fs.FileType.NotFound else []
        )
    except (ArrowException, OSError, ValueError) as error:
        raise ConfigurationError(f"{address}: cannot be read: {str(error).splitlines()[0]}") from None
    for sign, what in (("/_delta_log/", "Delta Lake"), (".metadata.json", "Iceberg")):
        if any(sign in each.path for each in inside):
            raise ConfigurationError(
                f"{address}: is a table of {what}, whose log says which files count; copy it here, and give the folder"
            )
    for each in sorted(inside, key=lambda each: each.path):
        item = PurePosixPath(each.path)
        wanted = fnmatch(each.path, path) if "*" in path else item.name.lower().endswith(_ENDS)
        if each.type == fs.FileType.File and wanted and not any(hidden(part) for part in item.parts[1:]):
            yield Piece(f"{scheme}://{each.path}", keys_of(PurePosixPath(folder), item), files, alone=False)


_ENDS = (".zip", *(f"{suffix}{packed}" for suffix in SUFFIXES for packed in ("", ".gz", ".bz2", ".xz", ".zst")))
