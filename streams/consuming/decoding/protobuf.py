"""Protobuf: the content of a record by the schema that wrote it, which protoc compiles."""

import base64
import binascii
import subprocess
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.errors import BadRecord
from streams.consuming.decoding.times import Utc
from streams.kafka.schema_registry import RegisteredSchema

MAIN = "schema.proto"
TIMEOUT = 60
DECIMAL = "confluent.type.Decimal"
TIMESTAMP = "google.protobuf.Timestamp"
CONFLUENT = {
    "confluent/type/decimal.proto": 'syntax = "proto3"; package confluent.type;'
    " message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
    "confluent/meta.proto": 'syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";'
    " message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }"
    " extend google.protobuf.FileOptions { Meta file_meta = 1088; }"
    " extend google.protobuf.MessageOptions { Meta message_meta = 1088; }"
    " extend google.protobuf.FieldOptions { Meta field_meta = 1088; }"
    " extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }"
    " extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }",
}
"""What every client of Confluent's brings with it, so no schema lists it."""


def reader_of(schema: RegisteredSchema) -> Callable[[bytes], Any]:
    """What reads a record's message indexes and its message; `ValueError` for a schema that is none."""
    from google.protobuf import descriptor_pool, message_factory

    pool, files = descriptor_pool.DescriptorPool(), _files(schema)
    for file in files:
        pool.Add(file)
    top, known = pool.FindFileByName(files[-1].name), dict[tuple[int, ...], Any]()

    def read(value: bytes) -> Any:
        indexes, at = message_indexes(value)
        if indexes not in known:
            known[indexes] = message_factory.GetMessageClass(_message(top, files[-1], indexes))
        return content(known[indexes].FromString(value[at:]))

    return read


def _files(schema: RegisteredSchema) -> list[Any]:
    """Descriptors of the schema, the last, and of all that it imports, each after what it imports itself.

    confluent-kafka's serializers register a descriptor in base64. Confluent's registry makes text of it, others do not.
    """
    main = _descriptor(schema.text)
    if main is None:
        return _compiled(schema.text, schema.references)
    found = {name: _descriptor(text) for name, text in schema.references.items()}
    ready = {name: file for name, file in found.items() if file is not None}
    texts = {name: text for name, text in schema.references.items() if name not in ready}
    imports = {name for file in [main, *ready.values()] for name in file.dependency} - ready.keys()
    stub = 'syntax = "proto3"; ' + " ".join(f'import "{name}";' for name in sorted(imports))
    for name, file in ready.items():
        file.name = name
    return [*_compiled(stub, texts)[:-1], *ready.values(), main]


def _descriptor(text: str) -> Any | None:
    """That of a file, in base64; None for the text of one."""
    from google.protobuf import descriptor_pb2, message

    try:
        return descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, message.DecodeError):
        return None


def _compiled(text: str, references: dict[str, str]) -> list[Any]:
    """Descriptors of the text of a file, the last, and of all that it imports. In a process of its own: protoc says
    what is wrong on the standard error, and nowhere else.
    """
    import grpc_tools
    from google.protobuf import descriptor_pb2

    with tempfile.TemporaryDirectory(prefix="alphawire-proto-") as scratch:
        folder, out = Path(scratch, "in"), Path(scratch, "out")
        for name, content_of in (CONFLUENT | references | {MAIN: text}).items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"it refers to {name!r}, which is no name of a file")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content_of, encoding="utf-8")
        include = Path(grpc_tools.__file__).with_name("_proto")
        command = [sys.executable, "-I", "-m", "grpc_tools.protoc", f"-I{folder}", f"-I{include}", "--include_imports"]
        command += [f"--descriptor_set_out={out}", MAIN]
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if run.returncode:
            raise ValueError((run.stderr.splitlines() or ["protoc refuses it"])[0][:300])
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def message_indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Which message of its file a record is, by its place on each level, and where the message begins.

    >>> message_indexes(bytes([0, 9])), message_indexes(bytes([4, 2, 0, 9]))
    (((0,), 1), ((1, 0), 3))
    """
    count, at = _varint(value, 0)
    if not 0 <= count <= 32:
        raise BadRecord("undecodable", f"{count} message indexes")
    indexes = list[int]()
    for _ in range(count):
        index, at = _varint(value, at)
        indexes.append(index)
    return tuple(indexes) or (0,), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A zigzag number."""
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(value):
            break
        byte = value[at]
        number, at = number | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise BadRecord("undecodable", "its message indexes do not end")


def _message(top: Any, file: Any, indexes: tuple[int, ...]) -> Any:
    """The message of these places; the order is that of the schema's text."""
    level = file.message_type
    found = top.message_types_by_name
    for depth, index in enumerate(indexes):
        if not 0 <= index < len(level):
            raise BadRecord("undecodable", f"its schema has no message at {list(indexes)}")
        message = found[level[index].name]
        level, found = level[index].nested_type, message.nested_types_by_name
        if depth + 1 == len(indexes):
            return message
    raise AssertionError(indexes)


def content(message: Any) -> Any:
    """The fields of a message by their names; one that may be absent, and is, is None."""
    from google.protobuf import unknown_fields

    name = message.DESCRIPTOR.full_name
    if name == TIMESTAMP:
        return _time(message)
    if name == DECIMAL:
        unscaled = int.from_bytes(message.value, "big", signed=True)
        return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -message.scale))
    if name.startswith("google.protobuf.") and name.endswith("Value") and "value" in message.DESCRIPTOR.fields_by_name:
        return message.value
    if len(unknown_fields.UnknownFieldSet(message)):
        raise BadRecord("undecodable", "it has fields that its schema lacks")
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return {str(key): _value(each, field.message_type.fields_by_name["value"]) for key, each in value.items()}
        return [_value(each, field) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return content(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value


def _time(message: Any) -> Utc:
    milliseconds, rest = divmod(message.seconds * 1_000_000_000 + message.nanos, 1_000_000)
    if rest:
        raise BadRecord("invalid", f"its time {message.seconds}.{message.nanos:09d} is not at a whole millisecond")
    return Utc(milliseconds)
