"""`technical.rsi`."""

import math
from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature

SMALLEST = 1e-280
"""Averages below this stay as they are while the close does. Their ratio is what counts, and that does not change; as
numbers too small for all their digits (from 1e-308 on) they would lose it, and in the end both be 0. Beside the next
change of any price they are nothing.
"""


@feature_registry.register("technical.rsi")
class RSI(FoldFeature):
    """Relative strength index by Wilder: 100 · gain / (gain + loss), in 0 … 100.

    Parameters
    ----------
    period
        n, the changes of the close that the first averages are taken over.

    Notes
    -----
    `gain` and `loss` are averages of the rises and falls of the close from bar to bar. The first ones are simple
    means over the first n changes; then ``average = (average * (n - 1) + x) / n``. The first value comes with bar n +
    1; where nothing ever moved (gain = loss = 0) it is undefined, hence NaN (TA-Lib says 0 there). While the close
    stays as it is, so does the index, however long.

    References
    ----------
    J. Welles Wilder, New Concepts in Technical Trading Systems, 1978. Equal to TA-Lib's ``RSI`` elsewhere.

    Examples
    --------
    >>> import pandas as pd
    >>> closes = pd.DataFrame({"close": [10.0, 11.0, 10.5, 11.5]})
    >>> [round(value, 6) for value in RSI(period=2).compute(closes)["rsi"]]
    [nan, nan, 66.666667, 85.714286]
    """

    class Params(FeatureParams):
        period: int = Field(14, ge=2)

    outputs = ("rsi",)
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["period"])

    def state(self) -> list[tuple[str, str]]:
        return [("count", "i8"), ("close", "f8"), ("average_gain", "f8"), ("average_loss", "f8")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.period
        if state.count > 0:
            change = bar.close - state.close
            gain, loss = max(change, 0.0), max(-change, 0.0)
            if state.count <= n:
                state.average_gain += gain / n
                state.average_loss += loss / n
            elif change != 0.0 or state.average_gain + state.average_loss > SMALLEST:
                state.average_gain = (state.average_gain * (n - 1) + gain) / n
                state.average_loss = (state.average_loss * (n - 1) + loss) / n
        state.count += 1
        state.close = bar.close
        total = state.average_gain + state.average_loss
        out.rsi = 100.0 * state.average_gain / total if state.count > n and total > 0.0 else math.nan
