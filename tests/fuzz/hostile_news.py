"""What a scorer and a reader of scores make of any bytes."""

from typing import Any

import numpy as np

from plugins.scorers.lexicon import open_scorer
from schemas.configuration import News
from schemas.errors import BadRecord
from schemas.wire import encode, is_symbol
from schemas.wire.news import Article, Mark, Score, Unknown, decode_news
from streams.publishing.writer import dead_record
from streams.scorer.scoring import Scoring
from tests.support.memory import Fetched

KINDS = {"undecodable", "tombstone", "invalid", "wrong_key", "too_large"}
ARTICLES = [
    encode(Article("a-1", 1_380_893_400_000, ["BAC", "é😀"], "<b>Banks</b> &amp; more", "gain.", "wire", "u", "en")),
    encode(Article("a", 0, body="&#x41;<!-- -->\u202e株価", historical=True)),
]
SCORES = [
    encode(Score("a-1", "BAC", 1, 2, 0.7, 0.1, 0.2, 0.73, "lexicon/1 00", "ab" * 32, 0, 7, True, ["truncated"])),
    encode(Mark(1, 2, 1_380_873_960_000, 12)),
    encode(Unknown(3, 100, 107)),
]
_scoring = Scoring(open_scorer(News()))


def check_article(data: bytes) -> None:
    """Each record becomes scores, or a dead letter, or is counted as an article of no symbol."""
    records = [Fetched(0, data, None), Fetched(1, data, data[:50]), Fetched(2, ARTICLES[0], data)]
    done = 0
    while done < len(records):
        batch, count = _scoring.score(records[done:])
        done += count
        assert batch.counts["articles"] + len(batch.dead) == count
        assert bool(batch.scores) or batch.counts["no_symbol"] + len(batch.dead) == count
        for score in batch.scores:
            assert is_symbol(score.symbol)
            assert decode_news(encode(score)) == score
        for dead in batch.dead:
            assert dead.kind in KINDS
            assert dead_record("dead-letters", dead).value == dead.record.value


def check_score(data: bytes) -> None:
    try:
        found = decode_news(data)
    except BadRecord as bad:
        if bad.kind in KINDS:
            return
        raise
    assert decode_news(encode(found)) == found
    if isinstance(found, Score):
        assert np.isclose(found.positive + found.negative + found.neutral, 1.0, atol=1e-5)


NEWS_TARGETS: dict[str, tuple[Any, list[bytes], int]] = {
    "articles": (check_article, ARTICLES, 15),
    "news scores": (check_score, SCORES, 1),
}
