"""Signals in Avro, in Confluent's wire format: the same content, for consumers that read by a schema.

What is read back is the signal that was written, to the last bit of its numbers, so its JSON has the bytes that it
would have had on the topic.
"""

import io
import json
from functools import lru_cache
from typing import Any

import msgspec

from schemas.errors import BadRecord, ConfigurationError
from schemas.wire.decoding import decode, encode
from schemas.wire.signals import Signal

_TIME = {"type": "long", "logicalType": "timestamp-millis"}
_MODEL = {
    "type": "record", "name": "Model",
    "fields": [{"name": "key", "type": "string"}, {"name": "sha256", "type": "string"}],
}  # fmt: skip


def _fields(**types: Any) -> list[dict[str, Any]]:
    """A union that begins with null is null where nothing is said."""
    return [
        {"name": name, "type": kind} | ({"default": None} if isinstance(kind, list) and kind[0] == "null" else {})
        for name, kind in types.items()
    ]


SCHEMA = {
    "type": "record", "name": "Signal", "namespace": "alphawire",
    "fields": _fields(
        content={"type": "record", "name": "SignalContent", "fields": _fields(
            id="string", strategy="string", symbol="string", time=_TIME, signal=["string", "double"],
            weight=["null", "double"], reason="string", prediction=["null", "double"], model=["null", _MODEL],
            config_hash="string", gap=["null", "long"], valid_until=_TIME, silent_until=["null", _TIME],
        )},
        provenance={"type": "record", "name": "Provenance", "fields": [
            *_fields(
                topic="string", partition="int", offset="long", news_offset=["null", "long"],
                origin={"type": "record", "name": "Origin", "fields": _fields(
                    partition="int", offset="long", time=["null", _TIME]
                )},
                worker="string",
            ),
            {"name": "historical", "type": "boolean", "default": False},
        ]},
    ),
}  # fmt: skip
"""As `alphawire schemas register` gives it to a registry. All that there ever were are kept here."""


def _without_times(schema: Any) -> Any:
    """Times as the integers that they are."""
    if isinstance(schema, list):
        return [_without_times(each) for each in schema]
    if isinstance(schema, dict):
        return {key: _without_times(value) for key, value in schema.items() if key != "logicalType"}
    return schema


@lru_cache(maxsize=1)
def _parsed() -> Any:
    try:
        import fastavro
    except ImportError:
        raise ConfigurationError("signals in Avro need fastavro: pip install 'alphawire[registry]'") from None
    return fastavro.parse_schema(_without_times(SCHEMA))


def schema_text() -> str:
    return json.dumps(SCHEMA)


def to_avro(signal: Signal, number: int) -> bytes:
    """The record's value; `number`: the id of the schema."""
    import fastavro

    stream = io.BytesIO()
    stream.write(b"\x00" + number.to_bytes(4, "big"))
    fastavro.schemaless_writer(stream, _parsed(), msgspec.to_builtins(signal))
    return stream.getvalue()


def is_avro(value: bytes) -> bool:
    """No JSON begins so."""
    return value[:1] == b"\x00"


def from_avro(value: bytes) -> Signal:
    """`BadRecord` for what was not written so."""
    import fastavro

    parsed, stream = _parsed(), io.BytesIO(value[5:])
    try:
        content = fastavro.schemaless_reader(stream, parsed, None)
        if stream.tell() != len(value) - 5:
            raise ValueError("some of its bytes are left over")
        return msgspec.convert(content, Signal)
    except Exception as error:  # whatever fastavro makes of bytes that are none of ours
        raise BadRecord("undecodable", f"it is no signal in Avro: {str(error)[:200]}") from None


_decoder = msgspec.json.Decoder(Signal)


def decode_signal(value: bytes | None) -> Signal:
    """A valid record of `signals`, in JSON or in Avro, or `BadRecord` that says why not."""
    return from_avro(value) if value and is_avro(value) else decode(_decoder, value)


def signal_json(value: bytes | None) -> bytes:
    """The record as JSON, whatever it is written in; what is no signal stays as it is."""
    try:
        return encode(from_avro(value)) if value and is_avro(value) else value or b""
    except BadRecord:
        return value or b""
