"""Bars of a longer interval out of a frame's bars, by the fold that gives features theirs."""

import numpy as np
import pandas as pd

from plugins.base.bars import COLUMNS
from plugins.fold.derived.clock import clock_of
from plugins.fold.derived.periods import PERIOD, fold_periods, reads_of
from plugins.pipeline.frames import batch_from_frame
from schemas.errors import ConfigurationError
from schemas.wire import bar_length, canonical_interval, interval_ms

FRAME = ("symbol", "interval", "open_time", "close_time", *COLUMNS, "partial")


def resampled(bars: pd.DataFrame, interval: str, longer: str, session: str | None = None) -> pd.DataFrame:
    """Complete bars of the interval `longer`, by close time and symbol.

    Parameters
    ----------
    bars
        Of `interval`: symbol, close_time (ms) and the five columns, each symbol's in order of time.
    session
        A market's calendar, whose sessions are the days.

    Returns
    -------
    DataFrame
        The columns of `FRAME`. `close_time` is the end of the longer bar, `open_time` a length before it; `partial`
        where the end of it was missing. What is still forming at the end of the data has no row.

    Raises
    ------
    ConfigurationError
        `longer` is no multiple of `interval`, or there is no such calendar.
    """
    length = bar_length(interval)
    if not length or interval_ms(longer) % length or interval_ms(longer) == length:
        raise ConfigurationError(f"{longer} is no multiple of {interval}, of which the bars are; write a longer one")
    slots, symbols = pd.factorize(bars["symbol"])
    nothing = np.empty((len(bars), 0))
    rows, made, partial = fold_periods(
        np.zeros(len(symbols), PERIOD), np.empty((len(symbols), 0)), slots.astype(np.int64),
        batch_from_frame(bars).bars, clock_of(longer, session), reads_of(COLUMNS), nothing,
    )  # fmt: skip
    frame = pd.DataFrame({name: made[name] for name in COLUMNS}).assign(
        symbol=np.asarray(symbols)[slots[rows]],
        interval=canonical_interval(longer),
        open_time=made["time"] - interval_ms(longer),
        close_time=made["time"],
        partial=partial == 1.0,
    )
    return frame[list(FRAME)].sort_values(["close_time", "symbol"], kind="stable", ignore_index=True)
