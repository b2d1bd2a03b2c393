"""A feature in one file: `alphawire worker --plugins examples/plugins/ema_cross.py`."""

from typing import Any

from pydantic import Field, model_validator

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature


class EmaCrossParams(FeatureParams):
    fast: int = Field(12, ge=1)
    slow: int = Field(26, ge=2)

    @model_validator(mode="after")
    def _in_order(self) -> "EmaCrossParams":
        if self.fast >= self.slow:
            raise ValueError("fast must be less than slow")
        return self


def exponential_mean(mean: float, close: float, count: int, period: int) -> float:
    """The mean after the `count`-th close: a simple one over the first `period`, then with weight 2 / (period + 1)."""
    if count <= period:
        return mean + close / period
    return mean + (close - mean) * (2.0 / (period + 1))


@feature_registry.register("technical.ema_cross")
class EmaCross(FoldFeature):
    """Two exponential means of the close and their distance, in units of the price.

    Parameters
    ----------
    fast, slow
        Their periods in bars, fast < slow.

    Notes
    -----
    ``mean += (close - mean) * 2 / (n + 1)``, begun with the simple mean of the first n closes, hence a first value at
    bar n. `ema_cross` is ``ema_fast - ema_slow``: it changes its sign where they cross.

    References
    ----------
    TA-Lib's ``EMA``, which begins in the same way.
    """

    Params = EmaCrossParams
    outputs = ("ema_fast", "ema_slow", "ema_cross")
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["slow"]) - 1

    def state(self) -> list[tuple[str, str]]:
        return [("count", "i8"), ("fast", "f8"), ("slow", "f8")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        state.count += 1
        state.fast = exponential_mean(state.fast, bar.close, state.count, params.fast)
        state.slow = exponential_mean(state.slow, bar.close, state.count, params.slow)
        if state.count >= params.fast:
            out.ema_fast = state.fast
        if state.count >= params.slow:
            out.ema_slow = state.slow
            out.ema_cross = state.fast - state.slow
