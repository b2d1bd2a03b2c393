"""From records on the topic `news` to scores; when they count is said later, when they are written."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugins.scorers import Scorer, Sentiment
from plugins.side_inputs.news import uncertainty
from plugins.side_inputs.news.article_text import language_of, text_of, text_sha256
from schemas.errors import BadRecord
from schemas.wire.news import Article, Score, decode_article
from streams.consuming.decoding.decoders import ArticleDecoder
from streams.consuming.intake import DeadLetter

REMEMBERED = 20_000
"""Texts whose scores are kept: copies and repeats of an article cost no second forward."""
PIECE_SECONDS = 0.2
"""After that long a piece ends, so that what is scored is written."""


@dataclass
class ScoredBatch:
    """What some records came to: everything before the offset `next` is dealt with."""

    next: int
    scores: list[Score] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Scoring:
    """Scores articles, each distinct text once while it is remembered. `decoder`: how records of a declared source are
    read (None: they are alphawire's own).
    """

    def __init__(
        self, scorer: Scorer, clock: Callable[[], float] = time.monotonic, decoder: ArticleDecoder | None = None
    ) -> None:
        self.scorer = scorer
        self._decoder = decoder
        self._clock = clock
        self._known: OrderedDict[str, Sentiment] = OrderedDict()

    async def prepare(self, records: Sequence[Any]) -> None:
        """Waits until all is known that `score` needs for these records: the schemas of some."""
        if self._decoder is not None:
            await self._decoder.prepare(record.value for record in records)

    def score(self, records: Sequence[Any]) -> tuple[ScoredBatch, int]:
        """The first records, until `PIECE_SECONDS` have passed, and how many they are; at least one."""
        began = self._clock()
        batch, done = ScoredBatch(records[0].offset), 0
        for record in records:
            self._take(batch, record)
            done += 1
            batch.next = record.offset + 1
            if self._clock() - began >= PIECE_SECONDS:
                break
        return batch, done

    def _take(self, batch: ScoredBatch, record: Any) -> None:
        try:
            article = self._decoder.article(record.value) if self._decoder else decode_article(record.value)
            if article is None:
                batch.counts["not_chosen"] += 1
                return
            any_key = record.key is None or (self._decoder is not None and self._decoder.any_key)
            if not any_key and record.key != article.id.encode():
                raise BadRecord("wrong_key", f"the key {record.key[:80]!r} is not the id {article.id[:80]!r}")
            text = text_of(article)
            if not text:
                raise BadRecord("invalid", "no text is left: headline and body are empty, or nothing but markup")
        except BadRecord as bad:
            batch.dead.append(DeadLetter(record, bad.kind, bad.reason))
            batch.counts["dead_letters"] += 1
            return
        batch.counts["articles"] += 1
        if not article.symbols:
            batch.counts["no_symbol"] += 1
            return
        scores = self._scores(article, text, record, batch.counts)
        batch.scores += scores
        batch.counts["scores"] += len(scores)

    def _scores(self, article: Article, text: str, record: Any, counts: Counter[str]) -> list[Score]:
        digest = text_sha256(text)
        sentiment = self._sentiment(digest, text, counts)
        shares = sentiment.positive, sentiment.negative, sentiment.neutral
        doubt = float(uncertainty(*(np.array([share]) for share in shares))[0])
        flags = ["truncated"] if sentiment.truncated else []
        if language_of(article, text) not in ("en", None):
            flags.append("other_language")
        counts.update(flags)
        return [
            Score(
                article.id, symbol, article.published_at, 0, *shares, doubt, self.scorer.stamp, digest,
                record.partition, record.offset, article.historical, flags,
            )
            for symbol in article.symbols
        ]  # fmt: skip

    def _sentiment(self, digest: str, text: str, counts: Counter[str]) -> Sentiment:
        sentiment = self._known.get(digest)
        if sentiment is None:
            sentiment = self._known[digest] = self.scorer.score([text])[0]
            counts["texts"] += 1
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        return sentiment
