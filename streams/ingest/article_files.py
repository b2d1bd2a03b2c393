"""Articles from CSV and Parquet files, and to the topic `news`: keyed by id, stamped with their publication."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from schemas.configuration import Kafka, News
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import encode
from schemas.wire.news import Article, decode_article
from streams.ingest.article_symbols import plain, symbols_in
from streams.ingest.bar_files import EXAMPLES, Refused, load
from streams.ingest.reading.places import pieces_of
from streams.ingest.row_places import row_places
from streams.ingest.sender import Line, Lines, Pace, Progress, open_sender, send_all
from streams.ingest.times import check_dates, dates_note, published_in
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import partition_count

COLUMNS = {
    "id": ("id", "article_id", "guid"),
    "published_at": ("published_at", "published", "timestamp", "datetime", "time", "date"),
    "symbols": ("symbols", "symbol", "tickers", "ticker"),
    "headline": ("headline", "title"),
    "body": ("body", "text", "content", "summary"),
    "source": ("source", "publisher"),
    "url": ("url", "link"),
    "language": ("language", "lang"),
}
"""Field of an article → names that its column may have, the first that is there."""
READ_AS = 8
"""Symbols that are shown where they were written otherwise."""
STEP = 200


@dataclass(frozen=True)
class ProducedNews:
    """What was acknowledged by the broker."""

    articles: int
    symbols: int
    first: int | None
    last: int | None
    seconds: float


def read_articles(
    paths: str | Path | Iterable[str | Path], historical: bool = False, news: News | None = None
) -> tuple[list[Article], Refused]:
    """Articles of files or folders of them, by publication and id, and the rows that are none.

    Columns (any case) as in `COLUMNS`; needed are an id, a time of publication and a headline or body. Times: a
    datetime or ISO 8601, by the clock of ``news.timezone`` unless it says otherwise, milliseconds since the epoch, or
    yyyymmddhhmm(ss). A date without a time counts from the end of its day there. Symbols: a list, its text, or a text
    with commas, semicolons, bars or spaces between; ``news.symbols`` says whether ``$`` and the exchange go. Rows of
    one id that differ in the symbol alone are one article of all of them; another row of that id is another version,
    sent after the first.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, lacks a column, or whose times cannot be understood.
    """
    news = news or News()
    reading = _Reading(news, historical, Refused())
    versions: dict[tuple[Any, ...], Article] = {}
    for path in (piece.path for piece in pieces_of(paths, "articles")):
        for row, values in enumerate(reading.rows(path)):
            try:
                article = reading.article(values)
            except BadRecord as bad:
                _refuse(reading.out, path, row, bad)
                continue
            known = versions.setdefault(_same(article), article)
            known.symbols += [symbol for symbol in article.symbols if symbol not in known.symbols]
    reading.note()
    return sorted(versions.values(), key=lambda article: (article.published_at, article.id)), reading.out


@dataclass
class _Reading:
    """How rows are read, and what was read otherwise than it is written."""

    news: News
    historical: bool
    out: Refused
    dates: int = 0
    renamed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def rows(self, path: Path) -> Iterable[dict[str, Any]]:
        raw = load(path)
        names = _columns(path, raw)
        times, unknown, dates = published_in(path, raw, names["published_at"], self.news.timezone)
        check_dates(path, names["published_at"], raw, unknown, dates, self.news.dates)
        columns = {name: raw[column].tolist() for name, column in names.items()}
        columns["published_at"] = [None if none else time for time, none in zip(times.tolist(), unknown, strict=True)]
        columns["is_date"] = dates.tolist()
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))

    def article(self, values: dict[str, Any]) -> Article:
        if values["published_at"] is None:
            raise BadRecord("without a time", "")
        texts = {name: _text(values.get(name)) for name in COLUMNS if name not in ("published_at", "symbols")}
        language = texts.pop("language") or None
        symbols = self._symbols(values.get("symbols"))
        article = Article(
            published_at=values["published_at"], symbols=symbols, language=language, historical=self.historical, **texts
        )
        if not article.headline and not article.body:
            raise BadRecord("without a text", "")
        article = decode_article(encode(article))
        self.dates += values["is_date"]
        return article

    def _symbols(self, value: Any) -> list[str]:
        written = symbols_in(value)
        if self.news.symbols == "as_written":
            return written
        self.renamed.update((symbol, plain(symbol)) for symbol in written if symbol != plain(symbol))
        return [*dict.fromkeys(map(plain, written))]

    def note(self) -> None:
        self.out.read_as |= dates_note(self.dates, self.news.timezone)
        for (written, name), _ in self.renamed.most_common(READ_AS):
            self.out.read_as[written] = name


def _columns(path: Path, raw: pd.DataFrame) -> dict[str, str]:
    """Field → its column, of those that are there."""
    names = {field: next((name for name in known if name in raw), None) for field, known in COLUMNS.items()}
    missing = [f"{field} ({', '.join(COLUMNS[field])})" for field in ("id", "published_at") if names[field] is None]
    if names["headline"] is None and names["body"] is None:
        missing.append(f"headline or body ({', '.join((*COLUMNS['headline'], *COLUMNS['body']))})")
    if missing:
        raise ConfigurationError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(raw.columns)}")
    return {field: name for field, name in names.items() if name is not None}


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def _same(article: Article) -> tuple[Any, ...]:
    """What makes one version of an article."""
    return tuple(getattr(article, name) for name in article.__struct_fields__ if name != "symbols")


def _refuse(out: Refused, path: Path, row: int, bad: BadRecord) -> None:
    reason = f"{bad.kind}: {bad.reason}" if bad.reason else bad.kind
    where = row_places(path, [row])[0] if len(out.examples) < EXAMPLES else path.name
    out.add(bad.kind if bad.kind.startswith("without") else "that are no articles", f"{where}: {reason}")


def select_articles(
    articles: list[Article], symbols: Iterable[str] | None = None, start: int | None = None, end: int | None = None
) -> list[Article]:
    """Those with one of `symbols`, published in [start, end), in ms."""
    wanted = None if symbols is None else set(symbols)
    return [
        article
        for article in articles
        if (wanted is None or wanted & set(article.symbols))
        and (start is None or article.published_at >= start)
        and (end is None or article.published_at < end)
    ]


async def produce_news(
    kafka: Kafka,
    articles: Sequence[Article],
    rate: float | None = None,
    speed: float | None = None,
    progress: Progress | None = None,
) -> ProducedNews:
    """Send `articles`, in their order, to the topic `news`; returns when the broker has all of them.

    `rate`, `speed` and `progress` as in `streams.ingest.produce.produce_bars`, by time of publication.

    Raises
    ------
    BrokerError
        When the broker does not answer, lacks the topic, or does not acknowledge within 30 s.
    ConfigurationError
        For both `rate` and `speed`, or one that is not positive.
    """
    times = np.array([article.published_at for article in articles], np.int64)
    pace = Pace(rate, speed)
    count = await partition_count(kafka, "news")
    kind = "murmur2" if kafka.partitioner == "as_is" else kafka.partitioner
    homes = np.array([partition_of(article.id.encode(), count, kind) for article in articles], np.int64)
    async with open_sender(kafka, "news", progress) as sender:
        part = Lines(lambda first, upto: _lines(articles[first:upto]), homes, times)
        seconds = await send_all(sender, [part], pace, STEP)
    symbols = {symbol for article in articles for symbol in article.symbols}
    first, last = (int(times.min()), int(times.max())) if len(times) else (None, None)
    return ProducedNews(len(articles), len(symbols), first, last, seconds)


def _lines(articles: Sequence[Article]) -> Iterable[Line]:
    return ((article.id.encode(), encode(article), article.published_at) for article in articles)
