"""Scored articles and the bars that they count for: the one join, by event time.

A fold over news sees a bar's articles as the five numbers of `NEWS_COLUMNS`, which are columns that it `requires` and
that the pipeline itself gives. Whatever drives it (a frame here, a topic live) makes those numbers by the same rule:

- An article counts for the bar whose (previous close of the symbol, this close] contains its `available_at`; for a
  symbol's first bar that is its own interval.
- The first score of an (article, symbol) in log order is the one that counts.
- Scores are summed in the order of (available_at, id), so that the bits do not depend on how they came in.
- Where the scorer is not known to have been up, all five are NaN: unknown, never "no news".
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.bars import times_of
from plugins.base import FloatArray
from plugins.streaming import slots_of
from schemas.errors import PluginError

NEWS_COLUMNS = ("news_articles", "news_positive", "news_negative", "news_neutral", "news_uncertainty")
"""Of one bar: the number of its articles, and the sums of their scores."""
SCORES = ("positive", "negative", "neutral", "uncertainty")
NEEDED = ("id", "symbol", "available_at", "positive", "negative", "neutral")


def uncertainty(positive: FloatArray, negative: FloatArray, neutral: FloatArray) -> FloatArray:
    """Entropy of an article's three scores over log 3: 0 when one of them is 1, 1 when all are equal."""
    scores = np.stack([positive, negative, neutral])
    logs = np.log(np.where(scores > 0.0, scores, 1.0))  # p log p goes to 0 with p
    return np.asarray(-(scores * logs).sum(axis=0) / np.log(3.0) + 0.0, np.float64)


def with_news(
    bars: pd.DataFrame, articles: pd.DataFrame, interval_ms: int, known: "NDArray[np.bool_] | None" = None
) -> pd.DataFrame:
    """`bars` with `NEWS_COLUMNS`, ready for the news features' `compute`.

    Parameters
    ----------
    bars
        Indexed by (symbol, time of the close); the times of a symbol ascend.
    articles
        Scores in log order: id, symbol, available_at (ms since the epoch, UTC), positive, negative, neutral, and
        uncertainty (worked out where it is missing).
    interval_ms
        Length of a bar.
    known
        For each bar, whether the scorer is known to have been up; None: it was, throughout.

    Raises
    ------
    PluginError
        That says what is wrong with the bars or the articles.
    """
    slots, times = _symbols_and_times(bars)
    scored = _counted(articles)
    rows = _bars_of(scored, bars, slots, times, interval_ms)
    sums = np.zeros((len(bars), len(NEWS_COLUMNS)))
    taken = rows >= 0
    values = np.column_stack([np.ones(len(scored)), *(scored[name].to_numpy(np.float64) for name in SCORES)])
    np.add.at(sums, rows[taken], values[taken])  # one after the other, in the order of `scored`
    if known is not None:
        sums[~np.asarray(known, np.bool_)] = np.nan
    return bars.assign(**{name: sums[:, i] for i, name in enumerate(NEWS_COLUMNS)})


def _symbols_and_times(bars: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not isinstance(bars.index, pd.MultiIndex) or not isinstance(bars.index.levels[-1], pd.DatetimeIndex):
        raise PluginError("news: bars must be indexed by (symbol, time), the time a datetime of the bar's close")
    slots, _ = slots_of(bars.index)
    times = times_of(bars.index)
    order = np.argsort(slots, kind="stable")
    if ((np.diff(times[order]) <= 0) & (np.diff(slots[order]) == 0)).any():
        raise PluginError("news: the bars of a symbol do not ascend in time; sort them")
    return slots, times


def _counted(articles: pd.DataFrame) -> pd.DataFrame:
    """Each (article, symbol) once, in the order of aggregation."""
    if missing := [name for name in NEEDED if name not in articles]:
        raise PluginError(f"news: the articles have no column {', '.join(missing)}; they need {', '.join(NEEDED)}")
    first = articles.drop_duplicates(["id", "symbol"], keep="first")
    if "uncertainty" not in first:
        scores = [first[name].to_numpy(np.float64) for name in SCORES[:3]]
        first = first.assign(uncertainty=uncertainty(*scores))
    return first.sort_values(["available_at", "id"], kind="stable")


def _bars_of(
    scored: pd.DataFrame, bars: pd.DataFrame, slots: NDArray[np.int64], times: NDArray[np.int64], interval_ms: int
) -> NDArray[np.int64]:
    """Row of the bar that each article counts for, or -1."""
    level = bars.index.get_level_values("symbol" if "symbol" in bars.index.names else 0)
    available = scored["available_at"].to_numpy(np.int64)
    rows = np.full(len(scored), -1, np.int64)
    for symbol, articles in scored.reset_index(drop=True).groupby("symbol").groups.items():
        places = np.flatnonzero(level == symbol)
        if not len(places):
            continue
        numbers = np.asarray(articles, np.int64)
        closes = times[places]
        bar = np.searchsorted(closes, available[numbers], side="left")
        counts = (bar < len(closes)) & (available[numbers] > closes[0] - interval_ms)
        rows[numbers[counts]] = places[bar[counts]]
    return rows
