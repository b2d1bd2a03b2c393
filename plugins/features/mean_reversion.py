"""`statistical.mean_reversion`."""

from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.rolling import score


@feature_registry.register("statistical.mean_reversion")
class MeanReversion(FoldFeature):
    """Distance of the close from its mean over n bars in standard deviations: ``(close - mean) / std``.

    Parameters
    ----------
    window
        n, the bars of the window, this one included.

    Notes
    -----
    `std` is the sample standard deviation (ddof 1); the value is within ± (n - 1) / √n. Above 0 the close is above
    its mean, from where a reverting price falls. The first value comes with bar n. NaN while all n closes are equal.

    References
    ----------
    ``numpy.mean`` and ``numpy.std(ddof=1)`` on each window.

    Examples
    --------
    >>> import pandas as pd
    >>> closes = pd.DataFrame({"close": [1.0, 2.0, 3.0, 3.0, 3.0]})
    >>> MeanReversion(window=3).compute(closes)["mean_reversion"].round(6).tolist()
    [nan, nan, 1.0, 0.57735, nan]
    """

    class Params(FeatureParams):
        window: int = Field(20, ge=2)

    outputs = ("mean_reversion",)
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["window"]) - 1

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        return [("count", "i8"), ("ring", "f8", (self.params["window"],))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        state.ring[state.count % n] = bar.close
        state.count += 1
        if state.count >= n:
            out.mean_reversion = score(state.ring, state.count % n, n, bar.close)
