"""What the compiled readers of a declared source have in common: what paths are for, texts that were seen before, and
what a bar must be.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from plugins.base.streaming import IntArray
from schemas.configuration.sources import Source
from schemas.wire.fields import LAST_TIME
from streams.consuming.bar_scanner import Bytes, Flags, Strings

OBJECT, SYMBOL, INTERVAL, OPENED, CLOSED, ENDED, WORD, PRICES = range(8)
"""What a path is for; from `PRICES` on the five values."""
LARGEST = 64 * 1024
MINUTE = 60_000


class Scanner:
    """Of a source with these `paths`. `unit`: nanoseconds of one of its times."""

    def __init__(self, source: Source, paths: Mapping[str, int], unit: int) -> None:
        self.any_key, self._unit = source.key == "any", unit
        self._has = frozenset(paths.values())
        self._words = Strings()
        for wanted in source.only.values():
            for word in [wanted] if isinstance(wanted, str) else wanted:
                self._words.add(word.encode())
        self.symbols, self.intervals = Known(), Known()

    def _fill(self, values: tuple[Bytes, IntArray], keys: tuple[Bytes, IntArray], names: Strings,
              rows: NDArray[np.float64], raw: IntArray, plain: Flags) -> None:  # fmt: skip
        """Sets `plain` for each record that is so and has its symbol as key; of those the values in `rows`, and in
        `raw` symbol, interval, start, 1 where it is closed, and end, as they are written.
        """
        raise NotImplementedError

    def scan(self, values: tuple[Bytes, IntArray], keys: tuple[Bytes, IntArray], names: Strings, lengths: IntArray,
             rows: NDArray[np.float64], numbers: IntArray, plain: Flags) -> None:  # fmt: skip
        """As `bar_scanner.scan`, with the numbers of symbols and intervals that were learned."""
        raw = np.zeros((len(plain), 5), np.int64)
        self._fill(values, keys, names, rows, raw, plain)
        good = np.flatnonzero(plain)
        found = raw[good]
        numbers[good, 0] = self.symbols.numbers[found[:, 0]]
        numbers[good, 1] = self.intervals.numbers[found[:, 1] if INTERVAL in self._has else 0] if len(good) else 0
        numbers[good, 3] = found[:, 3]
        length = lengths[numbers[good, 1]]
        opened, ended, right = self._times(found[:, 2], found[:, 4], length)
        numbers[good, 2], numbers[good, 4] = opened, ended
        values_of = rows[good]
        opens, highs, lows, closes = (values_of[:, place] for place in range(1, 5))
        right &= (lows > 0) & (lows <= opens) & (opens <= highs) & (lows <= closes) & (closes <= highs)
        plain[good] = right

    def _times(self, starts: IntArray, ends: IntArray, length: IntArray) -> tuple[IntArray, IntArray, Flags]:
        """Starts and ends in ms, and where they are right."""
        right = length > 0
        opened, exact = self._milliseconds(starts)
        ended, also = self._milliseconds(ends)
        if ENDED in self._has:
            right &= also
            whole = length % MINUTE == 0
            by_minute = np.where(ended % MINUTE >= MINUTE - 1000, -(-ended // MINUTE) * MINUTE, ended)
            by_second = np.where(ended % 1000 == 999, -(-ended // 1000) * 1000, ended)
            ended = np.where(whole, by_minute, by_second)
        if OPENED in self._has:
            right &= exact
        else:
            opened = ended - length
        ended = ended if ENDED in self._has else opened + length
        return opened, ended, right & (ended == opened + length) & (opened >= 0) & (ended <= LAST_TIME)

    def _milliseconds(self, values: IntArray) -> tuple[IntArray, Flags]:
        if self._unit >= 10**6:
            return values * (self._unit // 10**6), values <= LAST_TIME
        step = 10**6 // self._unit
        return values // step, values % step == 0


class Known:
    """Texts that were seen before, and the numbers that they stand for."""

    def __init__(self) -> None:
        self.strings = Strings()
        self.numbers: IntArray = np.zeros(1, np.int64)
        self._seen = set[str]()

    def learn(self, text: Any, number: int) -> None:
        if not isinstance(text, str) or text in self._seen:
            return
        self._seen.add(text)
        place = self.strings.add(text.encode())
        if place >= len(self.numbers):
            self.numbers = np.concatenate([self.numbers, np.zeros(len(self.numbers), np.int64)])
        self.numbers[place] = number


def slots_of(source: Source) -> dict[str, int] | None:
    """What each path of a source is for; None for a source that says more than compiled code knows."""
    use, time = source.symbol, source.time
    scaled = source.price_scale != 1.0 or source.volume_scale != 1.0 or source.undefined is not None
    if source.records or scaled or use.value is not None or len(source.only) > 1:
        return None
    if len(time.unit) > 1 or time.format or time.wall or use.pattern:
        return None
    starts, ends = source.columns.get("open_time") or time.columns, source.columns.get("close_time", ())
    if time.stamp == "end" and starts:
        starts, ends = (), starts
    wanted: list[tuple[Sequence[str], int]] = [
        ((use.column,) if use.column else source.columns.get("symbol", ("symbol",)), SYMBOL),
        (() if source.interval else source.columns["interval"], INTERVAL),
        (starts or (() if ends else ("open_time",)), OPENED), (ends, ENDED),
        ((source.closed.column,) if source.closed else (), CLOSED), (tuple(source.only), WORD),
        *((source.columns.get(name, (name,)), PRICES + place) for place, name in enumerate(COLUMNS)),  # type: ignore[call-overload]
    ]  # fmt: skip
    several = any(len(names) > 1 for names, _ in wanted) or any(
        len(names) != 1 or names == ("none",) for names, _ in wanted[-5:]
    )
    paths = {names[0]: slot for names, slot in wanted if names}
    if several or len(paths) != sum(bool(names) for names, _ in wanted):
        return None
    return paths if len(paths) <= 40 else None
