"""Features that have only `compute`, run live: a value is `compute` over the trailing `lookback` rows, in live,
replay and training alike.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray, name_of
from plugins.base.bars import COLUMNS, bar_dtype, frame_from_bars
from plugins.base.streaming import Rows, StreamingFeature, forget_infinite, layout_of, over_frame, trial_bars
from plugins.fold import FoldFeature
from schemas.errors import PluginError

__all__ = ["StreamingFeature", "WindowedFeature", "batch", "streaming"]


def streaming(feature: BaseFeature) -> StreamingFeature:
    """The form of `feature` that runs bar by bar: a `FoldFeature` itself, any other one over its declared lookback."""
    return feature if isinstance(feature, FoldFeature) else WindowedFeature(feature)


def batch(feature: BaseFeature, data: pd.DataFrame) -> pd.DataFrame:
    """`feature`'s columns for a frame exactly as a worker computes them (a compute-only one over its trailing
    lookback at each row).
    """
    return over_frame(streaming(feature), data)


class WindowedFeature:
    """Runs a compute-only feature bar by bar; the state of a symbol is a ring of its last `lookback` bars.

    Raises `PluginError` when the plugin declares no lookback, fails, or returns anything but one row for each bar and
    always the same columns.
    """

    reads = COLUMNS

    def __init__(self, plugin: BaseFeature) -> None:
        self.plugin = plugin
        self.lookback = _lookback(plugin)
        self.state_dtype = np.dtype([("count", "i8"), ("ring", bar_dtype(plugin.requires), (self.lookback,))])
        declared = plugin.outputs
        self._columns: tuple[str, ...] | None = None if declared is None else tuple(declared)

    @property
    def columns(self) -> tuple[str, ...]:
        """As declared in `outputs`, else as `compute` returns them for generated bars."""
        if self._columns is None:
            self._columns = tuple(self._compute(trial_bars(self.lookback, self.plugin.requires)).columns)
            if not self._columns:
                raise PluginError(
                    f"{name_of(self.plugin)}: compute returned no columns for {self.lookback} generated bars; "
                    "return a DataFrame with at least one"
                )
        return self._columns

    @property
    def warmup(self) -> int:
        return self.lookback - 1

    @property
    def layout(self) -> str:
        return layout_of(self.plugin, self.state_dtype)

    def new_states(self, count: int) -> Rows:
        return np.zeros(count, self.state_dtype)

    def prepare(self) -> None:
        """Finds out the columns, and with that whether the plugin works at all."""
        self._values(trial_bars(self.lookback, self.plugin.requires))

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Step over `bars` in order: each goes into its symbol's ring, and its values are the last row of
        `compute` over that ring.
        """
        counts, rings = states["count"], states["ring"]
        for i, slot in enumerate(slots.tolist()):
            rings[slot, counts[slot] % self.lookback] = bars[i]
            counts[slot] += 1
            outs[i] = self._values(self._window(rings[slot], int(counts[slot])))
        forget_infinite(outs)

    def _window(self, ring: Rows, count: int) -> Rows:
        """The bars of a ring from the oldest to the newest."""
        if count < self.lookback:
            return ring[:count]
        return np.roll(ring, -(count % self.lookback))

    def _values(self, bars: Rows) -> FloatArray:
        columns = list(self.columns)
        result = self._compute(bars)
        if sorted(map(str, result.columns)) != sorted(columns):
            raise PluginError(
                f"{name_of(self.plugin)}: compute returned {', '.join(map(str, result.columns)) or 'no columns'} "
                f"for {len(bars)} bars, not {', '.join(columns)}; return the same columns always (NaN: no value yet)"
            )
        try:
            return result.iloc[-1][columns].to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"{name_of(self.plugin)}: compute returned something else than numbers ({error})"
            ) from None

    def _compute(self, bars: Rows) -> pd.DataFrame:
        data = frame_from_bars(bars)
        index = data.index
        try:
            result = self.plugin.compute(data)
        except Exception as error:  # foreign code, whatever it raises
            raise PluginError(
                f"{name_of(self.plugin)}: compute failed on {len(bars)} bars: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(result, pd.DataFrame):
            raise PluginError(
                f"{name_of(self.plugin)}: compute returned a {type(result).__name__}; "
                "return a DataFrame (a Series has `.to_frame(name)`)"
            )
        if len(result) != len(index) or not result.index.equals(index):
            raise PluginError(
                f"{name_of(self.plugin)}: compute returned {len(result)} rows for {len(index)} bars, or another index; "
                "return one row for each bar, with data's index"
            )
        return result


def _lookback(plugin: BaseFeature) -> int:
    lookback: Any = plugin.lookback
    if lookback is None:
        raise PluginError(
            f"{name_of(plugin)}: it has only `compute` and declares no lookback, so it cannot run live; "
            "set `lookback`, the number of bars that a value depends on, its own included"
        )
    if isinstance(lookback, bool) or not isinstance(lookback, int | np.integer) or lookback < 1:
        raise PluginError(
            f"{name_of(plugin)}: its lookback {lookback!r} is not a number of bars; set a whole number from 1 on"
        )
    return int(lookback)
