"""Bars as records of a topic, out of columns: each is what msgspec writes of the struct, to the byte.

What differs from bar to bar is filled into constant parts by compiled code; numbers are msgspec's own.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from plugins.base.streaming import IntArray
from plugins.pipeline.records.rendering import RenderedRecords, copy_number
from plugins.pipeline.records.texts import Bytes, Texts, copy, write_integer
from schemas.errors import ConfigurationError
from schemas.wire import Bar, encode, name_of_length
from streams.kafka.partitioner import partition_of
from streams.kafka.row_batches import RecordRows

_HOLE: Any = msgspec.Raw(b"\n")
"""No other byte of a record is a line's end."""
_PIECES = Texts([*encode(Bar(*[_HOLE] * 9)).split(b"\n"), b',"flat":true}'])
"""Of a flat bar the last one replaces the record's closing brace."""
INTEGER = 20
"""Bytes that a time may take."""


class BarRows:
    """Frames of bars as rows for each partition of `topic`: the symbol's, by the `partitioner` of `count` partitions.
    Where any will do (`as_is`), the one that murmur2 says.
    """

    def __init__(self, topic: str, partitioner: str, count: int) -> None:
        self._topic = topic
        self._kind, self._count = "murmur2" if partitioner == "as_is" else partitioner, count
        self._numbers: dict[str, int] = {}
        self._partitions: list[int] = []
        self._symbols, self._intervals = Texts(), Texts()
        self._interval_numbers: dict[str, int] = {}

    def partitions(self, symbols: "pd.Series[str]") -> IntArray:
        places = self._places(symbols)
        return np.array(self._partitions, np.int64)[places]

    def _places(self, symbols: "pd.Series[str]") -> IntArray:
        codes, distinct = pd.factorize(symbols)
        for symbol in distinct:
            if symbol not in self._numbers:
                self._numbers[symbol] = len(self._numbers)
                self._partitions.append(partition_of(symbol.encode(), self._count, self._kind))
                self._symbols.add([encode(symbol), symbol.encode()])
        return np.array([self._numbers[symbol] for symbol in distinct], np.int64)[codes]

    def _intervals_of(self, frame: pd.DataFrame) -> IntArray:
        if "interval" in frame:
            codes, distinct = pd.factorize(frame["interval"])
            names = [str(name) for name in distinct]
        else:
            codes, lengths = pd.factorize(frame["close_time"] - frame["open_time"])
            names = [interval_name(int(length)) for length in lengths]
        for name in names:
            if name not in self._interval_numbers:
                self._interval_numbers[name] = len(self._interval_numbers)
                self._intervals.add([encode(name)])
        return np.array([self._interval_numbers[name] for name in names], np.int64)[codes]

    def of(self, frame: pd.DataFrame) -> Iterator[tuple[int, RecordRows]]:
        """The rows of each partition that has some, in their order."""
        symbols, intervals = self._places(frame["symbol"]), self._intervals_of(frame)
        partitions = np.array(self._partitions, np.int64)[symbols]
        for partition in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == partition)
            yield partition, RecordRows(self._topic, self._rendered(frame, rows, symbols[rows], intervals[rows]))

    def _rendered(
        self, frame: pd.DataFrame, rows: NDArray[np.intp], symbols: IntArray, intervals: IntArray
    ) -> RenderedRecords:
        opens, closes = (frame[name].to_numpy(np.int64)[rows] for name in ("open_time", "close_time"))
        values = tuple(
            np.frombuffer(encode(frame[name].to_numpy(np.float64)[rows].tolist()), np.uint8) for name in COLUMNS
        )
        flat = frame["flat"].eq(True).to_numpy()[rows] if "flat" in frame else np.zeros(len(rows), np.bool_)
        longest = len(_PIECES.data) + self._symbols.longest + self._intervals.longest + 2 * INTEGER
        out = np.empty(len(rows) * longest + sum(map(len, values)), np.uint8)
        ends = np.empty(len(rows), np.int64)
        written = _render(
            out, ends, (_PIECES.data, _PIECES.starts), (self._symbols.data, self._symbols.starts, 2 * symbols),
            (self._intervals.data, self._intervals.starts, intervals), (opens, closes), values, flat,
        )  # fmt: skip
        return RenderedRecords(out[:written], ends, closes, self._symbols, 2 * symbols + 1)


def interval_name(length: int) -> str:
    """Shortest name of an interval of `length` ms: ``1h`` for 3,600,000; `ConfigurationError` unless whole seconds."""
    try:
        return name_of_length(length)
    except ValueError as error:
        raise ConfigurationError(f"close_time minus open_time is {error}") from None


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _render(  # type: ignore[no-untyped-def]
    out: Bytes, ends: IntArray, pieces, symbols, intervals, times, values, flat
) -> int:
    texts, starts = pieces
    at = 0
    places = np.ones(5, np.int64)
    for i in range(len(ends)):
        at = copy(out, at, texts, starts[0], starts[1])
        data, begins, numbers = symbols
        at = copy(out, at, data, begins[numbers[i]], begins[numbers[i] + 1])
        at = copy(out, at, texts, starts[1], starts[2])
        data, begins, numbers = intervals
        at = copy(out, at, data, begins[numbers[i]], begins[numbers[i] + 1])
        at = copy(out, at, texts, starts[2], starts[3])
        at = write_integer(out, at, times[0][i])
        at = copy(out, at, texts, starts[3], starts[4])
        at = write_integer(out, at, times[1][i])
        for column in range(5):
            at = copy(out, at, texts, starts[4 + column], starts[5 + column])
            at, places[column] = copy_number(out, at, values[column], places[column])
        at = copy(out, at, texts, starts[9], starts[10])
        if flat[i]:
            at = copy(out, at - 1, texts, starts[10], starts[11])
        ends[i] = at
    return at
