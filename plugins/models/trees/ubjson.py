"""Universal Binary JSON (draft 12), as far as XGBoost writes it: numbers, strings, counted arrays, objects.

An array of one type becomes a numpy array. Nothing is taken from the file on trust: a length is held against the bytes
that are left before anything of that length is made.
"""

from typing import Any

import numpy as np

MAX_DEPTH = 32
NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
CONSTANTS: dict[str, Any] = {"T": True, "F": False, "Z": None}


def read_ubjson(data: bytes) -> Any:
    """The one value that `data` holds; `ValueError` when it is damaged."""
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    if reader.place != len(data):
        raise ValueError(f"{len(data) - reader.place} bytes after its end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise ValueError(f"cut short at byte {len(self.data)}")
        self.place += count
        return self.data[self.place - count : self.place]

    def marker(self) -> str:
        return self.take(1).decode("latin-1")

    def value(self, marker: str, depth: int) -> Any:
        if marker in NUMBERS:
            kind = np.dtype(NUMBERS[marker])
            return np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        if marker == "S":
            return self.text()
        if marker in CONSTANTS:
            return CONSTANTS[marker]
        if depth >= MAX_DEPTH or marker not in "{[":
            raise ValueError(f"an unexpected {marker!r} at byte {self.place - 1}")
        return self.members(depth) if marker == "{" else self.array(depth)

    def length(self) -> int:
        marker = self.marker()
        if marker not in "iUIlL":
            raise ValueError(f"{marker!r} is no length, at byte {self.place - 1}")
        count: int = self.value(marker, 0)
        if not 0 <= count <= len(self.data) - self.place:  # each element takes a byte at least
            raise ValueError(f"a length of {count} at byte {self.place}, and {len(self.data) - self.place} are left")
        return count

    def text(self) -> str:
        return self.take(self.length()).decode()

    def members(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while (first := self.marker()) != "}":
            self.place -= len(first)
            name = self.text()
            members[name] = self.value(self.marker(), depth + 1)
        return members

    def array(self, depth: int) -> Any:
        first = self.marker()
        if first == "$":
            kind = self.marker()
            if kind not in NUMBERS or self.marker() != "#":
                raise ValueError(f"an array of {kind!r} at byte {self.place - 1}")
            dtype = np.dtype(NUMBERS[kind])
            raw = self.take(self.length() * dtype.itemsize)
            return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))
        if first == "#":
            return [self.value(self.marker(), depth + 1) for _ in range(self.length())]
        values = []
        while first != "]":
            values.append(self.value(first, depth + 1))
            first = self.marker()
        return values
