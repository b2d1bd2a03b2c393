"""Scores for a replay or a training: of a file, or of the topic ``news.scores``."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.fold import gate
from plugins.scorers import open_scorer
from plugins.side_inputs.news import NEEDED, SCORES, joined
from plugins.side_inputs.news.article_text import text_of, text_sha256
from plugins.side_inputs.news.join import FOR_EVER, BarNews, IntArray, Joining, NewsJoin
from schemas.configuration import News
from schemas.errors import BadRecord, ConfigurationError, PluginError
from streams.consuming.side_inputs import joins
from streams.ingest.article_files import read_articles
from streams.ingest.article_symbols import plain, symbols_in
from streams.ingest.bar_files import EXAMPLES, Refused, load, refused
from streams.ingest.row_places import row_places
from streams.ingest.times import check_dates, dates_note, published_in
from streams.kafka.log import Log

NewsOf = Callable[[pd.DataFrame], NewsJoin]
"""The news of a frame of bars, whose row numbers serve as offsets."""
TEXTS = ("symbol", "id", "article", "available_at", "published_at")
"""Columns of a CSV file that stay as they are written."""


def scored_articles(path: str | Path, news: News) -> pd.DataFrame:
    """Articles of a file (see `streams.ingest.article_files.read_articles`) through the configured scorer: each counts
    from its publication plus ``news.delay``. What was left out: ``streams.ingest.bar_files.refused(frame)``.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, and a scorer that is not there.
    """
    scorer = open_scorer(news)
    scores: dict[str, Any] = {}
    rows = []
    articles, left_out = read_articles(path, historical=True, news=news)
    for article in articles:
        text = text_of(article)
        if not text or not article.symbols:
            why = "about no symbol" if text else "without a text"
            left_out.add(why, f"{Path(path).name}, article {article.id}: {why}")
            continue
        digest = text_sha256(text)
        if digest not in scores:
            scores[digest] = scorer.score([text])[0]
        time = article.published_at + round(1000 * news.delay)
        rows += [(article.id, symbol, time, *scores[digest][:3], digest, True) for symbol in article.symbols]
    frame = pd.DataFrame(rows, columns=[*NEEDED, "text_sha256", "historical"])
    frame.attrs["refused"] = asdict(left_out)
    return frame


def file_scores(path: str | Path, news: News) -> pd.DataFrame:
    """Scores of a CSV, Parquet or JSON lines file, in its order, as `plugins.side_inputs.news.joined` has them.

    Columns: ``id`` (or ``article``), ``symbol``, ``positive``, ``negative``, ``neutral``, and ``available_at``, or else
    ``published_at``: then a score counts from there plus ``news.delay``, and is flagged historical. Times and symbols
    are read as those of articles (`streams.ingest.article_files.read_articles`). ``uncertainty``, ``text_sha256`` and
    ``scorer`` may be there; scores of another scorer than ``news.scorer`` are left out
    (``streams.ingest.bar_files.refused(frame)``). A file without scores is one of articles.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, lacks a column, or holds what is no score or no time.
    """
    path = Path(path)
    frame = load(path, TEXTS).rename(columns={"article": "id"})
    if "positive" not in frame:
        return scored_articles(path, news)
    left_out = Refused()
    if "kind" in frame:
        frame = frame[frame["kind"] == "score"]
    if "available_at" not in frame and "published_at" in frame:
        published, dates = _times(path, frame, "published_at", news)
        frame = frame.assign(available_at=published + round(1000 * news.delay), historical=True, is_date=dates)
    elif "available_at" in frame:
        times, dates = _times(path, frame, "available_at", news)
        frame = frame.assign(available_at=times, is_date=dates)
    if missing := [name for name in NEEDED if name not in frame]:
        raise ConfigurationError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(map(str, frame))}")
    values = frame[list(SCORES[:3])].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 1)).all(axis=1) | (abs(values.sum(axis=1) - 1.0) > 1e-6)
    if wrong.any():
        raise ConfigurationError(
            f"{path.parent / row_places(path, [int(frame.index[wrong.argmax()])])[0]} is no score: positive, negative"
            " and neutral lie in 0 … 1, and sum to 1"
        )
    if "scorer" in frame:
        names = frame["scorer"].astype(str).str.partition("/")[0]
        others = names[names != news.scorer]
        places = row_places(path, others.index[:EXAMPLES].tolist())
        for place, name in zip_longest(places, others):
            left_out.add(f"of another scorer than {news.scorer}", f"{place}: of {name}")
        frame = frame[names == news.scorer]
    left_out.read_as |= dates_note(int(frame.pop("is_date").sum()), news.timezone)
    frame = _by_symbol(path, frame, news)
    frame.attrs["refused"] = asdict(left_out)
    return frame


def file_news(path: str | Path, news: News, rule: Joining, left_out: Refused | None = None) -> NewsJoin:
    """All scores of a file: what is not there was not published, so no bar is unknown. `left_out` collects what of the
    file was not used.
    """
    scores = file_scores(path, news)
    if left_out is not None:
        left_out.take(refused(scores))
    try:
        return joined(scores, rule)
    except PluginError as error:
        raise ConfigurationError(f"{path}: {error}") from None


async def topic_news(log: Log, rule: Joining) -> NewsOf:
    """The news of bars that `backtest.sources.bars.topic_bars` gives."""
    partitions = range(await log.partition_count())
    by_partition = [(await joins(log, partition, [rule]))[rule] for partition in partitions]
    return lambda bars: _OfPartitions(by_partition, bars)


def news_sha256(news: NewsJoin, bars: pd.DataFrame, interval_ms: int) -> str:
    """SHA-256 of what each bar is given of the news: equal where it makes no difference for these bars."""
    slots, symbols = pd.factorize(bars["symbol"])
    closes = bars["close_time"].to_numpy(np.int64)
    begins = gate.begins(np.full(len(symbols), gate.NEVER, np.int64), slots.astype(np.int64), closes, interval_ms)
    given = news.of_bars(bars["symbol"].tolist(), begins, closes, np.arange(len(bars), dtype=np.int64))
    return hashlib.sha256(b"".join(values.tobytes() for values in given.columns.values())).hexdigest()


class _OfPartitions(NewsJoin):
    """The joins of several partitions, for a frame that tells `partition` and `offset` of each bar."""

    def __init__(self, joins: Sequence[NewsJoin], bars: pd.DataFrame) -> None:
        super().__init__(Joining(), low=FOR_EVER)
        self._joins = joins
        self._partitions = bars["partition"].to_numpy(np.int64)
        self._offsets = bars["offset"].to_numpy(np.int64)

    def of_bars(self, symbols: Sequence[str], begins: IntArray, closes: IntArray, offsets: IntArray) -> BarNews:
        partitions = self._partitions[offsets]
        whole = super().of_bars(symbols, begins, closes, offsets)
        for number, join in enumerate(self._joins):
            rows = np.flatnonzero(partitions == number)
            names = [symbols[row] for row in rows.tolist()]
            part = join.of_bars(names, begins[rows], closes[rows], self._offsets[offsets[rows]])
            for name, values in part.columns.items():
                whole.columns[name][rows] = values
            whole.offsets[rows], whole.historical[rows] = part.offsets, part.historical
        return whole


def _by_symbol(path: Path, frame: pd.DataFrame, news: News) -> pd.DataFrame:
    """One row a symbol, by the names that bars have."""
    named = plain if news.symbols == "plain" else str
    try:
        symbols = [[named(symbol) for symbol in symbols_in(value)] for value in frame["symbol"].tolist()]
    except BadRecord as bad:
        raise ConfigurationError(f"{path}: of a score, {bad.reason}") from None
    return (
        frame.assign(symbol=pd.Series(symbols, frame.index))
        .explode("symbol")
        .dropna(subset="symbol")
        .reset_index(drop=True)
    )


def _times(path: Path, frame: pd.DataFrame, name: str, news: News) -> tuple[IntArray, NDArray[np.bool_]]:
    """In ms, and which rows have a date alone."""
    exact = name == "available_at"
    times, unknown, dates = published_in(path, frame, name, news.timezone, exact=exact)
    if unknown.any():
        raise ConfigurationError(f"{path}: {name} holds {frame[name][unknown].iloc[0]!r}, which is no time")
    check_dates(path, name, frame, unknown, dates, news.dates)
    return times, dates
