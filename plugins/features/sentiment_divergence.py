"""`news.sentiment_divergence`."""

import math
from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.rolling import score


@feature_registry.register("news.sentiment_divergence")
class SentimentDivergence(FoldFeature):
    """How far the sentiment of a bar's news is from what it was: positive less negative score, normalised.

    Parameters
    ----------
    normalise
        False: the difference as it is, in -1 … 1.
    window
        n, the bars to normalise over, this one included.

    Notes
    -----
    Normalised: ``(x - mean) / std`` of ``x = positive_score - negative_score`` over those of the last n bars that have
    a score, `std` the sample standard deviation (ddof 1). NaN where the bar has no score, where fewer than two bars
    have one, and where all are equal. The first value comes with bar 2, not normalised with bar 1. It requires the
    columns of `news.finbert_sentiment`.

    References
    ----------
    ``pandas.Series.rolling(n, min_periods=2)``, `mean` and `std`.

    Examples
    --------
    >>> import pandas as pd
    >>> data = pd.DataFrame({"positive_score": [0.5, 0.25, 0.75], "negative_score": [0.25, 0.25, 0.25]})
    >>> SentimentDivergence(window=3).compute(data)["sentiment_divergence"].round(6).tolist()
    [nan, -0.707107, 1.0]
    """

    class Params(FeatureParams):
        normalise: bool = True
        window: int = Field(20, ge=2)

    outputs = ("sentiment_divergence",)
    requires = ("positive_score", "negative_score")
    reads = ()

    @property
    def warmup(self) -> int:
        return 1 if self.params["normalise"] else 0

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        return [("count", "i8"), ("ring", "f8", (self.params["window"],))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        sentiment = bar.positive_score - bar.negative_score
        known = sentiment == sentiment
        state.ring[state.count % n] = sentiment if known else math.nan
        state.count += 1
        if known and params.normalise:
            first = state.count % n if state.count >= n else 0
            out.sentiment_divergence = score(state.ring, first, min(state.count, n), sentiment)
        elif known:
            out.sentiment_divergence = sentiment
