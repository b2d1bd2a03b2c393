"""Schemas of archived records, beside them in ``schemas.json``: so an archive is read without a registry.

A schema is on the disk before any record that needs it is listed.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from schemas.atomic import atomic_write
from schemas.errors import ConfigurationError
from streams.kafka.schema_registry import RegisteredSchema, Schemas, schema_ids

NAME = "schemas.json"
Kept = dict[int, RegisteredSchema | None]
"""By id; None: the registry had none of it."""


class ArchivedSchemas:
    """Those of the archive in `folder`."""

    away = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: Kept | None = None

    async def schema(self, number: int) -> RegisteredSchema | None:
        """`ConfigurationError` for one that was not archived."""
        if self._kept is None:
            self._kept = read_schemas(self._folder)
        if number not in self._kept:
            raise ConfigurationError(f"{self._folder / NAME} lacks schema {number}, of a record; archive again")
        return self._kept[number]


def archived_schemas(folder: Path) -> ArchivedSchemas | None:
    """None where no record needed any."""
    return ArchivedSchemas(folder) if (folder / NAME).exists() else None


def read_schemas(folder: Path) -> Kept:
    """None where there is no such file."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept) if path.exists() else {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; archive again, to a new folder") from None


class SchemaKeeper:
    """Adds to an archive the schemas that records need, as far as it lacks them."""

    def __init__(self, folder: Path, schemas: Schemas) -> None:
        self._folder, self._schemas = folder, schemas
        self._kept = read_schemas(folder)
        self._asked: set[int] = set()

    async def keep(self, values: Iterable[bytes | None]) -> None:
        """`ConfigurationError` where the registry has another schema under an id than the archive."""
        new = schema_ids(values) - self._asked
        for number in sorted(new):
            found, known = await self._schemas.schema(number), self._kept.get(number)
            if known is not None and found is not None and known != found:
                raise ConfigurationError(
                    f"{self._folder} holds another schema {number} than the registry has, which is another one or was"
                    " made anew; give another folder"
                )
            self._kept[number] = known or found
        self._asked |= new
        if new:
            with atomic_write(self._folder / NAME) as aside:
                aside.write_bytes(msgspec.json.encode(self._kept))
