"""Features bar by bar: what the pipeline needs of one, and how it runs over a frame."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray, name_of
from plugins.base.bars import bar_dtype, bars_from_frame, has_times, symbol_level, times_of
from schemas.canonical import canonical_json, sha256_hex
from schemas.errors import PluginError

IntArray = NDArray[np.int64]
Rows = NDArray[np.void]


class StreamingFeature(Protocol):
    """What the pipeline drives: a plain state for each symbol, stepped bar by bar."""

    @property
    def plugin(self) -> BaseFeature:
        """The registered plugin behind it."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of a bar that it needs."""

    @property
    def warmup(self) -> int:
        """Bars of a symbol before the first value can appear."""

    @property
    def state_dtype(self) -> "np.dtype[Any]": ...

    @property
    def layout(self) -> str:
        """Hash of key, version, parameters and state layout: a state of another layout must not be loaded."""

    def new_states(self, count: int) -> Rows:
        """States of `count` symbols that have seen nothing."""

    def prepare(self) -> None:
        """Do now what would make the first `run` slow (compile, or load what was compiled)."""

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        """Step over `bars` (with a field for each column that the plugin `requires`) in order; ``slots[i]`` is the row
        in `states` of bar i's symbol, ``outs[i]`` gets its values, finite or NaN.
        """


def forget_infinite(values: FloatArray) -> None:
    """What is not finite is not known: it becomes NaN, in place.

    A quotient by a volume of 0 is no large number: a threshold would trade on it, a rolling mean would keep it, and a
    record cannot hold it.
    """
    infinite = np.isinf(values)
    if np.count_nonzero(infinite):
        values[infinite] = np.nan


def over_frame(feature: StreamingFeature, data: pd.DataFrame) -> pd.DataFrame:
    """A feature's columns for a frame, with its index; each symbol of a (symbol, time) index, or of a column `symbol`,
    is folded alone, in the frame's order.

    Raises `PluginError` for a missing column, and where the times of a symbol do not go forward: the frame is not
    sorted, or has several symbols and does not name them.
    """
    requires = feature.plugin.requires
    needed = [name for name in (*feature.reads, *requires) if name != "time"]
    missing = [name for name in needed if name not in data]
    if missing:
        raise PluginError(
            f"{name_of(feature.plugin)}: the data has no column {', '.join(missing)}; it needs {', '.join(needed)}"
        )
    if "time" in feature.reads and not has_times(data.index):
        raise PluginError(
            f"{name_of(feature.plugin)}: it reads the bars' times; give the frame a DatetimeIndex of them"
        )
    slots, count = slots_in(data)
    if not _forward(slots, times_of(data.index)):
        raise PluginError(
            f"{name_of(feature.plugin)}: the times of a symbol repeat or go back; sort the frame, and name its symbols"
            " in the index (symbol, time) or in a column symbol"
        )
    outs = np.empty((len(data), len(feature.columns)))
    feature.run(feature.new_states(count), slots, bars_from_frame(data, requires), outs)
    return pd.DataFrame(outs, index=data.index, columns=list(feature.columns))


def slots_in(data: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """As `slots_of`; where the index names no symbols, a column `symbol` may."""
    if isinstance(data.index, pd.MultiIndex) or "symbol" not in data:
        return slots_of(data.index)
    return _numbered(data["symbol"])


def slots_of(index: pd.Index) -> tuple[NDArray[np.int64], int]:
    """Each row's symbol as a number from 0 on, and how many there are; all one where the index names no symbols."""
    if not isinstance(index, pd.MultiIndex):
        return np.zeros(len(index), np.int64), 1
    return _numbered(index.get_level_values(symbol_level(index)))


def _numbered(symbols: Any) -> tuple[NDArray[np.int64], int]:
    codes, distinct = pd.factorize(symbols, use_na_sentinel=False)
    return codes.astype(np.int64), len(distinct)


def _forward(slots: NDArray[np.int64], times: NDArray[np.int64]) -> bool:
    """Do the times of each symbol go forward?"""
    order = np.argsort(slots, kind="stable")
    return bool(((np.diff(times[order]) > 0) | (np.diff(slots[order]) != 0)).all())


def raw(rows: Rows) -> Rows:
    """The same memory as rows without fields, which numpy copies several times as fast."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def layout_of(plugin: BaseFeature, state: "np.dtype[Any]") -> str:
    """Hash of what a stored state depends on; `PluginError` when a parameter has no JSON form."""
    try:
        return sha256_hex(canonical_json([plugin.key, plugin.version, plugin.params, state.descr]))[:16]
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{name_of(plugin)}: its parameters cannot be written as JSON ({error}); "
            "use numbers, strings, lists and mappings"
        ) from None


def trial_bars(count: int, more: Sequence[str] = ()) -> Rows:
    """Generated minute bars, always the same, for finding out what a plugin does not declare; columns in `more` are
    between 0 and 1.
    """
    random = np.random.default_rng(20130104)
    bars = np.zeros(count, bar_dtype(more))
    bars["time"] = 1_380_000_000_000 + 60_000 * np.arange(1, count + 1)
    closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, count)))
    bars["close"] = closes
    bars["open"] = np.concatenate([[100.0], closes[:-1]])[:count]
    spread = random.uniform(0.0, 0.05, (2, count))
    bars["high"] = np.maximum(bars["open"], closes) + spread[0]
    bars["low"] = np.minimum(bars["open"], closes) - spread[1]
    bars["volume"] = random.integers(100, 10_000, count)
    for name in more:
        bars[name] = random.uniform(0.0, 1.0, count)
    return bars
