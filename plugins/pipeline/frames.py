"""Frames of bars through the pipeline's own gate and features: what training sees is what a worker sees."""

import numpy as np
import pandas as pd

from plugins.base.bars import BAR, COLUMNS, BarBatch
from plugins.news.join import NewsJoin
from plugins.pipeline.isolation import step_or_raise
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy


def batch_from_frame(bars: pd.DataFrame) -> BarBatch:
    """Bars with `symbol`, `close_time` and the five columns, in the frame's order; the row number serves as offset."""
    rows = np.zeros(len(bars), BAR)
    rows["time"] = bars["close_time"].to_numpy(np.int64)
    for name in COLUMNS:
        rows[name] = bars[name].to_numpy(np.float64)
    return BarBatch(bars["symbol"].tolist(), rows, np.arange(len(bars), dtype=np.int64))


def feature_frame(name: str, strategy: Strategy, bars: pd.DataFrame, news: NewsJoin | None = None) -> pd.DataFrame:
    """The feature columns of strategy `name` for bars of a frame.

    Parameters
    ----------
    bars
        Columns as of `batch_from_frame`, in the order of a log.
    news
        The scores that it sees, with the frame's row numbers as offsets; None: unknown.

    Returns
    -------
    DataFrame
        Indexed by (symbol, time of the close); all NaN while a symbol warms up. Bars outside the universe, repeats,
        corrections and late bars have no row, as they have no signal live.

    Raises
    ------
    PluginError
        A feature fails; it names the first bar at which it does.
    """
    bare = strategy.model_copy(update={"model": None, "prediction": None})
    ready = ready_strategy(name, bare)
    pipeline = Pipeline([ready], Source("frame", 0, ""), news=news if ready.uses_news else None)
    accepted = pipeline.groups[ready.interval].accept(batch_from_frame(bars), Outcome())
    features = step_or_raise(pipeline.runs[name], accepted)
    features.values[features.counts <= ready.warmup] = np.nan
    times = pd.DatetimeIndex(accepted.times.astype("datetime64[ms]"), tz="UTC")
    symbols = np.array(accepted.symbols, dtype=object)[accepted.slots]
    index = pd.MultiIndex.from_arrays([symbols, times], names=["symbol", "time"])
    return pd.DataFrame(features.values, index, ready.columns)
