"""The last feature rows of each symbol: what a sequence model's strategy keeps as state, and the windows out of it.

Live, replay and `SequenceModel.predict` step this same ring, so they give a model the same windows and get the same
bytes.
"""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import Rows

IntArray = NDArray[np.int64]

LARGEST_RING = 512 * 1024
"""Bytes of one symbol: a snapshot is one record, and brokers refuse records of more than 1 MiB."""
BLOCK = 16 * 1024 * 1024
"""Bytes of windows that are laid out at a time."""


class RowRing:
    """The last `lookback` feature rows of each symbol, as they came, holes included.

    It knows nothing of the model: another one of the same lookback and columns goes on with the same state.
    """

    def __init__(self, lookback: int, width: int) -> None:
        self.lookback, self._width = lookback, width
        self.state_dtype = np.dtype([("rows", "f8", (lookback, width))])

    @property
    def layout(self) -> str:
        return f"rows-1-{self.lookback}-{self._width}"

    def new_states(self, count: int) -> Rows:
        return np.zeros(count, self.state_dtype)

    def run(
        self, states: Rows, slots: IntArray, counts: IntArray, values: FloatArray, wanted: IntArray
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Steps over the rows `values` in order. It must be read to the end.

        Parameters
        ----------
        states
            One for each slot, of `state_dtype`; they move on.
        slots
            Shape (rows,): the slot of each row's symbol.
        counts
            Shape (rows,): the row's number among its symbol's, from 1.
        values
            Shape (rows, columns).
        wanted
            Numbers of the rows whose windows are wanted, ascending; each has a count of at least `lookback`.

        Yields
        ------
        tuple
            Numbers of wanted rows, and their windows: shape (n, lookback, columns), the oldest row first; in blocks, so
            that memory stays bounded.
        """
        size = max(1, BLOCK // self.state_dtype.itemsize)
        cuts = [*wanted[size::size].tolist(), len(values)]
        first = 0
        for last in cuts:
            block = wanted[(wanted >= first) & (wanted < last)]
            windows = np.empty((len(block), self.lookback, self._width))
            _step(states["rows"], slots, counts, values, first, last, block, windows)
            if len(block):
                yield block, windows
            first = last


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _step(rings: Any, slots: Any, counts: Any, values: Any, first: int, last: int, wanted: Any, windows: Any) -> None:
    lookback = rings.shape[1]
    filled = 0
    for i in range(first, last):
        ring = rings[slots[i]]
        newest = (counts[i] - 1) % lookback
        ring[newest] = values[i]
        if filled < len(wanted) and wanted[filled] == i:
            for age in range(lookback):
                windows[filled, age] = ring[(newest + 1 + age) % lookback]
            filled += 1
