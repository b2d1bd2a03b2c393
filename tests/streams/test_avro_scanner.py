"""Avro records of a declared source are the same bars, and the same dead letters, however many are read at once."""

import asyncio
import io
import json
import random
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from schemas.configuration import Source
from streams.consuming.decoding.decoders import Decoders
from streams.consuming.intake import Intake
from streams.kafka.schema_registry import RegisteredSchema
from tests.streams.test_json_scanner import SYMBOLS, Fetched, prices, seen

START = 1_700_000_040_000
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}
FIXED = {"type": "fixed", "name": "Price", "size": 7, "logicalType": "decimal", "precision": 12, "scale": 4}
TIME = {"type": "long", "logicalType": "timestamp-micros"}
VENUE = {"type": "enum", "name": "Venue", "symbols": ["X", "Y"]}


def record(*fields: tuple[str, Any], name: str = "Bar") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "md", "fields": [{"name": n, "type": t} for n, t in fields]}


OF_PRICES = record(*((name, "double") for name in "ohlc"), name="Prices")
# what a producer wrote over the years, by the ids of its schemas
WRITTEN: dict[int, tuple[dict[str, Any], dict[str, str]]] = {
    1: (record(("s", "string"), ("t", TIME), ("k", OF_PRICES), ("v", "double"), ("x", "boolean"), ("e", "string")), {}),
    2: (
        record(("note", ["null", "string"]), ("s", "string"), ("x", "boolean"), ("e", "string"),
               ("t", ["null", TIME]), ("k", record(("o", PRICE), ("h", FIXED), ("l", "Price"), ("c", PRICE), name="P")),
               ("v", ["null", "long"]), ("venue", VENUE), ("raw", {"type": "fixed", "name": "Raw", "size": 3})), {},
    ),
    3: (record(("e", "string"), ("s", "string"), ("t", TIME), ("k", "md.Prices"), ("v", "float"), ("x", "boolean")),
        {"prices": json.dumps(OF_PRICES)}),
    4: (record(("many", {"type": "array", "items": "int"}), ("s", "string"), ("t", TIME), ("k", OF_PRICES),
               ("v", ["null", "double", "long"]), ("x", "boolean"), ("e", "string")), {}),
}  # fmt: skip
SOURCE = Source.model_validate({
    "topic": "bars", "encoding": "avro", "interval": "1m", "closed": {"column": "x"}, "only": {"e": "bar"},
    "columns": {"symbol": "s", "open_time": "t", "volume": "v"}
    | dict(zip(("open", "high", "low", "close"), ("k.o", "k.h", "k.l", "k.c"), strict=True)),
})  # fmt: skip


class Kept:
    """The schemas above, as a registry has them."""

    away = None

    async def schema(self, number: int) -> RegisteredSchema | None:
        if number not in WRITTEN:
            return None
        schema, references = WRITTEN[number]
        return RegisteredSchema("AVRO", json.dumps(schema), references)


def parsed(number: int) -> Any:
    schema, references = WRITTEN[number]
    named: dict[str, Any] = {}
    for text in references.values():
        fastavro.parse_schema(json.loads(text), named_schemas=named)
    return fastavro.parse_schema(schema, named_schemas=named)


PARSED = {number: parsed(number) for number in WRITTEN}


def made(rng: random.Random, n: int) -> Fetched:
    symbol, number = rng.choice(SYMBOLS), rng.choice(list(WRITTEN))
    o, h, low, c, v = prices(rng)
    content: dict[str, Any] = {
        "s": symbol, "t": (START + 60_000 * n) * 1000 + rng.choice([0] * 20 + [1]), "x": rng.random() < 0.9,
        "e": "bar" if rng.random() < 0.95 else "other", "v": rng.choice([v, v, v, -v, 0.0, -0.0]), "many": [1, 2],
        "k": {"o": o, "h": h, "l": low, "c": c}, "note": rng.choice([None, "a", "é"]), "venue": "X", "raw": b"abc",
    }  # fmt: skip
    if number == 2:
        content["k"] = {name: Decimal(repr(round(value, 4))).quantize(Decimal("0.0001")) for name, value in
                        content["k"].items()}  # fmt: skip
        content["v"] = rng.choice([None, int(v), int(v), 2**53 + 1, -3])
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, PARSED[number], content)
    data = b"\x00" + (number if rng.random() < 0.98 else 9).to_bytes(4, "big") + stream.getvalue()
    kind = rng.randrange(12)
    if kind == 0:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if kind == 1:
        data = data[: rng.randrange(len(data))]
    if kind == 2:
        data += bytes([rng.randrange(3)])
    return Fetched(n, data, (symbol if rng.random() < 0.98 else "other").encode())


def intake() -> Intake:
    return Intake(0, 1, "murmur2", decoders=Decoders(SOURCE.model_dump_json(exclude_defaults=True), Kept()))


@pytest.mark.parametrize("seed", range(3))
def test_many_records_are_as_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    records = [made(rng, n) for n in range(3000)]
    one, many = intake(), intake()
    asyncio.run(one.prepare(records))
    asyncio.run(many.prepare(records))
    alone = seen([one.read([record]) for record in records])
    assert seen([many.read(records[first : first + 250]) for first in range(0, len(records), 250)]) == alone
    assert len(alone[0]) > 1200
    assert len(alone[1]) > 300


def test_most_plain_records_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, taken = random.Random(5), intake()
    records = [record for n in range(3000) if (record := made(rng, n)).value[4:5] in (b"\1", b"\2", b"\3")]
    asyncio.run(taken.prepare(records))
    taken.read(records[:500])
    slow: list[int] = []
    usable = taken._usable
    monkeypatch.setattr(taken, "_usable", lambda *a: (slow.append(1), usable(*a))[1])
    taken.read(records[500:])
    assert len(slow) < 0.6 * len(records)
    assert taken._scanner is not None


def letter(content: dict[str, Any], schema: dict[str, Any]) -> str:
    """Why a record of one schema cannot be used."""
    stream = io.BytesIO()
    plain = json.loads(json.dumps(schema).replace('"precision": 5', '"precision": 15'))
    fastavro.schemaless_writer(stream, fastavro.parse_schema(plain), content)

    class One(Kept):
        async def schema(self, number: int) -> RegisteredSchema | None:
            return RegisteredSchema("AVRO", json.dumps(schema), {})

    source = SOURCE.model_copy(update={"only": {}, "closed": None}).model_dump_json(exclude_defaults=True)
    found = Intake(0, 1, "murmur2", decoders=Decoders(source, One()))
    fetched = [Fetched(0, b"\x00\x00\x00\x00\x05" + stream.getvalue(), b"A")]
    asyncio.run(found.prepare(fetched))
    (dead,) = found.read(fetched).dead
    return f"{dead.kind}: {dead.reason}"


GOOD: dict[str, Any] = {"s": "A", "t": START * 1000, "k": {"o": 2.0, "h": 3.0, "l": 1.0, "c": 2.0}, "v": 1.0}


def test_values_that_do_not_fit() -> None:
    """A decimal of more digits than its schema says would be rounded by fastavro; an absent price is none."""
    narrow = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
    of_decimals = record(*((name, narrow) for name in "ohlc"), name="P")
    wide = record(("s", "string"), ("t", TIME), ("k", of_decimals), ("v", "double"))
    large = {name: Decimal(value) for name, value in zip("ohlc", ("2.00", "12345.67", "1.00", "2.00"), strict=True)}
    reason = "invalid: a decimal has more than the 5 digits that its schema says (schema 5)"
    assert letter(GOOD | {"k": large}, wide) == reason
    absent = record(("s", "string"), ("t", TIME), ("k", OF_PRICES), ("v", ["null", "double"]))
    assert letter(GOOD | {"v": None}, absent) == "invalid: v is None, which is no number"
    text = record(("s", "string"), ("t", TIME), ("k", OF_PRICES), ("v", ["null", "string"]))
    assert letter(GOOD | {"v": "1"}, text) == "invalid: v is the text '1': declare texts: true in the source"
    lacking = record(("s", "string"), ("t", TIME), ("k", OF_PRICES), ("w", "double"))
    assert letter(GOOD | {"w": 1.0}, lacking) == "invalid: it has no field v; it has s, t, k, w"


def test_what_another_schema_wrote_is_no_bar() -> None:
    """A registry that has another schema under the id: the bytes do not fit it."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, PARSED[1], GOOD | {"x": True, "e": "bar"})
    for number in (2, 3, 4):
        taken = intake()
        fetched = [Fetched(0, b"\x00" + number.to_bytes(4, "big") + stream.getvalue(), b"A")]
        asyncio.run(taken.prepare(fetched))
        found = taken.read(fetched)
        assert not found.batches
        assert [dead.kind for dead in found.dead] == ["undecodable"]
        assert f"schema {number}" in found.dead[0].reason
