"""Avro: the content of a record by the schema that wrote it.

Decimals and times are read by our own readers: fastavro rounds a decimal that has more digits than its schema says to
that precision, without a word.

>>> text = ('{"type": "record", "name": "R", "fields": [{"name": "p", "type":'
...         ' {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}}]}')
>>> reader_of(RegisteredSchema("AVRO", text))(bytes([4, 0x30, 0x39]))
{'p': Decimal('123.45')}
"""

import io
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from schemas.errors import BadRecord
from streams.consuming.decoding.times import Utc
from streams.kafka.schema_registry import RegisteredSchema

OURS = "alphawire-"
_TIMES = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}
"""Logical types of times, and how many of their units a millisecond has."""


def reader_of(schema: RegisteredSchema) -> Callable[[bytes], Any]:
    """What reads the bytes of a record; it raises `BadRecord`, or what fastavro does for bytes of another schema."""
    import fastavro

    _register()
    named: dict[str, Any] = {}
    for text in schema.references.values():
        fastavro.parse_schema(_with_our_types(json.loads(text)), named_schemas=named)
    parsed = fastavro.parse_schema(_with_our_types(json.loads(schema.text)), named_schemas=named)

    def read(value: bytes) -> Any:
        stream = io.BytesIO(value)
        content = fastavro.schemaless_reader(stream, parsed, None)
        if stream.tell() != len(value):
            raise BadRecord("undecodable", f"{len(value) - stream.tell()} of its bytes are left over")
        return content

    return read


def _with_our_types(schema: Any) -> Any:
    """The schema with decimals and times of our own."""
    if isinstance(schema, list):
        return [_with_our_types(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _with_our_types(schema[key]) for key in ("type", "items", "values", "fields") if key in schema}
    logical = schema.get("logicalType")
    ours = {"logicalType": OURS + logical} if logical == "decimal" or logical in _TIMES else {}
    return schema | inner | ours


def _register() -> None:
    from fastavro.read import LOGICAL_READERS

    for kind in ("bytes", "fixed"):
        LOGICAL_READERS[f"{kind}-{OURS}decimal"] = _decimal
    for name, units in _TIMES.items():
        LOGICAL_READERS[f"long-{OURS}{name}"] = _time(units)


def _decimal(value: bytes, writer: Mapping[str, Any], reader: Any = None) -> Decimal:
    unscaled, digits = int.from_bytes(value, "big", signed=True), int(writer["precision"])
    if abs(unscaled) >= 10**digits:
        raise BadRecord("invalid", f"a decimal has more than the {digits} digits that its schema says")
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -int(writer.get("scale", 0))))


def _time(units: int) -> Callable[..., Utc]:
    def read(value: int, writer: Any = None, reader: Any = None) -> Utc:
        milliseconds, rest = divmod(value, units)
        if rest:
            raise BadRecord("invalid", f"its time {value} is not at a whole millisecond")
        return Utc(milliseconds)

    return read
