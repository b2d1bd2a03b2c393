"""`statistical.momentum`."""

from typing import Any

from pydantic import AliasChoices, Field

from plugins.features import feature_registry
from plugins.fold import Column, FeatureParams, FoldFeature, column_of


@feature_registry.register("statistical.momentum")
class Momentum(FoldFeature):
    """Relative change over n bars: ``x[t] / x[t - n] - 1``; 0.01 is one per cent.

    Parameters
    ----------
    window
        n, the bars to look back.
    column
        x: open, high, low, close or volume.

    Notes
    -----
    The first value comes with bar n + 1. Where a volume n bars ago was 0 it is infinite, or NaN when today's is 0 as
    well, as in pandas.

    References
    ----------
    ``pandas.Series.pct_change(n)``.

    Examples
    --------
    >>> import pandas as pd
    >>> Momentum(window=2).compute(pd.DataFrame({"close": [100.0, 110.0, 125.0]}))["momentum"].tolist()
    [nan, nan, 0.25]
    """

    class Params(FeatureParams):
        window: int = Field(20, ge=1)
        column: Column = Field("close", validation_alias=AliasChoices("column", "col"))

    outputs = ("momentum",)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.params["column"],)

    @property
    def warmup(self) -> int:
        return int(self.params["window"])

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        return [("count", "i8"), ("ring", "f8", (self.params["window"],))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        place = state.count % params.window
        value = column_of(bar, params.column)
        if state.count >= params.window:
            out.momentum = value / state.ring[place] - 1.0
        state.ring[place] = value
        state.count += 1
