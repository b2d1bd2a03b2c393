"""JSON in Kafka Connect's envelope, ``{"schema": …, "payload": …}``, as its JsonConverter writes it: decimals are the
bytes of an integer in base64, whose scale the schema says; times are numbers, whose units the schema's names say.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from schemas.errors import BadRecord
from schemas.wire import UNREADABLE
from schemas.wire.decoding import unreadable
from streams.consuming.decoding.fields import shown

Reader = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {
    "org.apache.kafka.connect.data.Timestamp": 1000,
    "io.debezium.time.Timestamp": 1000,
    "io.debezium.time.MicroTimestamp": 1,
}
_DAYS = ("org.apache.kafka.connect.data.Date", "io.debezium.time.Date")
_DEEPEST = 32


class _Envelope(msgspec.Struct):
    payload: Any
    schema: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Envelope)


def content(value: bytes) -> Any:
    """The payload, with decimals and times as what they are; `BadRecord` for what is no such envelope.

    >>> content(b'{"schema":{"type":"struct","fields":[{"field":"p","type":"bytes","name":'
    ...         b'"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}]},"payload":{"p":"MDk="}}')
    {'p': Decimal('123.45')}
    """
    try:
        found = _decoder.decode(value)
    except UNREADABLE as error:
        raise unreadable(error) from None
    schema = bytes(found.schema)
    return found.payload if schema in (b"", b"null") else _reader(schema)(found.payload)


@lru_cache(maxsize=256)
def _reader(schema: bytes) -> Reader:
    """The schema comes with every record, the same bytes as long as it does not change."""
    return _of(msgspec.json.decode(schema), 0)


def _of(schema: Any, depth: int) -> Reader:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise BadRecord("invalid", f"the schema of its envelope has a part that is none: {shown(schema)}")
    name, kind = schema.get("name"), schema.get("type")
    if name == "org.apache.kafka.connect.data.Decimal":
        return _or_none(_decimal(schema))
    if name in _MICROSECONDS:
        return _or_none(_time(timedelta(microseconds=_MICROSECONDS[name])))
    if name in _DAYS:
        return _or_none(lambda value: (_time(timedelta(days=1))(value)).date())
    if kind == "struct":
        return _or_none(_struct(schema, depth))
    if kind == "array":
        items = _of(schema.get("items"), depth + 1)
        return _or_none(lambda value: [items(each) for each in _kept(value, list)])
    return lambda value: value


def _or_none(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _kept(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise BadRecord("invalid", f"its payload has {shown(value)} where its schema says another type")
    return value


def _struct(schema: Mapping[str, Any], depth: int) -> Reader:
    fields = [each for each in schema.get("fields") or () if isinstance(each, Mapping)]
    readers = [(str(each.get("field")), _of(each, depth + 1)) for each in fields]

    def read(value: Any) -> Any:
        row = _kept(value, dict)
        return row | {name: reader(row[name]) for name, reader in readers if name in row}

    return read


def _decimal(schema: Mapping[str, Any]) -> Reader:
    try:
        scale = int((schema.get("parameters") or {})["scale"])
    except (KeyError, TypeError, ValueError):
        raise BadRecord("invalid", "the schema of its envelope has a decimal without a scale") from None

    def read(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):  # decimal.format: NUMERIC
            return value
        try:
            unscaled = int.from_bytes(base64.b64decode(_kept(value, str), validate=True), "big", signed=True)
        except binascii.Error:
            raise BadRecord("invalid", f"its decimal {shown(value)} is no base64") from None
        if abs(scale) > 100 or unscaled.bit_length() > 512:
            raise BadRecord("invalid", f"its decimal {shown(value)} of scale {scale} is no price")
        return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))

    return read


def _time(unit: timedelta) -> Reader:
    def read(value: Any) -> datetime:
        try:
            count: int = _kept(value, int)
            return _EPOCH + count * unit
        except OverflowError:
            raise BadRecord("invalid", f"its time {shown(value)} is beyond the year 9999") from None

    return read
