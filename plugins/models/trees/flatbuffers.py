"""FlatBuffers, as far as reading CatBoost's models needs them: tables, strings, vectors. No offset is trusted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ITEMS = 1_000_000


class Table:
    """A table in `data`; its fields are known by their number in the schema. `ValueError` where an offset leads out of
    the data; a field that is not there is None, or empty.
    """

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place
        self.fields = place - _number(data, place, "<i4")
        self.fields_size = _number(data, self.fields, "<u2")

    @classmethod
    def root(cls, data: bytes) -> "Table":
        return cls(data, _number(data, 0, "<u4"))

    def number(self, field: int, kind: str, default: float) -> Any:
        place = self._field(field)
        return default if place is None else _number(self.data, place, kind)

    def table(self, field: int) -> "Table":
        place = self._field(field)
        if place is None:
            raise ValueError(f"there is no table {field}")
        return Table(self.data, _follow(self.data, place))

    def text(self, field: int) -> str:
        return self.array(field, "<u1").tobytes().decode()

    def array(self, field: int, kind: str) -> NDArray[Any]:
        place = self._field(field)
        if place is None:
            return np.empty(0, np.dtype(kind).newbyteorder("="))
        start = _follow(self.data, place)
        return _numbers(self.data, start + 4, _number(self.data, start, "<u4"), kind)

    def length(self, field: int) -> int:
        """Of a vector, whatever it holds."""
        place = self._field(field)
        return 0 if place is None else int(_number(self.data, _follow(self.data, place), "<u4"))

    def tables(self, field: int) -> list["Table"]:
        place = self._field(field)
        if place is None:
            return []
        start, count = _follow(self.data, place) + 4, self.length(field)
        if count > MAX_ITEMS:
            raise ValueError(f"{count} tables")
        offsets = _numbers(self.data, start, count, "<u4")
        return [Table(self.data, start + 4 * i + int(offset)) for i, offset in enumerate(offsets)]

    def _field(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self.fields_size:
            return None
        offset = _number(self.data, self.fields + entry, "<u2")
        return self.place + offset if offset else None


def _follow(data: bytes, place: int) -> int:
    return place + int(_number(data, place, "<u4"))


def _number(data: bytes, place: int, kind: str) -> Any:
    return _numbers(data, place, 1, kind)[0].item()


def _numbers(data: bytes, place: int, count: int, kind: str) -> NDArray[Any]:
    dtype = np.dtype(kind)
    if not (place >= 0 and 0 <= count <= (len(data) - place) // dtype.itemsize):
        raise ValueError(f"{count} numbers at byte {place} of {len(data)}")
    return np.frombuffer(data, dtype, count, place).astype(dtype.newbyteorder("="))
