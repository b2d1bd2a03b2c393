"""Arrays that may be larger than memory: they lie in a file without a name, which goes with the last array that shows
it, however the process ends. The system keeps of it in memory what there is room for.
"""

import contextlib
import math
import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

LEAST = 64 * 2**20
"""Bytes below which an array lies in memory."""
BLOCK = 65_536
"""Rows that are copied at once."""


def scratch(shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """An array to be filled.

    Raises
    ------
    ConfigurationError
        Where the disk has no room for it: the room is taken at once, since a write into a mapped file has no words for
        that.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < LEAST:
        return np.empty(shape, kind)
    folder = scratch_folder()
    try:
        with tempfile.TemporaryFile(prefix="alphawire-", dir=folder) as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, size)
            pages = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} has no room for {size / 1e6:,.0f} MB of scratch ({error.strerror or error}); set TMPDIR to a"
            " folder with more"
        ) from None
    return np.frombuffer(pages, kind).reshape(shape)


def scratch_folder() -> str:
    """TMPDIR where it is set; else ``/var/tmp``, since ``/tmp`` is often memory itself."""
    usual = "/var/tmp"
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else tempfile.gettempdir()


def gathered(values: NDArray[Any], rows: NDArray[np.int64] | slice, columns: list[int] | None = None) -> NDArray[Any]:
    """The `rows` of an array, and of these the `columns`: a view where all that is asked for is a slice."""
    if isinstance(rows, slice):
        if columns is None:
            return values[rows]
        rows = np.arange(*rows.indices(len(values)))
    shape = (len(rows), *(values.shape[1:] if columns is None else (len(columns),)))
    taken = scratch(shape, values.dtype)
    for first in range(0, len(rows), BLOCK):
        block = values[rows[first : first + BLOCK]]
        taken[first : first + BLOCK] = block if columns is None else block[:, columns]
        let_go(values, taken)
    return taken


def let_go(*arrays: NDArray[Any]) -> None:
    """What of them lies in files need not be in memory now; nothing of it is lost."""
    for array in arrays:
        base: Any = array
        while isinstance(base, np.ndarray | memoryview):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if isinstance(base, mmap.mmap):
            with contextlib.suppress(OSError):
                base.madvise(mmap.MADV_DONTNEED)


def rows_in(mask: NDArray[np.bool_]) -> NDArray[np.int64] | slice:
    """The numbers of the rows of a mask; a slice where they follow each other."""
    rows = np.flatnonzero(mask)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
