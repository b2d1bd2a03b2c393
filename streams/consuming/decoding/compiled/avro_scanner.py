"""Bars out of Avro records, many at once in compiled code, by a program that each writer's schema is made into. Lists,
maps, wider unions and rarer types are left to fastavro, and so is every record that is not plain.
"""

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.configuration.sources import Source
from streams.consuming.bar_scanner import Bytes, Flags, Strings, _double, _equal, _find
from streams.consuming.decoding.compiled.avro_program import (
    BOOLEAN,
    DECIMAL,
    DOUBLE,
    ENUM,
    FIXED,
    FLOAT,
    LONG,
    TEXT,
    TIME,
    Beyond,
    Programs,
)
from streams.consuming.decoding.compiled.scanner import INTERVAL, LARGEST, OPENED, PRICES, SYMBOL, WORD, Scanner
from streams.ingest.normal.bar_times import SCALES
from streams.kafka.schema_registry import RegisteredSchema


class AvroScanner(Scanner):
    """That of a source; it knows the schemas whose programs it was given."""

    def __init__(self, source: Source, paths: Mapping[str, int]) -> None:
        super().__init__(source, paths, SCALES["ms"])
        self._maker = Programs(source, paths)
        self._need = sum(1 << slot for slot in set(paths.values()))
        self._ops: IntArray = np.zeros((0, 5), np.int64)
        self._programs: IntArray = np.zeros((0, 3), np.int64)
        self._seen = set[int]()

    def add(self, number: int, schema: RegisteredSchema) -> None:
        """A schema, by its id; one that no program can say stays with fastavro."""
        if number in self._seen:
            return
        self._seen.add(number)
        try:
            program = self._maker.of(schema)
        except (Beyond, KeyError, TypeError, ValueError):
            return
        begin = len(self._ops)
        self._ops = np.concatenate([self._ops, np.array(program, np.int64).reshape(-1, 5)])
        self._programs = np.concatenate([self._programs, [[number, begin, len(self._ops)]]])

    def _fill(self, values: tuple[Bytes, IntArray], keys: tuple[Bytes, IntArray], names: Strings,
              rows: NDArray[np.float64], raw: IntArray, plain: Flags) -> None:  # fmt: skip
        tables = self.symbols.strings.tables, self.intervals.strings.tables, self._words.tables
        _scan_all(
            values, keys, (self._ops, self._programs, self._need), self.any_key, tables,
            (self.symbols.numbers, *names.tables[:2]), rows, raw, plain,
        )  # fmt: skip


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _long(text: Bytes, at: int, end: int) -> tuple[np.int64, int]:
    """A zigzag number, and where it ends; -1: it does not."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(63):
        byte = np.uint64(text[at])
        value |= (byte & np.uint64(127)) << shift
        at += 1
        if byte < np.uint64(128):
            half = np.int64(value >> np.uint64(1))
            return (half if value & np.uint64(1) == np.uint64(0) else -half - 1), at
        shift += np.uint64(7)
    return np.int64(0), -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _decimal(text: Bytes, at: int, size: int, scale: int, digits: int) -> float:
    """The double that is nearest to a decimal above 0 of up to 8 bytes; -1: it is odd."""
    if size < 1 or size > 8 or text[at] > 127 or scale < 0 or scale > 40:
        return -1.0
    value = np.uint64(0)
    for place in range(at, at + size):
        value = (value << np.uint64(8)) | np.uint64(text[place])
    if value == np.uint64(0) or (digits < 19 and value >= np.uint64(10) ** np.uint64(digits)):
        return -1.0
    number: float = _double(value, -scale)
    return number


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _octets(text: Bytes, at: int, count: int) -> np.uint64:
    """A number, its lowest byte first."""
    value = np.uint64(0)
    for place in range(count):
        value |= np.uint64(text[at + place]) << np.uint64(8 * place)
    return value


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _number(text: Bytes, at: int, end: int, op, bits, row) -> int:  # type: ignore[no-untyped-def]
    """Past a number, which goes into the `row` if it has a slot; -1: it is odd."""
    what, slot = op[0], op[1]
    value = 0.0
    if what in (DOUBLE, FLOAT):
        size = 8 if what == DOUBLE else 4
        if at + size > end:
            return -1
        if what == DOUBLE:
            bits[0][0] = _octets(text, at, 8)
            value = bits[1][0]
        else:
            bits[2][0] = np.uint32(_octets(text, at, 4))
            value = float(bits[3][0])
        at += size
        if slot >= 0 and not (value >= 0.0 and value < np.inf):
            return -1
    elif what == DECIMAL:
        size = op[3] // 1000
        if size == 0:
            size, at = _long(text, at, end)
        if at < 0 or size < 0 or size > end - at:
            return -1
        value = _decimal(text, at, size, op[2], op[3] % 1000)
        at += size
        if value < 0.0:
            return -1
    else:
        whole, at = _long(text, at, end)
        if at < 0:
            return -1
        if slot >= 0:
            value = 0.0 if whole == 0 else _double(np.uint64(whole), 0) if whole > 0 else -1.0
            if value < 0.0:
                return -1
    if slot >= 0:
        row[slot - PRICES + 1] = value + 0.0
    return at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _other(text: Bytes, at: int, end: int, op, strings, raw) -> int:  # type: ignore[no-untyped-def]
    """Past a value that is no number; -1: it is odd."""
    what, slot, size = op[0], op[1], op[2]
    if what == BOOLEAN:
        if at >= end or text[at] > 1:
            return -1
        if slot >= 0:
            raw[3] = text[at]
        return at + 1
    if what == FIXED:
        return at + size if size <= end - at else -1
    number, at = _long(text, at, end)
    if at < 0:
        return -1
    if what == ENUM:
        return at if 0 <= number < size else -1
    if what == TIME:
        step = 1_000_000 // size if size < 1_000_000 else 1
        if number % step != 0 or number < 0 or number > 9_000_000_000_000_000_000 // max(1, size // 1_000_000):
            return -1
        if slot >= 0:
            raw[2 if slot == OPENED else 4] = number // step * max(1, size // 1_000_000)
        return at
    if number < 0 or number > end - at:
        return -1
    if what == TEXT and slot < 0:
        for place in range(at, at + number):
            if text[place] > 127:
                return -1
    if slot >= 0:
        data, starts, table = strings[0] if slot == SYMBOL else strings[1] if slot == INTERVAL else strings[2]
        known = _find(text, at, at + number, data, starts, table)
        if known < 0:
            return -1
        if slot != WORD:
            raw[slot - SYMBOL] = known
    past: int = at + number
    return past


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan(text: Bytes, at: int, end: int, programs, strings, bits, row, raw) -> bool:  # type: ignore[no-untyped-def]
    """One record. False: it is odd."""
    ops, known, need = programs
    if end - at < 6 or text[at] != 0:
        return False
    number, place = 0, 0
    for byte in range(at + 1, at + 5):
        number = number * 256 + text[byte]
    while place < len(known) and known[place, 0] != number:
        place += 1
    if place == len(known):
        return False
    at += 5
    seen = 0
    raw[3] = 1
    for step in range(known[place, 1], known[place, 2]):
        op = ops[step]
        if op[4] >= 0:
            branch, at = _long(text, at, end)
            if at < 0 or branch < 0 or branch > 1:
                return False
            if branch == op[4]:
                if op[1] >= 0:
                    return False
                continue
        number_like = op[0] in (LONG, FLOAT, DOUBLE, DECIMAL)
        at = _number(text, at, end, op, bits, row) if number_like else _other(text, at, end, op, strings, raw)
        if at < 0:
            return False
        if op[1] >= 0:
            seen |= 1 << op[1]
    return at == end and seen == need


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan_all(values, keys, programs, any_key, strings, symbols, rows, raw, plain) -> None:  # type: ignore[no-untyped-def]
    """Sets `plain` for each record that is so and has its symbol as key, and its `rows` and `raw`."""
    text, ends = values
    key_text, key_ends = keys
    numbers, names, starts = symbols
    wide, narrow = np.zeros(1, np.uint64), np.zeros(1, np.uint32)
    bits = wide, wide.view(np.float64), narrow, narrow.view(np.float32)
    start = key_start = 0
    for i in range(len(ends)):
        good = ends[i] - start <= LARGEST and _scan(text, start, ends[i], programs, strings, bits, rows[i], raw[i])
        if good and not any_key:
            number = numbers[raw[i, 0]]
            good = _equal(key_text, key_start, key_ends[i], names, starts[number], starts[number + 1])
        plain[i] = good
        start, key_start = ends[i], key_ends[i]
