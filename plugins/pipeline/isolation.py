"""A strategy that fails on a bar stops there, and the others go on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plugins.news.join import BarNews
from plugins.pipeline.failure import Failure, stopped
from plugins.pipeline.strategy_run import StrategyRun
from schemas.wire import Signal


def feed_apart(
    run: StrategyRun,
    bars: NDArray[np.void],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    gaps: NDArray[np.int64],
    symbols: Sequence[str],
    news: BarNews | None = None,
) -> list[Signal]:
    """As `StrategyRun.feed`, up to the first bar at which the strategy fails: `run.failed` then tells why, and its
    states are as they were before that bar, wherever the batch was cut.

    Any error counts, as it is foreign code that is called. A batch on which it fails is halved until the bar is found.
    """
    kept = run.keep(slots)
    try:
        return run.feed(bars, slots, offsets, gaps, symbols, news)
    except Exception as error:
        run.put_back(kept)
        if len(bars) == 1:
            run.failed = Failure(run.strategy.name, int(offsets[0]), _bar(bars, slots, symbols, 0), error)
            return []
    found: list[Signal] = []
    for half in np.array_split(np.arange(len(bars)), 2):
        if run.failed is None:
            own = news and news.at(half)
            found += feed_apart(run, bars[half], slots[half], offsets[half], gaps[half], symbols, own)
    return found


def step_or_tell(
    run: StrategyRun,
    bars: NDArray[np.void],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    symbols: Sequence[str],
    news: BarNews | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """As `StrategyRun.step`; where that fails, `stopped` with the first bar at which it does."""
    kept = run.keep(slots)
    try:
        return run.step(bars, slots, offsets, news)
    except Exception as found:
        run.put_back(kept)
        error = found
    begin, end = 0, len(bars)
    while end - begin > 1:
        middle = (begin + end) // 2
        half = np.arange(begin, middle)
        kept = run.keep(slots[half])
        try:
            run.step(bars[half], slots[half], offsets[half], news and news.at(half))
            begin = middle
        except Exception as found:
            run.put_back(kept)
            error, end = found, middle
    raise stopped(Failure(run.strategy.name, int(offsets[begin]), _bar(bars, slots, symbols, begin), error))


def _bar(bars: NDArray[np.void], slots: NDArray[np.int64], symbols: Sequence[str], row: int) -> str:
    return f"{symbols[int(slots[row])]} at time {int(bars['time'][row])}"
