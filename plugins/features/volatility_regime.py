"""`statistical.volatility_regime`."""

import math
from typing import Any, ClassVar

from pydantic import Field, model_validator

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.rolling import moments, percentile, sorted_insert, sorted_replace


@feature_registry.register("statistical.volatility_regime")
class VolatilityRegime(FoldFeature):
    """Realised volatility, annualised, and whether it is low (0), middling (1) or high (2) among its last values.

    Parameters
    ----------
    window
        n, the simple returns of the close that a volatility is taken over.
    rank_window
        m, the volatilities that this one is ranked among, itself included; at least `window`.
    low_threshold, high_threshold
        Percentiles that bound the regimes.
    periods_per_year
        Bars in a year: 252 for daily bars, 98,280 for minutes of a 6.5-hour session.

    Notes
    -----
    ``realised_vol`` is v = sample standard deviation (ddof 1) of ``close / previous close - 1`` over n bars, times
    ``√periods_per_year``; 0.2 is 20 per cent a year. It begins with bar n + 1.

    ``volatility_regime`` begins once there are n values of v, with bar 2n. Among the last m, with percentiles by
    linear interpolation: 0 if v is at most the lower one, else 2 if v is at least the higher one, else 1 (so 0 where
    all are equal). Where a previous close was 0 the return is undefined, and v is NaN while it is in the window; such
    a bar has no regime and does not count among the m.

    References
    ----------
    ``pandas.Series.rolling(n).std()``, ``numpy.percentile``.

    Examples
    --------
    >>> import pandas as pd
    >>> closes = pd.DataFrame({"close": [100.0, 101.0, 100.0, 102.0, 99.0, 99.5]})
    >>> feature = VolatilityRegime(window=2, rank_window=3, periods_per_year=1)
    >>> feature.compute(closes).round(4).values.tolist()[2:]
    [[0.0141, nan], [0.0211, 2.0], [0.0349, 2.0], [0.0244, 1.0]]
    """

    class Params(FeatureParams):
        window: int = Field(20, ge=2)
        rank_window: int = Field(252, ge=2)
        low_threshold: float = Field(33.0, ge=0, le=100)
        high_threshold: float = Field(67.0, ge=0, le=100)
        periods_per_year: float = Field(252.0, gt=0, allow_inf_nan=False)

        @model_validator(mode="after")
        def _consistent(self) -> "VolatilityRegime.Params":
            if self.rank_window < self.window:
                raise ValueError(f"rank_window {self.rank_window} is below window {self.window}")
            if self.low_threshold > self.high_threshold:
                raise ValueError("low_threshold is above high_threshold")
            return self

    outputs = ("realised_vol", "volatility_regime")
    labels: ClassVar[dict[str, dict[int, str]]] = {"volatility_regime": {0: "low", 1: "mid", 2: "high"}}
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return 2 * int(self.params["window"]) - 1

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        ranked = (self.params["rank_window"],)
        return [
            ("count", "i8"), ("close", "f8"), ("returns", "f8", (self.params["window"],)),
            ("known", "i8"), ("ring", "f8", ranked), ("ranked", "f8", ranked),
        ]  # fmt: skip

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        if state.count > 0:
            change = bar.close / state.close - 1.0 if state.close != 0.0 else math.nan
            state.returns[(state.count - 1) % n] = change if math.isfinite(change) else math.nan
        state.count += 1
        state.close = bar.close
        if state.count <= n:
            return
        known, _, _, squares = moments(state.returns, (state.count - 1) % n, n)
        if known == n and math.isfinite(squares):
            out.realised_vol = math.sqrt(squares / (n - 1)) * math.sqrt(params.periods_per_year)
            out.volatility_regime = regime(state, params, out.realised_vol)


def regime(state: Any, params: Any, volatility: float) -> float:
    """Takes `volatility` in among the last ones, and tells where it stands."""
    size = params.rank_window
    place = state.known % size
    if state.known < size:
        sorted_insert(state.ranked, state.known, volatility)
    else:
        sorted_replace(state.ranked, size, state.ring[place], volatility)
    state.ring[place] = volatility
    state.known += 1
    count = min(state.known, size)
    if count < params.window:
        return math.nan
    if volatility <= percentile(state.ranked, count, params.low_threshold):
        return 0.0
    return 2.0 if volatility >= percentile(state.ranked, count, params.high_threshold) else 1.0
