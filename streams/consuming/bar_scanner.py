"""Bars out of the bytes of many records at once, as far as they are plain; whatever is odd is left to msgspec.

Plain is one object with each key of a bar once, in any order, strings that were seen before, whole numbers for times,
finite positive decimals for prices. A number becomes the double that is nearest to it, by Lemire's method ("Number
Parsing at a Gigabyte per Second", 2021) and 128 bits of the power of ten; where that does not decide, it is odd.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.wire.bars import MAX_BAR_BYTES
from schemas.wire.fields import LAST_TIME

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
KEYS = ("symbol", "interval", "open_time", "close_time", "open", "high", "low", "close", "volume", "closed")
ALL, CLOSED = (1 << 10) - 1, 1 << 9
"""Bits of the keys of a bar, and of the one that may be left out."""
LONGEST = 19
"""Digits that a number may have: so many fit 64 bits."""
LEAST, MOST = -60, 60
"""Powers of ten that are tabled."""


def _power(exponent: int) -> tuple[int, int]:
    """The first 128 bits of 10 to the `exponent`, rounded down, as two words."""
    if exponent >= 0:
        power = 10**exponent
        bits = power << 128 >> power.bit_length()
    else:
        power = 10**-exponent
        bits = (1 << (127 + power.bit_length())) // power
        bits >>= bits.bit_length() - 128
    return bits >> 64, bits & (1 << 64) - 1


_POWERS = np.array([_power(exponent) for exponent in range(LEAST, MOST + 1)], np.uint64)
EXACT = np.uint64(1 << 53)
_TENS = np.array([float(10**exponent) for exponent in range(23)])
_KEYS = np.frombuffer("".join(KEYS).encode(), np.uint8).copy()
_TRUE, _FALSE = (np.frombuffer(word, np.uint8).copy() for word in (b"true", b"false"))
_KEY_STARTS = np.cumsum([0, *map(len, KEYS)])


class Strings:
    """Numbers of strings that were seen before, found by their bytes (without quotes): open addressing."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.data: Bytes = np.zeros(1024, np.uint8)
        self.starts: IntArray = np.zeros(65, np.int64)
        self.table: IntArray = np.full(128, -1, np.int64)

    @property
    def tables(self) -> tuple[Bytes, IntArray, IntArray]:
        """The bytes, where each string starts, and the numbers by hash."""
        return self.data, self.starts, self.table

    def add(self, text: bytes) -> int:
        """The number of a string that is not there yet."""
        number, start = len(self.texts), int(self.starts[len(self.texts)])
        self.texts.append(text)
        if start + len(text) > len(self.data):
            self.data = np.concatenate([self.data, np.zeros(len(self.data) + len(text), np.uint8)])
        if 2 * number + 2 > len(self.table):
            self.starts = np.concatenate([self.starts, np.zeros(len(self.starts), np.int64)])
            self.table = np.full(2 * len(self.table), -1, np.int64)
            _enter_all(self.data, self.starts, self.table, number)
        self.data[start : start + len(text)] = np.frombuffer(text, np.uint8)
        self.starts[number + 1] = start + len(text)
        _enter(self.data, self.starts, self.table, number)
        return number


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _place(data: Bytes, start: int, end: int, size: int) -> np.int64:
    """Where to look first: FNV-1a."""
    value = np.uint64(14695981039346656037)
    piece = data[start:end]
    for i in range(len(piece)):
        value = (value ^ np.uint64(piece[i])) * np.uint64(1099511628211)
    return np.int64((value ^ (value >> np.uint64(32))) & np.uint64(size - 1))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _enter(data: Bytes, starts: IntArray, table: IntArray, number: int) -> None:
    place = _place(data, starts[number], starts[number + 1], len(table))
    while table[place] >= 0:
        place = (place + 1) & (len(table) - 1)
    table[place] = number


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _enter_all(data: Bytes, starts: IntArray, table: IntArray, count: int) -> None:
    for number in range(count):
        _enter(data, starts, table, number)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _equal(one: Bytes, start: int, end: int, other: Bytes, begin: int, stop: int) -> bool:
    if end - start != stop - begin:
        return False
    left, right, place = one[start:end], other[begin:stop], 0
    while place < len(left) and left[place] == right[place]:
        place += 1
    return place == len(left)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _find(text: Bytes, start: int, end: int, data: Bytes, starts: IntArray, table: IntArray) -> int:
    """The number of a string, -1 where it was not seen before."""
    place = _place(text, start, end, len(table))
    while table[place] >= 0:
        number: int = table[place]
        if _equal(text, start, end, data, starts[number], starts[number + 1]):
            return number
        place = (place + 1) & (len(table) - 1)
    return -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _multiplied(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The product of two words, as two words."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a, b, c, d = one >> half, one & low, other >> half, other & low
    bd, ad, bc = b * d, a * d, b * c
    middle = (bd >> half) + (ad & low) + (bc & low)
    return a * c + (ad >> half) + (bc >> half) + (middle >> half), (middle << half) | (bd & low)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scaled(mantissa: np.uint64, exponent: int) -> float:
    if exponent < 0:
        return float(np.float64(mantissa) / _TENS[-exponent])
    return float(np.float64(mantissa) * _TENS[exponent])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _double(mantissa: np.uint64, exponent: int) -> float:
    """The double nearest to ``mantissa * 10**exponent``; -1 where that is not decided here."""
    if mantissa == np.uint64(0) or exponent < LEAST or exponent > MOST:
        return -1.0
    if mantissa <= EXACT and -len(_TENS) < exponent < len(_TENS):  # both are exact, so one rounding is right
        exact: float = _scaled(mantissa, exponent)
        return exact
    shift = 0
    while mantissa >> np.uint64(63) == np.uint64(0):
        mantissa, shift = mantissa << np.uint64(1), shift + 1
    binary = ((217706 * exponent) >> 16) + 64 + 1023 - shift
    rest = np.uint64(0x1FF)
    high, low = _multiplied(mantissa, _POWERS[exponent - LEAST, 0])
    if high & rest == rest and low + mantissa < mantissa:
        more_high, more_low = _multiplied(mantissa, _POWERS[exponent - LEAST, 1])
        merged = low + more_high
        if merged < low:
            high += np.uint64(1)
        if high & rest == rest and merged + np.uint64(1) == np.uint64(0) and more_low + mantissa < mantissa:
            return -1.0
        low = merged
    top = high >> np.uint64(63)
    bits = high >> (top + np.uint64(9))
    binary -= 1 if top == np.uint64(0) else 0
    if low == np.uint64(0) and high & rest == np.uint64(0) and bits & np.uint64(3) == np.uint64(1):
        return -1.0
    bits = (bits + (bits & np.uint64(1))) >> np.uint64(1)
    if bits >> np.uint64(53) > np.uint64(0):
        bits, binary = bits >> np.uint64(1), binary + 1
    if binary < 1 or binary > 2046:
        return -1.0
    value: float = math.ldexp(np.float64(bits), binary - 1075)
    return value


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _digits(text: Bytes, at: int, end: int) -> tuple[np.uint64, int]:
    """The number that the digits from `at` on make, and where they end; more than fit are counted all the same."""
    value = np.uint64(0)
    while at < end and 48 <= text[at] <= 57:
        value, at = value * np.uint64(10) + np.uint64(text[at] - 48), at + 1
    return value, at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _decimal(text: Bytes, at: int, end: int) -> tuple[float, int]:
    """The double that a JSON number without a sign stands for, and where it ends; -1: it is odd."""
    start, odd = at, (0.0, -1)
    mantissa, at = _digits(text, at, end)
    whole = at - start
    if whole == 0 or (whole > 1 and text[start] == 48):
        return odd
    count, exponent = whole, 0
    if at < end and text[at] == 46:
        at += 1
        first = at
        while at < end and 48 <= text[at] <= 57:
            mantissa, at = mantissa * np.uint64(10) + np.uint64(text[at] - 48), at + 1
        if at == first:
            return odd
        exponent = first - at
        count += at - first
    if count > LONGEST:
        return odd
    if at < end and (text[at] == 101 or text[at] == 69):
        at += 1
        minus = at < end and text[at] == 45
        if at < end and (text[at] == 45 or text[at] == 43):
            at += 1
        first = at
        shift, at = _digits(text, at, end)
        if at == first or at - first > 4:
            return odd
        exponent += (-1 if minus else 1) * int(shift)
    if mantissa == np.uint64(0):
        return 0.0, at
    value = _double(mantissa, exponent)
    return (value, at) if value >= 0.0 else odd


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _skip(text: Bytes, at: int, end: int) -> int:
    """Past white space."""
    while at < end and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _string(text: Bytes, at: int, end: int) -> int:
    """Where the string ends whose first character is at `at`; -1: it has an escape, or does not end."""
    while at < end and text[at] != 34:
        if text[at] == 92 or text[at] < 32:
            return -1
        at += 1
    return at if at < end else -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _key(text: Bytes, start: int, end: int, likely: int) -> int:
    """The number of a key, -1 for another; the `likely` one is looked at first."""
    for step in range(len(_KEY_STARTS) - 1):
        number = (likely + step) % (len(_KEY_STARTS) - 1)
        if _equal(text, start, end, _KEYS, _KEY_STARTS[number], _KEY_STARTS[number + 1]):
            return number
    return -1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan(text: Bytes, at: int, end: int, symbols, intervals, row, numbers) -> bool:  # type: ignore[no-untyped-def]
    """One record: its `row` of a batch, but for the time, and its `numbers`: symbol, interval, time of opening, whether
    it is closed, and time of closing. False: it is odd.
    """
    at = _skip(text, at, end)
    if at >= end or text[at] != 123:
        return False
    at += 1
    seen, key = 0, -1
    numbers[3] = 1
    while True:
        at = _skip(text, at, end)
        if at >= end or text[at] != 34:
            return False
        stop = _string(text, at + 1, end)
        key = _key(text, at + 1, stop, key + 1) if stop >= 0 else -1
        if key < 0 or seen >> key & 1:
            return False
        seen |= 1 << key
        at = _skip(text, stop + 1, end)
        if at >= end or text[at] != 58:
            return False
        at = _skip(text, at + 1, end)
        if at >= end:
            return False
        if key <= 1:
            stop = _string(text, at + 1, end) if text[at] == 34 else -1
            if stop < 0:
                return False
            data, starts, table = symbols if key == 0 else intervals
            numbers[key] = _find(text, at + 1, stop, data, starts, table)
            if numbers[key] < 0:
                return False
            at = stop + 1
        elif key <= 3:
            value, stop = _digits(text, at, end)
            if stop == at or stop - at > 15 or (text[at] == 48 and stop - at > 1) or value > np.uint64(LAST_TIME):
                return False
            if key == 2:
                numbers[2] = np.int64(value)
            else:
                numbers[4] = np.int64(value)
            at = stop
        elif key <= 8:
            price, at = _decimal(text, at, end)
            if at < 0:
                return False
            row[key - 3] = price
        elif _equal(text, at, min(at + 4, end), _TRUE, 0, 4):
            at += 4
        elif _equal(text, at, min(at + 5, end), _FALSE, 0, 5):
            numbers[3] = 0
            at += 5
        else:
            return False
        at = _skip(text, at, end)
        if at >= end:
            return False
        if text[at] == 125:
            break
        if text[at] != 44:
            return False
        at += 1
    return _skip(text, at + 1, end) == end and seen | CLOSED == ALL


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def scan(values, keys, symbols, intervals, lengths, rows, numbers, plain) -> None:  # type: ignore[no-untyped-def]
    """Sets `plain` for each record that is so, that `check_bar` accepts, and that has its symbol as key; then its
    `rows` and `numbers` are set, too (see `_scan`).

    Parameters
    ----------
    values, keys
        Bytes of all records one after the other, and where each ends.
    symbols, intervals
        Strings that may be there: `Strings.tables`.
    lengths
        Of each interval, in ms; 0: any.
    rows
        Shape (records, 6): `plugins.base.bars.BAR` as doubles; the time is not set.
    numbers
        Shape (records, 5).
    """
    text, ends = values
    key_text, key_ends = keys
    data, starts, _ = symbols
    start = key_start = 0
    for i in range(len(ends)):
        row, found = rows[i], numbers[i]
        good = ends[i] - start <= MAX_BAR_BYTES and _scan(text, start, ends[i], symbols, intervals, row, found)
        if good:
            number, low, high = found[0], row[3], row[2]
            good = (
                0 < low <= row[1] <= high
                and low <= row[4] <= high
                and (found[4] == found[2] + lengths[found[1]] if lengths[found[1]] else found[4] > found[2])
                and _equal(key_text, key_start, key_ends[i], data, starts[number], starts[number + 1])
            )
        plain[i] = good
        start, key_start = ends[i], key_ends[i]
