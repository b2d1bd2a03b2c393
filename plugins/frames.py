"""Frames of bars through the pipeline's own gate and features: what training sees is what a worker sees."""

import numpy as np
import pandas as pd

from plugins import gate
from plugins.bars import BAR, COLUMNS, BarBatch
from plugins.pipeline import Pipeline
from plugins.run import Source
from plugins.strategy import ready_strategy
from schemas.config import Strategy


def batch_from_frame(bars: pd.DataFrame) -> BarBatch:
    """Bars with `symbol`, `close_time` and the five columns, in the frame's order; the row number serves as offset."""
    rows = np.zeros(len(bars), BAR)
    rows["time"] = bars["close_time"].to_numpy(np.int64)
    for name in COLUMNS:
        rows[name] = bars[name].to_numpy(np.float64)
    return BarBatch(bars["symbol"].tolist(), rows, np.arange(len(bars), dtype=np.int64))


def feature_frame(name: str, strategy: Strategy, bars: pd.DataFrame) -> pd.DataFrame:
    """The strategy's feature columns for `bars`, indexed by (symbol, time of the close); all NaN while a symbol warms
    up.

    Bars outside the universe, repeats, corrections and late bars have no row, as they have no signal live.
    """
    bare = strategy.model_copy(update={"model": None, "prediction": None})
    ready = ready_strategy(name, bare)
    pipeline = Pipeline([ready], Source("frame", 0, ""))
    lane, run = pipeline.lanes[ready.interval], pipeline.runs[name]
    batch = batch_from_frame(bars)
    slots = np.array([lane.slot(symbol) for symbol in batch.symbols], np.int64)
    rows = np.flatnonzero(slots >= 0)
    taken, slots = batch.bars[rows], slots[rows]
    verdicts, _ = gate.judge(lane.gate, slots, taken, lane.interval_ms)
    fresh = verdicts == gate.Verdict.ACCEPTED
    taken, slots = taken[fresh], slots[fresh]
    values, counts = run.step(taken, slots, batch.offsets[rows][fresh])
    values[counts <= ready.warmup] = np.nan
    times = pd.DatetimeIndex(taken["time"].astype("datetime64[ms]"), tz="UTC")
    symbols = np.array(lane.symbols, dtype=object)[slots]
    return pd.DataFrame(values, pd.MultiIndex.from_arrays([symbols, times], names=["symbol", "time"]), ready.columns)
