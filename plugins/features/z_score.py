"""`statistical.z_score`."""

from typing import Any

from pydantic import AliasChoices, Field

from plugins.features import feature_registry
from plugins.fold import Column, FeatureParams, FoldFeature, column_of
from plugins.fold.rolling import score


@feature_registry.register("statistical.z_score")
class ZScore(FoldFeature):
    """Distance from the mean of the last n bars in standard deviations: ``(x - mean) / std``, this bar included.

    Parameters
    ----------
    window
        n, the bars of the window.
    column
        x: open, high, low, close or volume.

    Notes
    -----
    `std` is the sample standard deviation (ddof 1); the value is within ± (n - 1) / √n. The first one comes with bar
    n. NaN while all n values are equal. Values are taken relative to the oldest and summed from oldest to newest:
    equal ones then give exactly zero, and the bits depend on the window alone.

    References
    ----------
    ``numpy.mean`` and ``numpy.std(ddof=1)`` on each window.

    Examples
    --------
    >>> import pandas as pd
    >>> ZScore(window=3).compute(pd.DataFrame({"close": [1.0, 2.0, 3.0, 3.0, 3.0]}))["z_score"].round(6).tolist()
    [nan, nan, 1.0, 0.57735, nan]
    """

    class Params(FeatureParams):
        window: int = Field(20, ge=2)
        column: Column = Field("close", validation_alias=AliasChoices("column", "col"))

    outputs = ("z_score",)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.params["column"],)

    @property
    def warmup(self) -> int:
        return int(self.params["window"]) - 1

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        return [("count", "i8"), ("ring", "f8", (self.params["window"],))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        value = column_of(bar, params.column)
        state.ring[state.count % n] = value
        state.count += 1
        if state.count >= n:
            out.z_score = score(state.ring, state.count % n, n, value)
