"""Bars as arrays: what the pure core works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.wire import LeaveOut

BAR = np.dtype([("time", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8")])
"""One bar, as a feature's step sees it; `time` is its close, in ms since the epoch, UTC."""

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")


@dataclass(slots=True)
class BarBatch:
    """Bars of one interval in log order: `symbols[i]` and `offsets[i]` belong to ``bars[i]``. `opens`, where they are
    known: when the bars opened, in ms since the epoch (UTC); what a pipeline decides never depends on them.
    """

    symbols: list[str]
    bars: NDArray[np.void]
    offsets: NDArray[np.int64]
    opens: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.symbols)


def between(batches: Mapping[str, BarBatch], begin: int, end: int) -> dict[str, BarBatch]:
    """The bars from offset `begin` up to, not including, `end`, by interval; an interval without any is left out."""
    parts = {}
    for interval, batch in batches.items():
        part = slice(*np.searchsorted(batch.offsets, [begin, end]).tolist())
        if batch.symbols[part]:
            parts[interval] = BarBatch(batch.symbols[part], batch.bars[part], batch.offsets[part])
    return parts


def without(batch: BarBatch, left_out: Mapping[int, LeaveOut]) -> tuple[BarBatch, NDArray[np.int64], NDArray[np.int64]]:
    """The bars that remain where those at the offsets in `left_out` are in no state; the offsets of these, and of
    others that come for the same symbol and time: there may be a signal of it already.
    """
    times = [bar.close_time for bar in left_out.values()]
    named = {(bar.symbol, bar.close_time) for bar in left_out.values()}
    out = np.isin(batch.offsets, list(left_out))
    again = np.isin(batch.bars["time"], times) & ~out
    for row in np.flatnonzero(again).tolist():
        again[row] = (batch.symbols[row], int(batch.bars["time"][row])) in named
    rows = np.flatnonzero(~(out | again))
    opens = None if batch.opens is None else batch.opens[rows]
    kept = BarBatch([batch.symbols[row] for row in rows.tolist()], batch.bars[rows], batch.offsets[rows], opens)
    return kept, batch.offsets[out], batch.offsets[again]


@cache
def _wider(more: tuple[str, ...]) -> "np.dtype[Any]":
    return np.dtype([*BAR.descr, *((name, "f8") for name in more)])


def bar_dtype(more: Sequence[str] = ()) -> "np.dtype[Any]":
    """`BAR`, and after it a field for each further column."""
    return _wider(tuple(more)) if more else BAR


def with_columns(
    bars: NDArray[np.void], more: Sequence[str], columns: Sequence[NDArray[np.float64]]
) -> NDArray[np.void]:
    """`bars` with further columns, named as in `more`."""
    if not more:
        return bars
    rows = np.empty(len(bars), bar_dtype(more))
    for name in BAR.names or ():
        rows[name] = bars[name]
    for name, values in zip(more, columns, strict=True):
        rows[name] = values
    return rows


def bars_from_frame(data: pd.DataFrame, more: Sequence[str] = ()) -> NDArray[np.void]:
    """Bars of a frame with open, high, low, close, volume and the columns in `more`; `time` from a datetime index (UTC
    ms), else the row number.
    """
    bars = np.zeros(len(data), bar_dtype(more))
    bars["time"] = times_of(data.index)
    for name in (*COLUMNS, *more):
        if name in data:
            bars[name] = data[name].to_numpy(np.float64)
        else:
            bars[name] = np.nan
    return bars


def symbol_level(index: pd.MultiIndex) -> int:
    """Number of the level that names the symbols: it is called so, or the other one has the times; else the first."""
    if "symbol" in index.names:
        return index.names.index("symbol")
    are_times = [isinstance(level, pd.DatetimeIndex) for level in index.levels]
    return are_times.index(False) if True in are_times and False in are_times else 0


def times_of(index: pd.Index) -> NDArray[np.int64]:
    """Milliseconds since the epoch of a datetime index (beside its symbols), or 0, 1, 2, … for any other index."""
    level = _time_level(index)
    if isinstance(level, pd.DatetimeIndex):
        naive = level.tz_convert("UTC").tz_localize(None) if level.tz is not None else level
        return naive.as_unit("ms").to_numpy().astype(np.int64)
    return np.arange(len(index), dtype=np.int64)


def _time_level(index: pd.Index) -> pd.Index:
    if not isinstance(index, pd.MultiIndex):
        return index
    return index.get_level_values(-1 if symbol_level(index) == 0 else 0)


def has_times(index: pd.Index) -> bool:
    """Does it say when its rows are?"""
    return isinstance(_time_level(index), pd.DatetimeIndex)


def frame_from_bars(bars: NDArray[np.void]) -> pd.DataFrame:
    """The frame that a plugin's `compute` sees: the bars' columns, indexed by close time (UTC)."""
    index = pd.DatetimeIndex(bars["time"].astype("datetime64[ms]"), tz="UTC", name="time")
    return pd.DataFrame({name: bars[name] for name in (bars.dtype.names or ())[1:]}, index=index)
