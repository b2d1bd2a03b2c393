"""`news.finbert_sentiment`."""

from typing import Any

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.side_inputs.news.join import NEWS_COLUMNS


@feature_registry.register("news.finbert_sentiment")
class FinbertSentiment(FoldFeature):
    """Mean scores of a bar's news by FinBERT, each in 0 … 1, and the number of its articles.

    Notes
    -----
    ``positive_score``, ``negative_score``, ``neutral_score``: means over the articles that became available after the
    symbol's previous close, up to this one. ``uncertainty_score``: mean of each article's entropy of the three over
    log 3. ``article_volume``: their number.

    The first value is that of the first bar. Without an article the scores are NaN and the volume is 0; where the
    scorer is not known to be up, all is NaN, the volume too. Scores may be as FinBERT gives them, or any other
    scorer's; `plugins.news.with_news` puts them beside a frame's bars.

    References
    ----------
    D. Araci, FinBERT: Financial Sentiment Analysis with Pre-trained Language Models, 2019.

    Examples
    --------
    >>> import pandas as pd
    >>> from plugins.side_inputs.news import with_news
    >>> times = pd.to_datetime([60_000, 120_000], unit="ms", utc=True)
    >>> bars = pd.DataFrame(index=pd.MultiIndex.from_product([["A"], times], names=["symbol", "time"]))
    >>> articles = pd.DataFrame(
    ...     [("x", "A", 30_000, 0.7, 0.1, 0.2), ("y", "A", 60_000, 0.1, 0.1, 0.8)],
    ...     columns=["id", "symbol", "available_at", "positive", "negative", "neutral"],
    ... )
    >>> FinbertSentiment().compute(with_news(bars, articles, 60_000)).round(3).values.tolist()
    [[0.4, 0.1, 0.5, 0.656, 2.0], [nan, nan, nan, nan, 0.0]]
    """

    Params = FeatureParams
    outputs = ("positive_score", "negative_score", "neutral_score", "uncertainty_score", "article_volume")
    requires = NEWS_COLUMNS
    reads = ()
    warmup = 0

    def state(self) -> list[tuple[str, str]]:
        return [("articles", "i8")]  # so far: a state must have something

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        count = bar.news_articles
        out.article_volume = count
        if count > 0.0:
            state.articles += int(count)
            out.positive_score = bar.news_positive / count
            out.negative_score = bar.news_negative / count
            out.neutral_score = bar.news_neutral / count
            out.uncertainty_score = bar.news_uncertainty / count
