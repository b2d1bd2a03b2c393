"""`technical.atr`."""

from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature


@feature_registry.register("technical.atr")
class ATR(FoldFeature):
    """Average true range by Wilder, in units of the price, at least 0.

    Parameters
    ----------
    period
        n, the true ranges that the first average is taken over.

    Notes
    -----
    The true range of a bar, from the second bar on, is ``max(high - low, |high - previous close|, |low - previous
    close|)``. The first value, at bar n + 1, is the mean of the first n of them; then ``atr = (atr * (n - 1) + range)
    / n``.

    References
    ----------
    J. Welles Wilder, New Concepts in Technical Trading Systems, 1978. Equal to TA-Lib's ``ATR``.

    Examples
    --------
    >>> import pandas as pd
    >>> bars = pd.DataFrame({"high": [10.0, 12.0, 11.0], "low": [9.0, 10.0, 10.0], "close": [9.5, 11.0, 10.5]})
    >>> ATR(period=2).compute(bars)["atr"].tolist()
    [nan, nan, 1.75]
    """

    class Params(FeatureParams):
        period: int = Field(14, ge=1)

    outputs = ("atr",)
    reads = ("high", "low", "close")

    @property
    def warmup(self) -> int:
        return int(self.params["period"])

    def state(self) -> list[tuple[str, str]]:
        return [("count", "i8"), ("close", "f8"), ("average", "f8")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.period
        if state.count > 0:
            true_range = max(bar.high - bar.low, abs(bar.high - state.close), abs(bar.low - state.close))
            if state.count <= n:
                state.average += true_range / n
            else:
                state.average = (state.average * (n - 1) + true_range) / n
            if state.count >= n:
                out.atr = state.average
        state.count += 1
        state.close = bar.close
