"""Processor time of one bar from a record to a column: alphawire's own JSON, and the same bars as sources declare them.

In memory, in one process; all take turns, medians of rounds. The ratio is to alphawire's own records.
"""

import asyncio
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.common import generated_bars
from schemas.configuration import Source
from schemas.wire import Bar, encode
from streams.consuming.decoding.decoders import Decoders
from streams.consuming.intake import Intake
from streams.kafka.schema_registry import RegisteredSchema

SYMBOLS, EACH, ROUNDS, CHUNK = 125, 160, 7, 2_000
TARGETS = {"flat JSON": 2.0, "Avro": 3.0}
"""At most so many times as long as alphawire's own."""
SCHEMA = {
    "type": "record", "name": "Ohlc",
    "fields": [
        {"name": "s", "type": "string"}, {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        *({"name": name, "type": "double"} for name in "ohlc"), {"name": "v", "type": ["null", "double"]},
    ],
}  # fmt: skip
SHORT = {"symbol": "s", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
NESTED = {"symbol": "s", "interval": "k.i", "open_time": "k.t", "close_time": "k.T"} | {
    name: f"k.{letter}" for name, letter in SHORT.items() if name != "symbol"
}
SOURCES: dict[str, dict[str, Any]] = {
    "flat JSON": {"interval": "1m", "columns": SHORT, "time": {"columns": "t", "unit": "s"}},
    "nested JSON, numbers as texts": {"columns": NESTED, "time": {"unit": "ms"}, "texts": True,
                                      "closed": {"column": "k.x"}, "only": {"e": "kline"}},
    "Avro": {"interval": "1m", "encoding": "avro", "columns": SHORT | {"open_time": "t"}},
}  # fmt: skip


class Fetched(NamedTuple):
    offset: int
    key: bytes
    value: bytes


class OneSchema:
    away = None

    async def schema(self, number: int) -> RegisteredSchema | None:
        return RegisteredSchema("AVRO", json.dumps(SCHEMA))


def _avro() -> Callable[[Bar], bytes]:
    import fastavro

    parsed = fastavro.parse_schema(SCHEMA)

    def write(bar: Bar) -> bytes:
        stream = io.BytesIO()
        content = {"s": bar.symbol, "t": bar.open_time, "v": bar.volume}
        prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
        fastavro.schemaless_writer(stream, parsed, content | prices)
        return b"\x00\x00\x00\x00\x07" + stream.getvalue()

    return write


def _flat(bar: Bar) -> bytes:
    prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume}
    return json.dumps({"s": bar.symbol, "t": bar.open_time // 1000} | prices).encode()


def _nested(bar: Bar) -> bytes:
    prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume}
    times = {"t": bar.open_time, "T": bar.close_time - 1, "s": bar.symbol, "i": bar.interval, "x": True}
    kline = times | {name: repr(value) for name, value in prices.items()}
    return json.dumps({"e": "kline", "E": bar.close_time, "s": bar.symbol, "k": kline}).encode()


def _seconds(records: list[Fetched], decoders: Decoders) -> float:
    """µs a bar, once symbols and schemas are known."""
    intake, bars = Intake(0, 1, "murmur2", decoders=decoders), 0
    asyncio.run(intake.prepare(records[:1]))
    intake.read(records[:CHUNK])
    began = time.process_time()
    for first in range(0, len(records), CHUNK):
        bars += sum(map(len, intake.read(records[first : first + CHUNK]).batches.values()))
    spent = time.process_time() - began
    assert bars == len(records), bars
    return 1e6 * spent / bars


def main(_engine: str) -> None:
    bars = [Bar(*row) for row in generated_bars(SYMBOLS, EACH).itertuples(index=False)]
    makers = {"alphawire's own": encode, "flat JSON": _flat, "nested JSON, numbers as texts": _nested, "Avro": _avro()}
    ways = {}
    for name, make in makers.items():
        records = [Fetched(offset, bar.symbol.encode(), make(bar)) for offset, bar in enumerate(bars)]
        source = SOURCES.get(name)
        text = Source.model_validate({"topic": "b"} | source).model_dump_json(exclude_defaults=True) if source else ""
        ways[name] = (records, Decoders(text, OneSchema()))
    rounds = [{name: _seconds(*way) for name, way in ways.items()} for _ in range(ROUNDS + 1)]
    medians = {name: statistics.median(one[name] for one in rounds[1:]) for name in ways}
    for name, value in medians.items():
        target = f"  (at most {TARGETS[name]})" if name in TARGETS else ""
        ratio = value / medians["alphawire's own"]
        print(f"decoding  {name:<30} {value:6.2f} us a bar, {ratio:.2f} times alphawire's own{target}")
