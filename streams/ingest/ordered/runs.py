"""More rows than memory holds, by time: sorted runs in a temporary file, and their merge.

What is in order as it comes makes one run, whatever its length; what is not makes one of every `RUN` rows. Rows of one
time stay in the order in which they came.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from schemas.errors import ConfigurationError

ROW = np.dtype(
    [("close_time", "<i8"), ("open_time", "<i8"), ("symbol", "<i4"), ("interval", "<i4")]
    + [(name, "<f8") for name in COLUMNS]
)
RUN = 1 << 20
"""Rows that are sorted at once; where there are no more, there is no file."""
AT_ONCE, LEAST = 1 << 18, 1 << 13
"""Rows that the merge holds, of all runs together, and at least of each."""
Rows = NDArray[np.void]


class Runs:
    """Takes rows in any order; gives them by their close time, as often as wanted."""

    def __init__(self, run: int = RUN) -> None:
        self._run, self._pooled = run, 0
        self._pool: list[Rows] = []
        self._file: IO[bytes] | None = None
        self._ends: list[int] = []
        """Of the runs in the file, in rows."""
        self._last = 0

    def add(self, rows: Rows) -> None:
        self._pool.append(rows)
        self._pooled += len(rows)
        if self._pooled >= self._run:
            self._write(self._sorted())

    def _sorted(self) -> Rows:
        rows = np.concatenate(self._pool) if self._pool else np.empty(0, ROW)
        self._pool, self._pooled = [], 0
        return _by_time(rows)

    def _write(self, rows: Rows) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="alphawire-bars-")  # noqa: SIM115
            self._file.write(rows.view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            raise ConfigurationError(
                f"{tempfile.gettempdir()} cannot hold the bars, {ROW.itemsize} bytes each: {error.strerror or error};"
                " set TMPDIR to a folder with more space"
            ) from None
        end = (self._ends[-1] if self._ends else 0) + len(rows)
        if self._ends and rows["close_time"][0] >= self._last:
            self._ends[-1] = end
        else:
            self._ends.append(end)
        self._last = int(rows["close_time"][-1])

    def merged(self) -> Iterator[Rows]:
        """All rows by close time, some at once; those of one time are together."""
        rows = self._sorted()
        self._pool, self._pooled = [rows], len(rows)
        size = max(AT_ONCE // (len(self._ends) + 1), LEAST)
        heads = [
            _Head(self._stored(begin, end, size)) for begin, end in zip([0, *self._ends], self._ends, strict=False)
        ]
        heads.append(_Head(rows[first : first + size] for first in range(0, len(rows), size)))
        return _merged(heads)

    def _stored(self, begin: int, end: int, size: int) -> Iterator[Rows]:
        assert self._file is not None
        for first in range(begin, end, size):
            count = min(size, end - first)
            data = os.pread(self._file.fileno(), count * ROW.itemsize, first * ROW.itemsize)
            yield np.frombuffer(data, ROW)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Head:
    """The rows of a run that are next, and whether there are more."""

    def __init__(self, rest: Iterator[Rows]) -> None:
        self._rest, self.rows, self.more = rest, np.empty(0, ROW), True
        self.read()

    def read(self) -> None:
        following = next(self._rest, None)
        self.more = following is not None
        if following is not None:
            self.rows = np.concatenate([self.rows, following]) if len(self.rows) else following

    @property
    def last(self) -> int:
        return int(self.rows["close_time"][-1])

    def before(self, time: int | None) -> Rows:
        """Those that close before `time`; they are taken away."""
        count = len(self.rows) if time is None else int(np.searchsorted(self.rows["close_time"], time))
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def _merged(heads: Sequence[_Head]) -> Iterator[Rows]:
    """What closes before the last time that is read of each run has all come; of that time there may be more."""
    while waiting := [head for head in heads if len(head.rows)]:
        limit = min((head.last for head in waiting if head.more), default=None)
        rows = np.concatenate([head.before(limit) for head in waiting])
        if len(rows):
            yield _by_time(rows)
        for head in waiting:
            if head.more and (not len(head.rows) or head.last == limit):
                head.read()


def _by_time(rows: Rows) -> Rows:
    times = rows["close_time"]
    if (times[1:] >= times[:-1]).all():
        return rows
    return rows[np.argsort(times, kind="stable")]
