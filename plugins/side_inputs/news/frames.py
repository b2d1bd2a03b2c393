"""Scored articles beside the bars of a frame, by the join that runs live (`plugins.side_inputs.news.join`).

A fold over news sees a bar's articles as the five numbers of `NEWS_COLUMNS`, which are columns that it `requires` and
that the pipeline itself gives. Whatever drives it (a frame here, a topic live) makes those numbers by the same rule:

- An article counts for the bar whose (previous close of the symbol, this close] contains its `available_at`; for a
  symbol's first bar that is its own interval.
- The first score of an (article, symbol) in log order is the one that counts; of copies of a text the one that is
  available first, unless `syndicated` says otherwise.
- Scores are summed in the order of (available_at, id), so that the bits do not depend on how they came in.
- Where the scorer is not known to have been up, all five are NaN: unknown, never "no news".
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.bars import times_of
from plugins.base.streaming import slots_of
from plugins.side_inputs.news.join import FOR_EVER, NEWS_COLUMNS, Counted, Entry, Joining, NewsJoin
from schemas.errors import PluginError

__all__ = ["NEWS_COLUMNS", "SCORES", "joined", "uncertainty", "with_news"]

SCORES = ("positive", "negative", "neutral", "uncertainty")
NEEDED = ("id", "symbol", "available_at", "positive", "negative", "neutral")
ALL = Joining(memory_ms=FOR_EVER)


def uncertainty(positive: FloatArray, negative: FloatArray, neutral: FloatArray) -> FloatArray:
    """Entropy of an article's three scores over log 3: 0 when one of them is 1, 1 when all are equal."""
    scores = np.stack([positive, negative, neutral])
    logs = np.log(np.where(scores > 0.0, scores, 1.0))  # p log p goes to 0 with p
    return np.asarray(np.minimum(-(scores * logs).sum(axis=0) / np.log(3.0) + 0.0, 1.0), np.float64)


def with_news(
    bars: pd.DataFrame,
    articles: pd.DataFrame,
    interval_ms: int,
    known: "NDArray[np.bool_] | None" = None,
    rule: Joining = ALL,
) -> pd.DataFrame:
    """`bars` with `NEWS_COLUMNS`, ready for the news features' `compute`.

    Parameters
    ----------
    bars
        Indexed by (symbol, time of the close); the times of a symbol ascend.
    articles
        Scores in log order: id, symbol, available_at (ms since the epoch, UTC), positive, negative, neutral, and
        uncertainty (worked out where it is missing); `text_sha256`, where there is one, tells copies of a text.
    interval_ms
        Length of a bar.
    known
        For each bar, whether the scorer is known to have been up; None: it was, throughout.
    rule
        Which scores count; by default all, whoever made them, and the first of copies.

    Raises
    ------
    PluginError
        That says what is wrong with the bars or the articles.
    """
    from plugins.fold import gate  # compiled, so only where it is needed

    slots, times = _symbols_and_times(bars)
    level = bars.index.get_level_values("symbol" if "symbol" in bars.index.names else 0)
    begins = gate.begins(np.full(len(slots) + 1, gate.NEVER, np.int64), slots, times, interval_ms)
    news = joined(articles, rule).of_bars(level.tolist(), begins, times, np.arange(len(bars), dtype=np.int64))
    if known is not None:
        for values in news.columns.values():
            values[~np.asarray(known, np.bool_)] = np.nan
    return bars.assign(**news.columns)


def joined(articles: pd.DataFrame, rule: Joining) -> NewsJoin:
    """All scores of a frame in a join of their own; the row numbers serve as offsets. `articles` as `with_news` has it,
    and `scorer` and `historical`, where there are such columns.
    """
    if missing := [name for name in NEEDED if name not in articles]:
        raise PluginError(f"news: the articles have no column {', '.join(missing)}; they need {', '.join(NEEDED)}")
    scores = [articles[name].to_numpy(np.float64) for name in SCORES[:3]]
    last = articles["uncertainty"].to_numpy(np.float64) if "uncertainty" in articles else uncertainty(*scores)
    count = len(articles)
    texts = articles["text_sha256"].tolist() if "text_sha256" in articles else [None] * count
    historical = articles["historical"].tolist() if "historical" in articles else [False] * count
    join = NewsJoin(rule, low=FOR_EVER)
    rows = zip(
        articles["symbol"].tolist(), articles["available_at"].tolist(), articles["id"].tolist(), texts, historical,
        *(column.tolist() for column in (*scores, last)), strict=True,
    )  # fmt: skip
    for offset, (symbol, time, name, text, past, *values) in enumerate(rows):
        positive, negative, neutral, unsure = values
        score = Counted(int(time), str(name), positive, negative, neutral, unsure, offset, bool(past))
        join.add(Entry(symbol, score, text if isinstance(text, str) else None))
    return join


def _symbols_and_times(bars: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not isinstance(bars.index, pd.MultiIndex) or not isinstance(bars.index.levels[-1], pd.DatetimeIndex):
        raise PluginError("news: bars must be indexed by (symbol, time), the time a datetime of the bar's close")
    slots, _ = slots_of(bars.index)
    times = times_of(bars.index)
    order = np.argsort(slots, kind="stable")
    if ((np.diff(times[order]) <= 0) & (np.diff(slots[order]) == 0)).any():
        raise PluginError("news: the bars of a symbol do not ascend in time; sort them")
    return slots, times
