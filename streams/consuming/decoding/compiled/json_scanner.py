"""Bars out of JSON records as a source declares them, many at once in compiled code; whatever is odd is left to `Plan`.

What is plain here is what `streams.consuming.bar_scanner` has it for alphawire's own records, at the paths of the
source; numbers may be in quotes where the source lets them be. Fields that nobody asked for are looked at as closely as
msgspec would, or the record is odd: which records are taken must not depend on how they came together.
"""

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.configuration.sources import Source
from streams.consuming.bar_scanner import Bytes, Flags, Strings, _decimal, _digits, _equal, _find, _skip, _string
from streams.consuming.decoding.compiled.json_values import ALSE, TRUE, string_end, value_end, word_end
from streams.consuming.decoding.compiled.scanner import (
    CLOSED,
    INTERVAL,
    LARGEST,
    OBJECT,
    OPENED,
    PRICES,
    SYMBOL,
    WORD,
    Scanner,
    slots_of,
)
from streams.consuming.decoding.fields import steps_of
from streams.ingest.normal.bar_times import SCALES

DEEPEST = 8


class JsonScanner(Scanner):
    """That of a source; None from `scanner_of` where it says more than compiled code knows."""

    def __init__(self, source: Source, paths: Mapping[str, int]) -> None:
        super().__init__(source, paths, SCALES[source.time.unit[0]])
        nodes: dict[tuple[str, ...], int] = {(): 0}
        entries = dict[tuple[int, str], tuple[int, int]]()
        for path, slot in paths.items():
            steps = steps_of(path)
            for depth, name in enumerate(steps):
                parent, last = nodes[steps[:depth]], depth + 1 == len(steps)
                child = 0 if last else nodes.setdefault(steps[: depth + 1], len(nodes))
                known = entries.setdefault((parent, name), (slot if last else OBJECT, child))
                if known != (slot if last else OBJECT, child):
                    raise ValueError(path)
        texts = [name.encode() for _, name in entries]
        self._keys = np.frombuffer(b"".join(texts) or b" ", np.uint8).copy()
        self._starts: IntArray = np.cumsum([0, *map(len, texts)])
        self._tree: IntArray = np.array([(parent, *rest) for (parent, _), rest in entries.items()], np.int64)
        self._texts = source.texts

    def _fill(self, values: tuple[Bytes, IntArray], keys: tuple[Bytes, IntArray], names: Strings,
              rows: NDArray[np.float64], raw: IntArray, plain: Flags) -> None:  # fmt: skip
        _scan_all(
            values, keys, (self._keys, self._starts, self._tree), self._texts, self.any_key,
            (self.symbols.strings.tables, self.intervals.strings.tables, self._words.tables),
            (self.symbols.numbers, *names.tables[:2]), rows, raw, plain,
        )  # fmt: skip


def json_scanner(source: Source) -> JsonScanner | None:
    """None for a source whose records are read one by one."""
    paths = slots_of(source)
    if paths is None or not source.time.unit or any(len(steps_of(path)) > DEEPEST for path in paths):
        return None
    try:
        return JsonScanner(source, paths)
    except ValueError:
        return None


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _entry(text: Bytes, start: int, end: int, node: int, likely: int, plan) -> int:  # type: ignore[no-untyped-def]
    """The place in the plan of a key of a node, -1 for another; the `likely` one is looked at first."""
    keys, starts, tree = plan
    number, size = likely, end - start
    for _ in range(len(tree)):
        number = number if number < len(tree) else 0
        first = starts[number]
        if tree[number, 0] == node and starts[number + 1] - first == size:
            place = 0
            while place < size and text[start + place] == keys[first + place]:
                place += 1
            if place == size:
                return number
        number += 1
    return -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _field(text: Bytes, at: int, end: int, slot: int, texts: bool, strings, row, raw) -> int:  # type: ignore[no-untyped-def]
    """Past the value of a field, which goes into `row` or `raw`; -1: it is odd."""
    if slot in (SYMBOL, INTERVAL, WORD):
        stop = _string(text, at + 1, end) if text[at] == 34 else -1
        if stop < 0:
            return -1
        data, starts, table = strings[0] if slot == SYMBOL else strings[1] if slot == INTERVAL else strings[2]
        number = _find(text, at + 1, stop, data, starts, table)
        if slot != WORD:
            raw[slot - SYMBOL] = number
        return stop + 1 if number >= 0 else -1
    if slot == CLOSED:
        past: int = word_end(text, at, end, TRUE)
        if past < 0 and text[at] == 102:
            raw[3] = 0
            past = word_end(text, at + 1, end, ALSE)
        return past
    quoted = texts and text[at] == 34
    at += 1 if quoted else 0
    if slot >= PRICES:
        value, at = _decimal(text, at, end)
        row[slot - PRICES + 1] = value
    else:
        number, stop = _digits(text, at, end)
        if stop == at or stop - at > 18 + (number < np.uint64(1 << 63)) or (text[at] == 48 and stop - at > 1):
            return -1
        if number >= np.uint64(1 << 63):
            return -1
        raw[2 if slot == OPENED else 4] = np.int64(number)
        at = stop
    if quoted and at >= 0:
        return at + 1 if at < end and text[at] == 34 else -1
    return at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan(text: Bytes, at: int, end: int, plan, texts: bool, strings, row, raw, stack) -> bool:  # type: ignore[no-untyped-def]
    """One record. False: it is odd."""
    tree = plan[2]
    at = _skip(text, at, end)
    if at >= end or text[at] != 123:
        return False
    at += 1
    seen, entry, node, depth = 0, -1, 0, 0
    raw[3] = 1
    while True:
        at = _skip(text, at, end)
        if at >= end or text[at] != 34:
            return False
        stop = _string(text, at + 1, end)
        if stop < 0:
            return False
        found = _entry(text, at + 1, stop, node, entry + 1, plan)
        if found < 0 and string_end(text, at + 1, end) != stop:
            return False
        at = _skip(text, stop + 1, end)
        if at >= end or text[at] != 58:
            return False
        at = _skip(text, at + 1, end)
        if at >= end:
            return False
        if found < 0:
            at = value_end(text, at, end)
        else:
            if seen >> found & 1:
                return False
            seen |= 1 << found
            entry = found
            if tree[found, 1] == OBJECT:
                if text[at] != 123:
                    return False
                stack[depth] = node
                depth, node, at = depth + 1, tree[found, 2], at + 1
                continue
            at = _field(text, at, end, tree[found, 1], texts, strings, row, raw)
        if at < 0:
            return False
        while True:
            at = _skip(text, at, end)
            if at >= end:
                return False
            if text[at] == 44:
                at += 1
                break
            if text[at] != 125:
                return False
            at += 1
            if depth == 0:
                return _skip(text, at, end) == end and seen == (1 << len(tree)) - 1
            depth -= 1
            node = stack[depth]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan_all(values, keys, plan, texts, any_key, strings, symbols, rows, raw, plain) -> None:  # type: ignore[no-untyped-def]
    """Sets `plain` for each record that is so and has its symbol as key, and its `rows` and `raw`."""
    text, ends = values
    key_text, key_ends = keys
    numbers, names, starts = symbols
    stack = np.zeros(DEEPEST, np.int64)
    start = key_start = 0
    for i in range(len(ends)):
        good = ends[i] - start <= LARGEST and _scan(text, start, ends[i], plan, texts, strings, rows[i], raw[i], stack)
        if good and not any_key:
            number = numbers[raw[i, 0]]
            good = _equal(key_text, key_start, key_ends[i], names, starts[number], starts[number + 1])
        plain[i] = good
        start, key_start = ends[i], key_ends[i]
