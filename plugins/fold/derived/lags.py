"""What columns were some bars ago, and by how much they have changed since: one ring for all of them.

>>> import numpy as np
>>> lags = Lags(columns=["rsi"], lags=[1], diff=[2])
>>> lags.columns
('rsi.lag1', 'rsi.diff2')
>>> bars, outs = np.zeros(4, bar_dtype(lags.requires)), np.empty((4, 2))
>>> bars[lags.requires[0]] = 10.0, 11.0, 13.0, 16.0
>>> lags.run(lags.new_states(1), np.zeros(4, np.int64), bars, outs)
>>> outs.T.tolist()
[[nan, 10.0, 11.0, 13.0], [nan, nan, 3.0, 5.0]]
"""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray
from plugins.base.bars import BAR, bar_dtype
from plugins.base.streaming import Rows, forget_infinite, layout_of

BEFORE = len(BAR.names or ())
"""Numbers of a bar that stand before the columns; each has 8 bytes, as these have."""


class Lags(BaseFeature):
    """Of each of `columns` its values `lags` bars ago, and its value less that `diff` bars ago.

    Parameters
    ----------
    columns
        Names of the columns; it requires them.
    lags, diff
        Numbers of bars of the symbol, 1 or more.

    Notes
    -----
    ``x.lagK[t] = x[t - K]`` and ``x.diffK[t] = x[t] - x[t - K]``, over the symbol's bars as they came, whatever time
    lies between them: pandas' ``shift`` and ``diff`` on its rows. NaN before bar K + 1, and where a value is NaN.
    """

    key, version, cost = "lags", "1", "compiled"
    reads: tuple[str, ...] = ()

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        names = tuple(params["columns"])
        self.requires = tuple(map(numbered, range(len(names))))  # type: ignore[misc]
        self._lags, self._diff = (np.array(params[name], np.int64) for name in ("lags", "diff"))
        depth = max(*params["lags"], *params["diff"], 0)
        self.warmup = depth
        self.state_dtype = np.dtype([("count", "i8"), ("ring", "f8", (depth, len(self.requires)))])
        self.columns = tuple(derived_names(names, params["lags"], params["diff"]))

    @property
    def plugin(self) -> BaseFeature:
        return self

    @property
    def layout(self) -> str:
        return layout_of(self, self.state_dtype)

    def new_states(self, count: int) -> Rows:
        return np.zeros(count, self.state_dtype)

    def prepare(self) -> None:
        """Its code is compiled once, for all columns alike."""
        self.run(self.new_states(1), np.zeros(0, np.int64), np.zeros(0, bar_dtype(self.requires)), np.empty((0, 1)))

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        values = np.ndarray((len(bars), BEFORE + len(self.requires)), np.float64, np.ascontiguousarray(bars))
        _step(states["count"], states["ring"], slots, values, self._lags, self._diff, outs)
        if len(self._diff):  # a lag of what is finite is
            forget_infinite(outs)


def numbered(place: int) -> str:
    """What a column is called beside the bar's own, one of which may have its name."""
    return f"column {place}"


def derived_names(columns: Sequence[str], lags: Sequence[int], diff: Sequence[int]) -> list[str]:
    """What the columns are called that are made of `columns`."""
    kinds = [*(f"lag{bars}" for bars in lags), *(f"diff{bars}" for bars in diff)]
    return [f"{column}.{kind}" for column in columns for kind in kinds]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _step(counts: Any, rings: Any, slots: Any, values: Any, lags: Any, diff: Any, outs: Any) -> None:
    depth, width = rings.shape[1], rings.shape[2]
    for i in range(len(slots)):
        slot = slots[i]
        ring, count = rings[slot], counts[slot]
        place = 0
        for column in range(width):
            value = values[i, BEFORE + column]
            for bars in lags:
                outs[i, place] = ring[(count - bars) % depth, column] if count >= bars else np.nan
                place += 1
            for bars in diff:
                outs[i, place] = value - ring[(count - bars) % depth, column] if count >= bars else np.nan
                place += 1
        for column in range(width):
            ring[count % depth, column] = values[i, BEFORE + column]
        counts[slot] = count + 1
