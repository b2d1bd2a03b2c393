"""Functions of a finite window: TA-Lib itself, over the bars that a value depends on."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.streaming import IntArray, Rows, forget_infinite
from plugins.features.ta.functions import Function
from plugins.features.ta.library import INSTALL, called, lookback_of, require_room
from plugins.fold import Field, FoldFeature


class WindowFunction(FoldFeature):
    """A function whose value depends on the last `lookback` bars and this one: the library over them.

    The state of a symbol is its last bars. Where the library itself gives the same bits from any bar on (`exact`), it
    is called once for all bars of a symbol in a chunk; where it carries a running sum through the frame, once a bar,
    so that a value depends on its window alone and not on where the frame happens to begin.
    """

    function: ClassVar[Function]
    exact: ClassVar[bool] = True
    packages = {"talib": INSTALL}
    cost = "fast"

    def __init__(self, **params: Any) -> None:
        chosen = self.validate(params)
        self._inputs = tuple(str(chosen.get(name, name)) for name in self.function.inputs)
        self._lookback = lookback_of(self.function, chosen)
        super().__init__(**params)
        require_room(self.key, self.state_dtype.itemsize)

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._inputs))

    @property
    def warmup(self) -> int:
        return self._lookback

    def state(self) -> list[Field]:
        return [("count", "i8"), ("last", "f8", (len(self._inputs), self._lookback))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        """It is the library that steps, in `run`."""
        raise NotImplementedError

    def step_params(self) -> dict[str, int | float | bool | tuple[float, ...]]:
        return {}

    def prepare(self) -> None:
        """Loads the library."""
        called(self.function, self.params)

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        outs.fill(np.nan)
        values = np.stack([bars[name] for name in self._inputs])
        for slot, rows in _by_slot(slots, ~np.isnan(values).any(axis=0)):
            outs[rows] = self._values(states, slot, values[:, rows])
        forget_infinite(outs)

    def run_plain(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Nothing here is compiled."""
        self.run(states, slots, bars, outs)

    def _values(self, states: Rows, slot: int, new: FloatArray) -> FloatArray:
        """Of bars that came for one symbol, shape (bars, columns); its state moves on."""
        depth, last, count = self._lookback, states["last"][slot], int(states["count"][slot])
        series = np.concatenate([last, new], axis=1)
        states["count"][slot] = count + new.shape[1]
        last[:] = series[:, new.shape[1] :]
        missing = max(depth - count, 0)
        return self._over(np.ascontiguousarray(series[:, missing:]), new.shape[1])

    def _over(self, series: FloatArray, new: int) -> FloatArray:
        """Of the last `new` bars of a symbol's, NaN where fewer than `lookback` are before one."""
        call, depth, length = called(self.function, self.params), self._lookback, series.shape[1]
        values = np.full((new, len(self.outputs)), np.nan)
        first = max(length - new, depth)
        if first >= length:
            return values
        if self.exact:
            values[first - length :] = call(series)[:, first:].T
            return values
        for row in range(first, length):
            values[row - length] = call(series[:, row - depth : row + 1].copy())[:, -1]
        return values


def _by_slot(slots: IntArray, known: NDArray[np.bool_]) -> Iterator[tuple[int, IntArray]]:
    """Each slot with its rows in order, of those that are `known`."""
    rows = np.flatnonzero(known)
    if not len(rows):
        return
    order = rows[np.argsort(slots[rows], kind="stable")]
    ends = np.flatnonzero(np.diff(slots[order], append=-1))
    for first, end in zip([0, *(ends[:-1] + 1)], ends + 1, strict=True):
        yield int(slots[order[first]]), order[first:end]
