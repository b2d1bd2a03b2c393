"""Pieces of JSON in one array, and numbers and digests written by compiled code.

>>> pool = Texts([b"HOLD", b"", b"BUY"])
>>> pool.data[pool.starts[2] : pool.starts[3]].tobytes()
b'BUY'
"""

from collections.abc import Iterable, Sequence
from math import isqrt

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.wire import encode

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]


class Texts:
    """Texts one after the other: the one of number i is ``data[starts[i] : starts[i + 1]]``; none is longer than
    `longest` bytes.
    """

    def __init__(self, texts: Iterable[bytes] = ()) -> None:
        self.data: Bytes = np.zeros(0, np.uint8)
        self.starts: IntArray = np.zeros(1, np.int64)
        self.longest = 0
        self.add(texts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def add(self, texts: Iterable[bytes]) -> None:
        more = list(texts)
        if not more:
            return
        lengths = [len(text) for text in more]
        self.longest = max(self.longest, *lengths)
        ends = np.cumsum(lengths, dtype=np.int64)
        self.starts = np.concatenate([self.starts, self.starts[-1] + ends])
        self.data = np.concatenate([self.data, np.frombuffer(b"".join(more), np.uint8)])


class SymbolTexts(Texts):
    """Two texts for each slot: the symbol as JSON, and its bytes."""

    def of(self, symbols: Sequence[str]) -> "SymbolTexts":
        """Those of all `symbols`, which only ever grow."""
        if 2 * len(symbols) > len(self):
            self.add(text for symbol in symbols[len(self) // 2 :] for text in (encode(symbol), symbol.encode()))
        return self


class NumberedTexts(Texts):
    """The `first` texts, and after them the JSON of values that come again and again, each by its number."""

    def __init__(self, first: Iterable[bytes]) -> None:
        super().__init__(first)
        self.constant = len(self.data)
        self._numbers = _Numbers(len(self))

    def numbers_of(self, values: Sequence[str | float]) -> IntArray:
        """Of each value the number of its text."""
        numbers = np.fromiter(map(self._numbers.__getitem__, values), np.int64, len(values))
        self.add(self._numbers.new)
        self._numbers.new = []
        return numbers


class _Numbers(dict[str | float, int]):
    """By value, from `next` on. Those of numbers are not looked up: 0.0 and -0.0 are equal."""

    def __init__(self, next_: int) -> None:
        self.next, self.new = next_, list[bytes]()

    def __missing__(self, value: str | float) -> int:
        number, self.next = self.next, self.next + 1
        self.new.append(encode(value))
        if isinstance(value, str):
            self[value] = number
        return number


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def copy(out: Bytes, at: int, data: Bytes, start: int, end: int) -> int:
    """Copies a piece to `at`, and returns where it ends."""
    length = end - start
    target, source = out[at : at + length], data[start:end]
    for i in range(length):
        target[i] = source[i]
    return at + length


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def write_integer(out: Bytes, at: int, value: int) -> int:
    """Writes the digits to `at`, and returns where they end."""
    if value < 0:
        out[at] = 45
        at, value = at + 1, -value
    end, rest = at + 1, value // 10
    while rest:
        end, rest = end + 1, rest // 10
    place, rest = end, value
    while place > at:
        place, digit, rest = place - 1, rest % 10, rest // 10
        out[place] = 48 + digit
    return end


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(value: int) -> int:
    """Its whole part, by Newton's method from above."""
    root = 1 << (value.bit_length() // 3 + 1)
    while (less := (2 * root + value // (root * root)) // 3) < root:
        root = less
    return root


# FIPS 180-4: fractions of the square and cube roots of the first primes
_INITIAL: Words = np.array([isqrt(prime << 64) & 0xFFFFFFFF for prime in _primes(8)], np.uint32)
_ROUNDS: Words = np.array([_cube_root(prime << 96) & 0xFFFFFFFF for prime in _primes(64)], np.uint32)


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _turned(word: int, by: int) -> np.uint32:
    return np.uint32((word >> np.uint32(by)) | (word << np.uint32(32 - by)))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _compress(words: Words, state: Words) -> None:
    """One block of SHA-256, whose first 16 `words` are the message's."""
    for t in range(16, 64):
        x, y = words[t - 15], words[t - 2]
        low = np.uint32(_turned(x, 7) ^ _turned(x, 18) ^ (x >> np.uint32(3)))
        high = np.uint32(_turned(y, 17) ^ _turned(y, 19) ^ (y >> np.uint32(10)))
        words[t] = np.uint32(words[t - 16] + low + words[t - 7] + high)
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for t in range(64):
        choice, turned = np.uint32((e & f) ^ (~e & g)), np.uint32(_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25))
        first = np.uint32(h + turned + choice + _ROUNDS[t] + words[t])
        second = np.uint32(
            np.uint32(_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + np.uint32((a & b) ^ (a & c) ^ (b & c))
        )
        h, g, f, e, d, c, b, a = g, f, e, np.uint32(d + first), c, b, a, np.uint32(first + second)
    for place, word in enumerate((a, b, c, d, e, f, g, h)):
        state[place] = np.uint32(state[place] + word)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def write_digest(out: Bytes, at: int, message: Bytes, length: int, scratch: tuple[Words, Words]) -> int:
    """Writes the first 32 hex digits of the SHA-256 of ``message[:length]``, and returns where they end.

    `message` has room for 72 bytes more; `scratch` for 64 words and 8. A call of `hashlib` for each of
    many short texts takes twice as long.
    """
    words, state = scratch
    blocks = (length + 72) // 64
    message[length] = 0x80
    message[length + 1 : 64 * blocks] = 0
    for i in range(8):
        message[64 * blocks - 1 - i] = (8 * length) >> (8 * i) & 0xFF
    state[:] = _INITIAL
    for block in range(blocks):
        for t in range(16):
            word = 0
            for i in range(4):
                word = word << 8 | message[64 * block + 4 * t + i]
            words[t] = word
        _compress(words, state)
    for place in range(32):
        digit = state[place // 8] >> np.uint32(28 - 4 * (place % 8)) & np.uint32(15)
        out[at + place] = digit + 48 if digit < 10 else digit + 87
    return at + 32
