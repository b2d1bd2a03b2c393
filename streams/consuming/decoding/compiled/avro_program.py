"""What a writer's schema in Avro is made into: a program of plain operations, one for each value in its order."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.configuration.sources import Source
from streams.consuming.decoding.compiled.scanner import CLOSED, ENDED, INTERVAL, OPENED, PRICES, SYMBOL, WORD
from streams.consuming.decoding.fields import steps_of
from streams.ingest.normal.bar_times import SCALES
from streams.kafka.schema_registry import RegisteredSchema

BOOLEAN, LONG, FLOAT, DOUBLE, TEXT, OCTETS, FIXED, ENUM, DECIMAL, TIME = range(10)
"""What an operation reads. Its row in a program: this; the slot, or -1; a size, scale, unit or count; the digits of a
decimal, and its size by thousands where it is fixed; which branch of a union with null is null, or -1.
"""
SIMPLE = {
    "boolean": BOOLEAN, "int": LONG, "long": LONG, "float": FLOAT, "double": DOUBLE, "string": TEXT, "bytes": OCTETS,
}  # fmt: skip
TIMES = {"timestamp-millis": "ms", "timestamp-micros": "us", "timestamp-nanos": "ns"}
READS = {
    SYMBOL: (TEXT,), INTERVAL: (TEXT,), WORD: (TEXT,), CLOSED: (BOOLEAN,), PRICES: (LONG, FLOAT, DOUBLE, DECIMAL),
    OPENED: (LONG, TIME),
}  # fmt: skip
DEEPEST, LONGEST = 8, 200


class Beyond(Exception):
    """A schema is beyond what a program can say."""


Program = list[tuple[int, ...]]


class Programs:
    """Of a source whose `paths` have these slots."""

    def __init__(self, source: Source, paths: Mapping[str, int]) -> None:
        self.slots = {steps_of(path): slot for path, slot in paths.items()}
        self._unit = SCALES[source.time.unit[0]] if source.time.unit else 0

    def of(self, schema: RegisteredSchema) -> Program:
        """`Beyond`, or an error of a schema that is none, where there can be no program."""
        named: dict[str, Any] = {}
        for text in (*schema.references.values(), schema.text):
            _name(json.loads(text), "", named)
        program, found = Program(), set[int]()
        self._walk(json.loads(schema.text), (), "", named, program)
        found.update(op[1] for op in program)
        if found - {-1} != set(self.slots.values()) or len(program) > LONGEST:
            raise Beyond
        return program

    def _walk(self, kind: Any, path: tuple[str, ...], space: str, named: Mapping[str, Any], program: Program) -> None:
        """The operations of a record, or of one value."""
        kind, space = _resolved(kind, space, named)
        if isinstance(kind, dict) and kind.get("type") == "record":
            if len(path) > DEEPEST:
                raise Beyond
            for each in kind["fields"]:
                self._walk(each["type"], (*path, each["name"]), space, named, program)
            return
        null = -1
        if isinstance(kind, list):
            if len(kind) != 2 or "null" not in kind:
                raise Beyond
            null = kind.index("null")
            kind, space = _resolved(kind[1 - null], space, named)
        slot = self.slots.get(path, -1)
        what, size, digits = self._simple(kind)
        if slot >= 0 and what not in READS[min(OPENED if slot == ENDED else slot, PRICES)]:
            raise Beyond
        if what == LONG and slot in (OPENED, ENDED):
            if not self._unit:
                raise Beyond
            what, size = TIME, self._unit
        program.append((what, slot, size, digits, null))

    def _simple(self, kind: Any) -> tuple[int, int, int]:
        """What reads a value, its size, scale, unit or count, and its digits."""
        if isinstance(kind, str):
            return SIMPLE[kind], 0, 0
        logical, base = kind.get("logicalType"), kind["type"]
        if logical == "decimal" and base in ("bytes", "fixed"):
            size = 1000 * int(kind["size"]) if base == "fixed" else 0
            return DECIMAL, int(kind.get("scale", 0)), int(kind["precision"]) + size
        if logical in TIMES and base == "long":
            return TIME, SCALES[TIMES[logical]], 0
        if logical is not None:
            raise Beyond
        if base == "fixed":
            return FIXED, int(kind["size"]), 0
        if base == "enum":
            return ENUM, len(kind["symbols"]), 0
        return SIMPLE[base], 0, 0


def _name(kind: Any, space: str, named: dict[str, Any]) -> None:
    """Notes the named types of a schema, each with its namespace."""
    if isinstance(kind, list):
        for each in kind:
            _name(each, space, named)
    elif isinstance(kind, dict):
        if kind.get("type") in ("record", "fixed", "enum"):
            full = str(kind["name"]) if "." in str(kind["name"]) else f"{kind.get('namespace', space)}.{kind['name']}"
            space = full.rpartition(".")[0]
            named[full.lstrip(".")] = (kind, space)
            for each in kind.get("fields", ()):
                _name(each["type"], space, named)
        elif not isinstance(kind.get("type"), str):
            _name(kind.get("type"), space, named)


def _resolved(kind: Any, space: str, named: Mapping[str, Any]) -> tuple[Any, str]:
    """A type by its name as what it is, with its namespace."""
    while isinstance(kind, dict) and not isinstance(kind["type"], str):
        kind = kind["type"]
    if isinstance(kind, dict) and kind["type"] in ("record", "fixed", "enum"):
        name = str(kind["name"])
        full = name if "." in name else f"{kind.get('namespace', space)}.{name}"
        return kind, full.rpartition(".")[0]
    if isinstance(kind, str) and kind not in SIMPLE and kind != "null":
        names = {name for name in (kind, f"{space}.{kind}") if name in named}
        if len(names) != 1:  # which of the two it is, others decide
            raise Beyond
        found: tuple[Any, str] = named[names.pop()]
        return found
    return kind, space
