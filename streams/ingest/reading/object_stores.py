"""Files and tables in object stores, by Arrow's file systems: ``s3://BUCKET/PATH``, ``gs://…``, ``abfs://…``.

Who may read is said as the store's own tools have it (AWS's environment, profile, instance). A store of one's own is
named by ``AWS_ENDPOINT_URL``, or in the address: ``s3://BUCKET/PATH?endpoint_override=localhost:9000&scheme=http``.
"""

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import SUFFIXES, TABLES, Piece, hidden, keys_of, table_of


def stored(address: str) -> Iterator[Piece]:
    """The files and tables at `address`: one, those of a folder and the folders in it, or those that fit a pattern."""
    from pyarrow import ArrowException, fs

    try:
        files, path = fs.FileSystem.from_uri(address)
        folder = path.split("*")[0].rpartition("/")[0] if "*" in path else path
        info = files.get_file_info(folder)
        one = info.type == fs.FileType.File
        inside = [] if one or info.type == fs.FileType.NotFound else _inside(files, folder)
    except (ArrowException, OSError, ValueError) as error:
        raise ConfigurationError(f"{bare(address)}: cannot be read: {str(error).splitlines()[0]}") from None
    if not one and not inside:
        raise ConfigurationError(f"{bare(address)}: there is no such file, folder or bucket, or nothing in it")
    scheme = address.partition("://")[0]
    if one:
        yield Piece(f"{scheme}://{path}", files=files)
        return
    roots = dict(filter(None, map(table_of, inside)))
    for root, kind in sorted(roots.items()):
        if "*" in path and not fnmatch(root, path):
            raise ConfigurationError(f"{scheme}://{root}: is a table of {TABLES[kind]}: give the folder, not its files")
        where = PurePosixPath(root)
        yield Piece(f"{scheme}://{root}", keys_of(PurePosixPath(folder), where / "_"), files, kind,
                    alone=root == folder, store=_store(address))  # fmt: skip
    for each in inside:
        item = PurePosixPath(each)
        wanted = fnmatch(each, path) if "*" in path else item.name.lower().endswith(_ENDS)
        mark = any(hidden(part) for part in item.parts[1:])
        if wanted and not mark and not any(each.startswith(f"{root}/") for root in roots):
            yield Piece(f"{scheme}://{each}", keys_of(PurePosixPath(folder), item), files, alone=False)


def _inside(files: Any, folder: str) -> list[str]:
    from pyarrow import fs

    found = files.get_file_info(fs.FileSelector(folder, recursive=True))
    return sorted(each.path for each in found if each.type == fs.FileType.File)


def bare(address: str) -> str:
    """An address without what may be a secret; a path as it is."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _store(address: str) -> dict[str, str]:
    """Of an S3 store that is not Amazon's: its ``endpoint``, and the ``region`` that is said."""
    said = {name: values[-1] for name, values in parse_qs(urlsplit(address).query).items()}
    of_host = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = said.get("endpoint_override") or of_host
    if endpoint and "://" not in endpoint:
        endpoint = f"{said.get('scheme', 'https')}://{endpoint}"
    region = said.get("region") or os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION"))
    store = {"endpoint": endpoint, "region": region or ("us-east-1" if endpoint else None)}
    return {name: value for name, value in store.items() if value} if address.startswith("s3://") else {}


_ENDS = (".zip", *(f"{suffix}{packed}" for suffix in SUFFIXES for packed in ("", ".gz", ".bz2", ".xz", ".zst")))
