"""Frames of bars through the pipeline's own gate and features: what training sees is what a worker sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plugins.base import FloatArray
from plugins.base.bars import BAR, COLUMNS, BarBatch
from plugins.base.streaming import IntArray
from plugins.news.join import NewsJoin
from plugins.pipeline.isolation import step_or_raise
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy

BLOCK = 65_536


def batch_from_frame(bars: pd.DataFrame, first: int = 0) -> BarBatch:
    """Bars with `symbol`, `close_time` and the five columns, in the frame's order; the row number, from `first` on,
    serves as offset.
    """
    rows = np.zeros(len(bars), BAR)
    rows["time"] = bars["close_time"].to_numpy(np.int64)
    for name in COLUMNS:
        rows[name] = bars[name].to_numpy(np.float64)
    return BarBatch(bars["symbol"].tolist(), rows, first + np.arange(len(bars), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class FeatureBlock:
    """Some bars of a frame with their features: their numbers in the frame, and a row of `columns` for each."""

    rows: IntArray
    values: FloatArray
    columns: list[str]


def feature_blocks(
    name: str, strategy: Strategy, bars: pd.DataFrame, news: NewsJoin | None = None, warming_up: bool = False
) -> Iterator[FeatureBlock]:
    """The features of strategy `name` for bars of a frame, as `feature_frame` has them, block after block: so many
    bars at once as fit into the processor's cache, whatever the frame has.
    """
    bare = strategy.model_copy(update={"model": None, "prediction": None})
    ready = ready_strategy(name, bare)
    pipeline = Pipeline([ready], Source("frame", 0, ""), news=news if ready.uses_news else None)
    for first in range(0, max(len(bars), 1), BLOCK):
        batch = batch_from_frame(bars.iloc[first : first + BLOCK], first)
        accepted = pipeline.groups[ready.interval].accept(batch, Outcome())
        features = step_or_raise(pipeline.runs[name], accepted)
        if not warming_up:
            features.values[features.counts <= ready.warmup] = np.nan
        yield FeatureBlock(accepted.offsets, features.values, ready.columns)


def feature_frame(
    name: str, strategy: Strategy, bars: pd.DataFrame, news: NewsJoin | None = None, warming_up: bool = False
) -> pd.DataFrame:
    """The feature columns of strategy `name` for bars of a frame.

    Parameters
    ----------
    bars
        Columns as of `batch_from_frame`, in the order of a log.
    news
        The scores that it sees, with the frame's row numbers as offsets; None: unknown.
    warming_up
        Keep what some columns have while others have no value yet.

    Returns
    -------
    DataFrame
        Indexed by (symbol, time of the close); else all NaN while a symbol warms up. Bars outside the universe,
        repeats, corrections and late bars have no row, as they have no signal live.

    Raises
    ------
    PluginError
        A feature fails; it names the first bar at which it does.
    """
    blocks = list(feature_blocks(name, strategy, bars, news, warming_up))
    rows = np.concatenate([block.rows for block in blocks])
    values = np.concatenate([block.values for block in blocks])
    return pd.DataFrame(values, bar_index(bars, rows), blocks[0].columns)


def bar_index(bars: pd.DataFrame, rows: IntArray) -> pd.MultiIndex:
    """The symbol and the time of the close of the bars numbered `rows`."""
    times = pd.DatetimeIndex(bars["close_time"].to_numpy(np.int64)[rows].astype("datetime64[ms]"), tz="UTC")
    return pd.MultiIndex.from_arrays([bars["symbol"].to_numpy(object)[rows], times], names=["symbol", "time"])
