"""Records in Confluent's wire format: a zero byte, the id of a schema in four bytes, and what that schema wrote."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import UNREADABLE
from schemas.wire.decoding import unreadable
from streams.kafka.schema_registry import RegisteredSchema, Schemas, no_registry, schema_ids

KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF", "json_schema": "JSON"}
LIBRARIES = {"avro": "fastavro", "protobuf": "grpc_tools"}
KNOWN = 1000
"""Schemas that are held in memory; more only where the records at hand need them all."""
Read = Callable[[bytes], Any]
_json = msgspec.json.Decoder()


class Registered:
    """What reads such records, each by the schema that wrote it. `schemas`: where these lie."""

    def __init__(self, encoding: str, schemas: Schemas | None) -> None:
        self._encoding = encoding
        self._schemas = schemas
        self._readers: OrderedDict[int, Read | BadRecord] = OrderedDict()
        self.schemas: dict[int, RegisteredSchema] = {}
        """Those of the readers that can be used."""
        self._unknown = BadRecord("unknown_schema", "it was not asked for")
        _require(encoding)

    async def prepare(self, values: Iterable[bytes | None]) -> None:
        """Knows the schemas of these values; `ConfigurationError` where nothing says where they lie."""
        needed = schema_ids(values)
        for number in sorted(needed):
            if not isinstance(self._readers.get(number, self._unknown), BadRecord):
                self._readers.move_to_end(number)
            else:
                self._readers[number] = await self._reader(number)
        while len(self._readers) > max(KNOWN, len(needed)):
            self.schemas.pop(self._readers.popitem(last=False)[0], None)

    async def _reader(self, number: int) -> Read | BadRecord:
        if self._schemas is None:
            raise no_registry([number])
        schema = await self._schemas.schema(number)
        if schema is None:
            return BadRecord("unknown_schema", f"there is no schema of the id {number}")
        if schema.kind != KINDS[self._encoding]:
            return BadRecord(
                "unknown_schema",
                f"schema {number} is {schema.kind}, and the source says encoding: {self._encoding}",
            )
        reader = await asyncio.to_thread(self._compiled, number, schema)
        if not isinstance(reader, BadRecord):
            self.schemas[number] = schema
        return reader

    def _compiled(self, number: int, schema: RegisteredSchema) -> Read | BadRecord:
        try:
            return reader_of(self._encoding, schema)
        except Exception as error:  # whatever a foreign library has to say of a foreign schema
            return BadRecord("unknown_schema", f"schema {number} cannot be used: {_line(error)}")

    def content(self, value: bytes) -> Any:
        """What a record says; `BadRecord` where its schema is not known, or did not write it."""
        if len(value) <= 5 or value[0] != 0:
            raise BadRecord(
                "undecodable",
                f"it begins with {value[:1].hex() or 'nothing'} and not with 00 and a schema's id, as records of"
                f" encoding {self._encoding} do",
            )
        number = int.from_bytes(value[1:5], "big")
        reader = self._readers.get(number)
        if reader is None:
            raise AssertionError(f"schema {number} was not prepared")
        if isinstance(reader, BadRecord):
            raise BadRecord(reader.kind, reader.reason)
        try:
            return reader(value[5:])
        except BadRecord as bad:
            raise BadRecord(bad.kind, f"{bad.reason} (schema {number})") from None
        except Exception as error:  # the same of bytes that are not what they should be
            raise BadRecord("undecodable", f"schema {number} did not write it: {_line(error)}") from None


def reader_of(encoding: str, schema: RegisteredSchema) -> Read:
    """What reads the records of a schema."""
    if encoding == "avro":
        from streams.consuming.decoding.avro import reader_of as avro_reader

        return avro_reader(schema)
    if encoding == "protobuf":
        from streams.consuming.decoding.protobuf import reader_of as protobuf_reader

        return protobuf_reader(schema)
    return _read_json


def _read_json(value: bytes) -> Any:
    """Of JSON the schema says nothing that is needed to read it."""
    try:
        return _json.decode(value)
    except UNREADABLE as error:
        raise unreadable(error) from None


def _require(encoding: str) -> None:
    import importlib.util

    if encoding in LIBRARIES and importlib.util.find_spec(LIBRARIES[encoding]) is None:
        raise ConfigurationError(f"encoding {encoding} needs {LIBRARIES[encoding]}: pip install 'alphawire[registry]'")


def _line(error: Exception) -> str:
    text = re.sub(r"( from)? <[^<>]* at 0x[0-9a-f]+>", "", str(error))  # no two runs have one address
    return (text.splitlines() or [""])[0][:200] or type(error).__name__
