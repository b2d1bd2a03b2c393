"""`lexicon`: VADER, a list of words with their weights and rules for negation, emphasis and emoji."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plugins.scorers import Sentiment
from schemas.configuration import News
from schemas.errors import ConfigurationError

VERSION = "1"
CHARACTERS = 4_000
"""Of a text that are read: VADER's time grows with the square of the length, and it is made for a few sentences."""
FILES = ("vader_lexicon.txt", "emoji_utf8_lexicon.txt")


class Lexicon:
    """Shares of a text's weight that its positive, negative and neutral words have.

    Notes
    -----
    VADER's ``pos``, ``neg`` and ``neu``: sums of the words' valences after its rules, a neutral word counting 1, over
    the sum of the three; each is rounded to three decimals by VADER, so they are divided by their sum again. A text
    without a word is neutral: 0, 0, 1. It knows English only.

    References
    ----------
    C. J. Hutto, E. Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text,
    ICWSM 2014. Its code and words (vaderSentiment, MIT) are installed with it; nothing is fetched.
    """

    def __init__(self, analyzer: Any, stamp: str) -> None:
        self._analyzer = analyzer
        self.stamp = stamp

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Sentiment:
        scores = self._analyzer.polarity_scores(text[:CHARACTERS])
        positive, negative, neutral = scores["pos"], scores["neg"], scores["neu"]
        total, truncated = positive + negative + neutral, len(text) > CHARACTERS
        if not total:
            return Sentiment(0.0, 0.0, 1.0, truncated)
        return Sentiment(positive / total, negative / total, neutral / total, truncated)


def open_scorer(settings: News) -> Lexicon:
    try:
        from vaderSentiment import vaderSentiment
    except ImportError:
        raise ConfigurationError(
            "news.scorer lexicon needs vaderSentiment, which is not installed; pip install 'alphawire[lexicon]'"
        ) from None
    words = hashlib.sha256()
    for name in FILES:
        words.update((Path(vaderSentiment.__file__).parent / name).read_bytes())
    stamp = f"lexicon/{VERSION} vaderSentiment {version('vaderSentiment')} sha256:{words.hexdigest()}"
    return Lexicon(vaderSentiment.SentimentIntensityAnalyzer(), stamp)
