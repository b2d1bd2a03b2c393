"""`news.sentiment_momentum`."""

import math
from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.rolling import moments


@feature_registry.register("news.sentiment_momentum")
class SentimentMomentum(FoldFeature):
    """Mean sentiment of the news of the last n bars: positive less negative score, in -1 … 1.

    Parameters
    ----------
    window
        n, the bars to look back, this one included.

    Notes
    -----
    The mean of ``positive_score - negative_score`` over those of the last n bars that have a score; NaN when none has.
    The first value is that of the first bar. It requires the columns of `news.finbert_sentiment`.

    References
    ----------
    ``pandas.Series.rolling(n, min_periods=1).mean()``.

    Examples
    --------
    >>> import pandas as pd
    >>> nan = float("nan")
    >>> data = pd.DataFrame({"positive_score": [0.5, nan, 0.25, nan], "negative_score": [0.0, nan, 0.5, nan]})
    >>> SentimentMomentum(window=3).compute(data)["sentiment_momentum"].tolist()
    [0.5, 0.5, 0.125, -0.25]
    """

    class Params(FeatureParams):
        window: int = Field(5, ge=1)

    outputs = ("sentiment_momentum",)
    requires = ("positive_score", "negative_score")
    reads = ()
    warmup = 0

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        return [("count", "i8"), ("ring", "f8", (self.params["window"],))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        sentiment = bar.positive_score - bar.negative_score
        state.ring[state.count % n] = sentiment if sentiment == sentiment else math.nan
        state.count += 1
        first = state.count % n if state.count >= n else 0
        known, oldest, mean, _ = moments(state.ring, first, min(state.count, n))
        if known > 0:
            out.sentiment_momentum = oldest + mean
