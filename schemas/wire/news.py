"""News on the wire: articles, their scores, and how far each partition of news is scored.

Times are integers: milliseconds since the epoch, UTC.
"""

import math
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import Symbol, Time, is_symbol, not_a_symbol

MAX_ARTICLE_BYTES = 4 << 20
MAX_SYMBOLS = 1_000
FLAGS = ("truncated", "future", "other_language")
"""What may be said of a score: not all of its text was read; published later than now; another language than
English."""

ArticleId = Annotated[str, Meta(min_length=1, max_length=200)]
Language = Annotated[str, Meta(max_length=35)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Article(Struct, forbid_unknown_fields=True, gc=False):
    """Topic `news`, key its id: one article, or a new version of one. What it says is the headline and the body.

    `historical`: it is sent long after it was published, so that its scores count from `published_at` + `news.delay`
    and not from when they were made.
    """

    id: ArticleId
    published_at: Time
    symbols: Annotated[
        list[Symbol],
        Meta(
            max_length=MAX_SYMBOLS,
            description="none: it counts for nobody",
            extra_json_schema={"uniqueItems": True},
        ),
    ] = []
    headline: str = ""
    body: str = ""
    source: Annotated[str, Meta(max_length=1000)] = ""
    url: Annotated[str, Meta(max_length=8000)] = ""
    language: Annotated[Language | None, Meta(description="such as en; null: not known")] = None
    historical: bool = False


class Score(Struct, tag="score", tag_field="kind", gc=False):
    """Topic `news.scores`, key symbol, the partition of the symbol's bars: what a scorer made of an article.

    ``positive + negative + neutral = 1``. `uncertainty` is their entropy over log 3: 0 for one that is sure, 1 where
    all three are equal.
    """

    article: ArticleId
    symbol: Symbol
    published_at: Time
    available_at: Annotated[Time, Meta(description="a bar may know it when its close is not before this")]
    positive: Share
    negative: Share
    neutral: Share
    uncertainty: Share
    scorer: Annotated[str, Meta(description="name/version, and the SHA-256 of its weights or words")]
    text_sha256: Annotated[str, Meta(description="of the cleaned text: equal for copies of an article")]
    news_partition: Count
    news_offset: Count
    historical: bool = False
    flags: Annotated[list[str], Meta(description=f"of {', '.join(FLAGS)}")] = []


class Mark(Struct, tag="mark", tag_field="kind", gc=False):
    """Topic `news.scores`, key ``:mark/NEWS_PARTITION``, on every partition: each score of that partition of `news`
    with `available_at` ≤ `up_to` is on the log before this mark; any later one, if not historical, has a greater
    `available_at`.
    """

    news_partition: Count
    news_partitions: Annotated[int, Meta(ge=1, description="how many partitions `news` has")]
    up_to: Time
    next: Annotated[int, Meta(ge=0, description="offset on `news`: every article before it is dealt with")] = 0


class Unknown(Struct, tag="unknown", tag_field="kind", gc=False):
    """Topic `news.scores`, key ``:unknown``: the bars of its partition with offsets in [first, until) were decided
    without news.
    """

    partition: Count
    first: Count
    until: Count


NewsRecord = Score | Mark | Unknown
_article_decoder = msgspec.json.Decoder(Article)
_record_decoder: msgspec.json.Decoder[NewsRecord] = msgspec.json.Decoder(NewsRecord)


def decode_article(value: bytes | None) -> Article:
    """A valid article, or `BadRecord` that says why not."""
    if value is None:
        raise BadRecord("tombstone", "an article cannot be deleted: the record has no value")
    if len(value) > MAX_ARTICLE_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; an article has at most {MAX_ARTICLE_BYTES}")
    article: Article = decode(_article_decoder, value)
    for symbol in article.symbols:
        _check_symbol(symbol)
    if len(set(article.symbols)) != len(article.symbols):
        raise BadRecord("invalid", "`symbols` names one twice")
    return article


def decode_news(value: bytes | None) -> NewsRecord:
    """A valid record of `news.scores`, or `BadRecord` that says why not."""
    record: NewsRecord = decode(_record_decoder, value)
    if isinstance(record, Score):
        _check_symbol(record.symbol)
        total = record.positive + record.negative + record.neutral
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise BadRecord("invalid", f"positive, negative and neutral sum to {total}, not to 1")
    if isinstance(record, Unknown) and record.first >= record.until:
        raise BadRecord("invalid", f"no bar lies in [{record.first}, {record.until})")
    if isinstance(record, Mark) and record.news_partition >= record.news_partitions:
        raise BadRecord("invalid", f"news has no partition {record.news_partition} of {record.news_partitions}")
    return record


def _check_symbol(symbol: str) -> None:
    if not is_symbol(symbol):
        raise BadRecord("invalid", not_a_symbol(symbol))
