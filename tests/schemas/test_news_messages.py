"""Articles and scores on the wire: what is valid, and what each mistake is called."""

import json
from typing import Any

import msgspec
import pytest

from schemas.errors import BadRecord
from schemas.wire import encode
from schemas.wire.news import MAX_ARTICLE_BYTES, Article, Mark, Score, Unknown, decode_article, decode_news

ARTICLE = Article("a-1", 1_380_893_400_000, ["BAC", "C"], "Banks gain")
SCORE = Score("a-1", "BAC", 1, 2, 0.7, 0.1, 0.2, 0.73, "lexicon/1 00", "ab" * 32, 0, 7)


def changed(value: Any, **changes: Any) -> bytes:
    return json.dumps(json.loads(encode(value)) | changes).encode()


@pytest.mark.parametrize(
    "article",
    [
        ARTICLE,
        Article("a", 0),
        Article(
            "a", 0, ["BRK.B"], "\u202e\0\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "<b>&amp;"
        ),
        Article("a", 0, ["X"], body="x" * (1 << 20)),
    ],
)
def test_a_valid_article(article: Article) -> None:
    assert decode_article(encode(article)) == article


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (None, "tombstone", "cannot be deleted"),
        (b"", "undecodable", "truncated"),
        (b"\xff\xfe", "undecodable", ""),
        (b'{"id": ' + b"[" * 100_000, "invalid", "id"),
        (b"x" * (MAX_ARTICLE_BYTES + 1), "too_large", "an article has at most"),
        (changed(ARTICLE, id=""), "invalid", "id"),
        (changed(ARTICLE, id="x" * 201), "invalid", "id"),
        (changed(ARTICLE, published_at=-1), "invalid", "published_at"),
        (changed(ARTICLE, published_at="2013-10-04"), "invalid", "published_at"),
        (changed(ARTICLE, symbols=["BAC", "BAC"]), "invalid", "twice"),
        (changed(ARTICLE, symbols=["B C"]), "invalid", "not a symbol"),
        (changed(ARTICLE, symbols=[str(i) for i in range(1001)]), "invalid", "1000"),
        (changed(ARTICLE, symbols="BAC"), "invalid", "array"),
        (changed(ARTICLE, sentiment=1), "invalid", "sentiment"),
        (changed(ARTICLE, language="x" * 36), "invalid", "language"),
    ],
)
def test_what_is_no_article_says_why(value: bytes | None, kind: str, reason: str) -> None:
    with pytest.raises(BadRecord) as told:
        decode_article(value)
    assert (told.value.kind, reason in told.value.reason) == (kind, True), told.value.reason


@pytest.mark.parametrize("record", [SCORE, Mark(1, 2, 5, 7), Unknown(3, 4, 5)])
def test_a_valid_record_of_the_scores(record: Score | Mark | Unknown) -> None:
    assert decode_news(encode(record)) == record


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "truncated"),
        (encode(ARTICLE), "kind"),
        (changed(SCORE, kind="bar"), "bar"),
        (changed(SCORE, positive=0.8), "sum to 1.1"),
        (changed(SCORE, neutral=None), "neutral"),
        (changed(SCORE, positive=-0.1, neutral=1.0), "positive"),
        (changed(SCORE, symbol=" "), "not a symbol"),
        (changed(Mark(0, 1, 5), news_partition=1), "no partition 1 of 1"),
        (changed(Unknown(0, 4, 5), until=4), "no bar lies in [4, 4)"),
    ],
)
def test_what_is_no_record_of_the_scores_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(BadRecord) as told:
        decode_news(value)
    assert reason in told.value.reason


def test_an_older_reader_takes_a_score_with_more_fields_than_it_knows() -> None:
    assert decode_news(changed(SCORE, novelty=0.5)) == SCORE


def test_flags_and_the_rest_have_defaults() -> None:
    assert msgspec.json.decode(b'{"id": "a", "published_at": 0}', type=Article) == Article("a", 0)
