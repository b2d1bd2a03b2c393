"""The same bars as other people's producers write them: Confluent's serializers, Connect's envelope, plain JSON."""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib import util as imports
from pathlib import Path
from typing import Any

import pandas as pd
from google.protobuf.message import Message
from grpc_tools import protoc

SCALE = 6
FIELDS = ("open", "high", "low", "close")
# prices as decimals, the time as a logical type, the volume in a union, fields that nobody asks for
AVRO = {
    "type": "record", "name": "Ohlc", "namespace": "md",
    "fields": [
        {"name": "venue", "type": {"type": "enum", "name": "Venue", "symbols": ["X", "Y"]}},
        {"name": "ticker", "type": "string"},
        {"name": "start", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        *({"name": name, "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": SCALE}}
          for name in FIELDS),
        {"name": "size", "type": ["null", "double"]},
    ],
}  # fmt: skip
PROTO = """
syntax = "proto3";
package md;
import "google/protobuf/timestamp.proto";
message Unused { string text = 1; }
message Envelope {
  message Ohlc {
    string ticker = 1;
    google.protobuf.Timestamp start = 2;
    double open = 3;
    double high = 4;
    double low = 5;
    double close = 6;
    optional double size = 7;
    string unasked = 8;
  }
}
"""
JSON_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Ohlc", "type": "object",
    "properties": {"ticker": {"type": "string"}, "start": {"type": "integer"}, "open": {"type": "number"}},
}  # fmt: skip
DECIMAL = {
    "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1, "parameters": {"scale": str(SCALE)}
}  # fmt: skip
CONNECT = {
    "type": "struct", "name": "md.Ohlc", "optional": False,
    "fields": [
        {"field": "ticker", "type": "string"},
        {"field": "start", "type": "int64", "name": "org.apache.kafka.connect.data.Timestamp", "version": 1},
        *(DECIMAL | {"field": name} for name in FIELDS), {"field": "size", "type": "double", "optional": True},
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Encoded:
    """How a source says what they are, and what makes their values: of rows, with the registry's address."""

    source: dict[str, Any]
    values: Callable[[pd.DataFrame, str], Iterator[bytes]]
    registered: bool = True


def rows_of(bars: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in bars.itertuples():
        yield {"ticker": row.symbol, "start": int(row.open_time), "size": float(row.volume)} | {
            name: float(getattr(row, name)) for name in FIELDS
        }


def exact(value: float) -> Decimal:
    """The decimal that the float is the nearest to."""
    found = Decimal(repr(value)).quantize(Decimal(1).scaleb(-SCALE))
    assert float(found) == value
    return found


def _plain(bars: pd.DataFrame, _: str) -> Iterator[bytes]:
    for row in rows_of(bars):
        prices = {name[0]: repr(row[name]) for name in FIELDS}
        content = {"s": row["ticker"], "t": row["start"] // 1000, **prices, "v": row["size"]}
        yield json.dumps({"type": "bar", "d": content}).encode()


def _connect(bars: pd.DataFrame, _: str) -> Iterator[bytes]:
    for row in rows_of(bars):
        for name in FIELDS:
            unscaled = int(exact(row[name]).scaleb(SCALE))
            row[name] = base64.b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()
        yield json.dumps({"schema": CONNECT, "payload": row}).encode()


def client_of(url: str) -> Any:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    return SchemaRegistryClient({"url": url})


def context_of(topic: str) -> Any:
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(topic, MessageField.VALUE)


def _avro(bars: pd.DataFrame, url: str) -> Iterator[bytes]:
    from confluent_kafka.schema_registry.avro import AvroSerializer

    write = AvroSerializer(client_of(url), json.dumps(AVRO))
    for row in rows_of(bars):
        value = row | {name: exact(row[name]) for name in FIELDS} | {"venue": "X", "start": row["start"] * 1000}
        yield write(value, context_of("avro"))


def message_class(folder: Path) -> type[Message]:
    """Protobuf's own generated class."""
    (folder / "ohlc_md.proto").write_text(PROTO)
    assert protoc.main(["", f"-I{folder}", f"-I{Path(protoc.__file__).parent / '_proto'}", f"--python_out={folder}",
                        "ohlc_md.proto"]) == 0  # fmt: skip
    spec = imports.spec_from_file_location("ohlc_md_pb2", folder / "ohlc_md_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = imports.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[Message] = module.Envelope.Ohlc
    return found


_classes: list[type[Message]] = []


def _protobuf(bars: pd.DataFrame, url: str) -> Iterator[bytes]:
    from confluent_kafka.schema_registry.protobuf import ProtobufSerializer

    if not _classes:  # one description of a file in a process
        with tempfile.TemporaryDirectory() as folder:
            _classes.append(message_class(Path(folder)))
    kind = _classes[0]
    write = ProtobufSerializer(kind, client_of(url), {"use.deprecated.format": False})
    for row in rows_of(bars):
        message: Any = kind(ticker=row["ticker"], size=row["size"], **{name: row[name] for name in FIELDS})
        message.start.FromMilliseconds(row["start"])
        yield write(message, context_of("protobuf"))


def _json_schema(bars: pd.DataFrame, url: str) -> Iterator[bytes]:
    from confluent_kafka.schema_registry.json_schema import JSONSerializer

    write = JSONSerializer(json.dumps(JSON_SCHEMA), client_of(url))
    for row in rows_of(bars):
        yield write(row, context_of("json_schema"))


NAMES = {"columns": {"symbol": "ticker", "open_time": "start", "volume": "size"}}
ENCODED = {
    "json": Encoded(
        {
            "only": {"type": "bar"}, "texts": True, "time": {"columns": "d.t", "unit": "s"},
            "columns": {"symbol": "d.s", "open": "d.o", "high": "d.h", "low": "d.l", "close": "d.c", "volume": "d.v"},
        },
        _plain, registered=False,
    ),
    "connect": Encoded(NAMES | {"encoding": "connect"}, _connect, registered=False),
    "avro": Encoded(NAMES | {"encoding": "avro"}, _avro),
    "protobuf": Encoded(NAMES | {"encoding": "protobuf"}, _protobuf),
    "json_schema": Encoded(NAMES | {"encoding": "json_schema", "time": {"unit": "ms"}}, _json_schema),
}  # fmt: skip
"""Each gives bars of 1m."""
