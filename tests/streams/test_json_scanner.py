"""JSON records of a declared source are the same bars, and the same dead letters, however many are read at once."""

import json
import random
from typing import Any, NamedTuple

import numpy as np
import pytest

from schemas.configuration import Source
from streams.consuming.decoding.compiled.json_scanner import json_scanner
from streams.consuming.decoding.decoders import Decoders
from streams.consuming.intake import DecodedBars, Intake

START = 1_700_000_040_000
SYMBOLS = ("AAPL", "BRK.B", "MÜV2", "btc_usdt")
ODD: list[Any] = [
    None, True, False, "", "x", "1.5", 1.5, -1, 0, -0.0, 1e300, 10**25, [], {}, [1, {"a": [None, "q\\"]}], "é",
    "\ud83d\ude00",
    {"o": 1, "o2": {"deep": [[[]]]}}, "2024-01-01", 1e-320, 123456789012345678, "1e2", "+1", " 1", "01", 12.0,
]  # fmt: skip
FLAT = {
    "interval": "1m", "time": {"columns": "ts", "unit": "s"}, "only": {"kind": ["bar", "ohlc"]},
    "columns": {"symbol": "ticker", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "vol"},
}  # fmt: skip
NESTED = {
    "columns": {"symbol": "s", "interval": "k.i", "open_time": "k.t", "close_time": "k.T", "open": "k.o", "high": "k.h",
                "low": "k.l", "close": "k.x.c", "volume": "k.v"},
    "time": {"unit": "ms"}, "texts": True, "closed": {"column": "k.x.end"}, "key": "any",
    "symbol": {"column": "s", "upper": True, "replace": {"_": ""}}, "interval_names": {"60": "1m"},
}  # fmt: skip


class Fetched(NamedTuple):
    offset: int
    value: bytes
    key: bytes
    timestamp: int = 0


def prices(rng: random.Random) -> list[float]:
    low, one, two, high = sorted(round(rng.uniform(1, 200), rng.choice([0, 2, 5, 14])) for _ in range(4))
    return [one, high, low, two, float(rng.randrange(1000))]


def flat(rng: random.Random, n: int) -> tuple[str, dict[str, Any]]:
    symbol = rng.choice(SYMBOLS)
    o, h, low, c, v = prices(rng)
    return symbol, {"kind": "bar", "ticker": symbol, "ts": START // 1000 + 60 * n, "o": o, "h": h, "l": low, "c": c,
                    "vol": v, "more": rng.choice(ODD)}  # fmt: skip


def nested(rng: random.Random, n: int) -> tuple[str, dict[str, Any]]:
    symbol = rng.choice(SYMBOLS)
    o, h, low, c, v = map(str, prices(rng))
    opened = START + 60_000 * n
    inner = {"t": opened, "T": opened + rng.choice([59_999, 60_000]), "i": rng.choice(["1m", "60"]),
             "o": o, "h": h, "l": low,
             "x": {"end": rng.random() < 0.9, "c": c}, "v": v, "n": rng.choice(ODD)}  # fmt: skip
    return symbol, {"e": rng.choice(ODD), "s": symbol, "k": inner}


def spoiled(rng: random.Random, content: dict[str, Any]) -> bytes:
    """Mostly as it is; else a value of it, its keys or its bytes are others."""
    kind = rng.randrange(12)
    inner = content.get("k", content)
    if kind == 0:
        inner[rng.choice(list(inner))] = rng.choice(ODD)
    if kind == 1:
        inner.pop(rng.choice(list(inner)))
    if kind == 2:
        content = dict(rng.sample(list(content.items()), len(content)))
    data = json.dumps(
        content, ensure_ascii=rng.random() < 0.3, separators=rng.choice([(",", ":"), (", ", ": ")])
    ).encode("utf-8", "surrogatepass")
    if kind == 3:
        at, size = rng.randrange(len(data)), rng.randrange(4)
        data = (
            data[:at] + bytes(rng.choices(b'{}[]",:0159.eE-+ \\ntf\x00\x80u', k=size)) + data[at + rng.randrange(3) :]
        )
    if kind == 4:
        data = data[: rng.randrange(len(data))]
    if kind == 5:
        at = rng.randrange(1, len(data))
        data = data[:at] + data[rng.randrange(at) : at] + data[at:]
    return data


def seen(parts: list[DecodedBars]) -> list[Any]:
    rows = [
        (int(offset), interval, symbol, bar.tobytes())
        for part in parts
        for interval, batch in part.batches.items()
        for offset, symbol, bar in zip(batch.offsets, batch.symbols, np.asarray(batch.bars), strict=True)
    ]
    letters = [(letter.record.offset, letter.kind, letter.reason) for part in parts for letter in part.dead]
    counts = [(name, count) for part in parts for name, count in part.counts.items()]
    totals = sorted({name: sum(c for n, c in counts if n == name) for name, _ in counts}.items())
    return [sorted(rows), sorted(letters), totals]


@pytest.mark.parametrize(("settings", "make"), [(FLAT, flat), (NESTED, nested)])
@pytest.mark.parametrize("seed", range(3))
def test_many_records_are_as_one_by_one(settings: dict[str, Any], make: Any, seed: int) -> None:
    source = Source.model_validate({"topic": "bars", **settings})
    assert json_scanner(source) is not None
    rng, text = random.Random(seed), source.model_dump_json(exclude_defaults=True)
    records = []
    for n in range(4000):
        symbol, content = make(rng, n)
        key = symbol if rng.random() < 0.98 else "other"
        records.append(Fetched(n, spoiled(rng, content), key.encode()))
    one, many = (Intake(0, 1, "murmur2", decoders=Decoders(text)) for _ in range(2))
    alone = seen([one.read([record]) for record in records])
    pieces = [many.read(records[first : first + 250]) for first in range(0, len(records), 250)]
    assert seen(pieces) == alone
    assert 2000 < len(alone[0]) < 3990
    assert len(alone[1]) > 200


def test_most_plain_records_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison above would compare a thing with itself."""
    for settings, make in ((FLAT, flat), (NESTED, nested)):
        source, rng = Source.model_validate({"topic": "bars", **settings}), random.Random(5)
        made = [make(rng, n) for n in range(600)]
        values = [
            (name, json.dumps(content | {"more": 1, "e": 1}).encode()) for name, content in made if name.isascii()
        ]
        records = [Fetched(n, value, name.encode()) for n, (name, value) in enumerate(values)]
        intake = Intake(0, 1, "murmur2", decoders=Decoders(source.model_dump_json(exclude_defaults=True)))
        intake.read(records[:100])
        slow: list[int] = []
        usable = intake._usable
        monkeypatch.setattr(intake, "_usable", lambda *a, usable=usable, slow=slow: (slow.append(1), usable(*a))[1])
        intake.read(records[100:])
        assert len(slow) < len(records) // 4


@pytest.mark.parametrize(
    "settings",
    [
        {"price_scale": 0.01}, {"records": "rows"}, {"symbol": {"value": "A"}},
        {"time": {"columns": "ts", "unit": ["s", "ms"]}}, {"time": {"columns": ["a", "b"]}}, {"undefined": -1.0},
        {"columns": FLAT["columns"] | {"volume": ["a", "b"]}}, {"columns": FLAT["columns"] | {"volume": "none"}},
        {"columns": FLAT["columns"] | {"volume": "o"}}, {"columns": FLAT["columns"] | {"volume": "o.x"}},
    ],
)  # fmt: skip
def test_what_compiled_code_does_not_know_is_read_one_by_one(settings: dict[str, Any]) -> None:
    assert json_scanner(Source.model_validate({"topic": "bars", **FLAT, **settings})) is None
