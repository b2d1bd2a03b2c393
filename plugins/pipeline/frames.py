"""Frames of bars through the pipeline's own gate and features: what training sees is what a worker sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.bars import BAR, COLUMNS, BarBatch
from plugins.base.streaming import IntArray
from plugins.pipeline.cross_sections.section_columns import fill_sections
from plugins.pipeline.isolation import step_or_raise
from plugins.pipeline.outcome import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.side_inputs.frames import WholeBars
from plugins.side_inputs.news.join import NewsJoin
from plugins.strategy.features import features_of
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from plugins.strategy.universe import universe_of
from schemas.configuration import Strategy
from schemas.errors import PluginError

BLOCK = 65_536
Mask = NDArray[np.bool_]


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
    """Some bars of a frame with their features: their numbers in the frame, a row of `columns` for each (NaN in those
    of the cross-section, which `fill` makes), and which are past their symbol's warm-up.
    """

    rows: IntArray
    values: FloatArray
    warm: Mask
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
    beside = references_in(ready, bars)
    pipeline.refer_to(beside.join)
    for first in range(0, max(len(bars), 1), BLOCK):
        batch = batch_from_frame(bars.iloc[first : first + BLOCK], first)
        accepted = pipeline.groups[ready.interval].accept(batch, Outcome())
        features = step_or_raise(pipeline.runs[name], accepted)
        values, warm = features.values, features.counts > ready.warmup
        if not warming_up:
            values[~warm] = np.nan
        if ready.section:
            values = np.pad(values, ((0, 0), (0, len(ready.section))), constant_values=np.nan)
        yield FeatureBlock(accepted.offsets, values, warm, ready.all_columns)
    beside.check()


def references_in(ready: ReadyStrategy, bars: pd.DataFrame) -> WholeBars:
    """The bars of a frame that stand beside others."""
    beside = WholeBars(ready.interval, ready.references)
    names = sorted(frozenset[str]().union(*(reference.names for reference in ready.references)))
    if names:
        beside.take(batch_from_frame(bars[bars["symbol"].isin(names)]))
    return beside


def fill(name: str, strategy: Strategy, bars: pd.DataFrame, whole: FeatureBlock) -> None:
    """The columns of the cross-sections of all bars of a frame, into the values of the `whole`: of each time's members
    that are warm, whoever came late. In place.

    Raises
    ------
    PluginError
        A feature of the cross-section fails.
    """
    section, warm = features_of(name, strategy).section, whole.warm
    if not section:
        return
    universe, times = universe_of(name, strategy), bars["close_time"].to_numpy(np.int64)[whole.rows]
    names, symbols = np.unique(bars["symbol"].to_numpy(object)[whole.rows].astype(str), return_inverse=True)
    if universe.changes:
        at = zip(names[symbols].tolist(), times.tolist(), strict=True)
        warm = warm & np.fromiter((universe.member(*each) for each in at), np.bool_, len(warm))
    try:
        fill_sections(section, whole.values, times, symbols, np.flatnonzero(warm))
    except PluginError as error:
        raise PluginError(f"strategy {name} fails at {error}") from error


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
    rows, values, warm = (
        np.concatenate([getattr(block, part) for block in blocks]) for part in ("rows", "values", "warm")
    )
    fill(name, strategy, bars, FeatureBlock(rows, values, warm, blocks[0].columns))
    return pd.DataFrame(values, bar_index(bars, rows), blocks[0].columns)


def bar_index(bars: pd.DataFrame, rows: IntArray) -> pd.MultiIndex:
    """The symbol and the time of the close of the bars numbered `rows`."""
    times = pd.DatetimeIndex(bars["close_time"].to_numpy(np.int64)[rows].astype("datetime64[ms]"), tz="UTC")
    return pd.MultiIndex.from_arrays([bars["symbol"].to_numpy(object)[rows], times], names=["symbol", "time"])
