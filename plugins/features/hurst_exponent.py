"""`statistical.hurst_exponent`."""

import math
from typing import Any

from pydantic import AliasChoices, Field, model_validator

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature, StepParam
from plugins.fold.rolling import moments


@feature_registry.register("statistical.hurst_exponent")
class HurstExponent(FoldFeature):
    """Hurst exponent of the close by rescaled range (R/S): 0.5 a random walk, above it trending, below it reverting.

    Parameters
    ----------
    window
        n, the log returns of the close that are looked at.
    min_lag, max_lag
        Bounds of the block lengths: min_lag, 2 min_lag, 4 min_lag, … up to max_lag (default: half the window). There
        must be two at least.
    corrected
        Takes off what a random walk reads on blocks so short (Anis and Lloyd); without, it reads 0.63 at the defaults.

    Notes
    -----
    The n log returns are cut into blocks of each length, from the oldest on; what is left over is at the newest end.
    A block's R/S is the range of the sums of its returns' distances from their mean, over their sample standard
    deviation (ddof 1); a block that never moved has none. H is the least-squares slope of log(mean R/S) on
    log(length), over those lengths that have a mean. `corrected`: of log(mean R/S) - log(expected R/S), plus 0.5.

    The first value comes with bar n + 1. NaN where fewer than two lengths have a mean (constant prices), and while a
    close that is not positive is in the window.

    References
    ----------
    A. A. Anis, E. H. Lloyd, The expected value of the adjusted rescaled Hurst range of independent normal summands,
    Biometrika 63 (1976), with E. Peters' factor (n - 0.5) / n. Equal to nolds' ``hurst_rs(fit="poly")``.

    Examples
    --------
    >>> import pandas as pd
    >>> closes = pd.DataFrame({"close": [100.0, 101.0, 103.0, 102.0, 100.0, 101.0, 104.0, 103.0, 105.0]})
    >>> HurstExponent(window=8, min_lag=4, max_lag=8).compute(closes)["hurst_exponent"].round(6).tolist()[7:]
    [nan, 0.440435]
    """

    class Params(FeatureParams):
        window: int = Field(100, ge=6)
        min_lag: int = Field(8, ge=3, validation_alias=AliasChoices("min_lag", "min_lags"))
        max_lag: int | None = Field(None, ge=3, validation_alias=AliasChoices("max_lag", "max_lags"))
        corrected: bool = True

        @model_validator(mode="after")
        def _two_lengths(self) -> "HurstExponent.Params":
            if self.max_lag is None:
                self.max_lag = self.window // 2
            if self.max_lag > self.window:
                raise ValueError(f"max_lag {self.max_lag} is above window {self.window}")
            if self.max_lag < 2 * self.min_lag:
                raise ValueError(
                    f"between min_lag {self.min_lag} and max_lag {self.max_lag} there is but one block length, and a"
                    " slope needs two; let max_lag be at least twice min_lag"
                )
            return self

    outputs = ("hurst_exponent",)
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["window"])

    def _lengths(self) -> list[int]:
        doublings = int(math.log2(self.params["max_lag"] / self.params["min_lag"]) + 1e-9)
        return [self.params["min_lag"] << number for number in range(doublings + 1)]

    def step_params(self) -> dict[str, StepParam]:
        lengths, corrected = self._lengths(), self.params["corrected"]
        return {
            "window": self.params["window"],
            "min_lag": lengths[0],
            "kept": lengths[-1],
            "neutral": 0.5 if corrected else 0.0,
            "logs": tuple(math.log(length) for length in lengths),
            "expected": tuple(math.log(expected_range(length)) if corrected else 0.0 for length in lengths),
        }

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        lengths = self._lengths()
        return [
            ("count", "i8"), ("close", "f8"), ("returns", "f8", (lengths[-1],)),
            ("ratios", "f8", (len(lengths) * self.params["window"],)),
        ]  # fmt: skip

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        if state.count > 0:
            positive = bar.close > 0.0 and state.close > 0.0
            last = state.count - 1  # number of this return, from 0
            state.returns[last % params.kept] = math.log(bar.close / state.close) if positive else math.nan
            length = params.min_lag
            for number in range(len(params.logs)):
                if last + 1 >= length:
                    place = number * params.window + last % params.window
                    state.ratios[place] = rescaled_range(state.returns, (last + 1 - length) % params.kept, length)
                length *= 2
            if last + 1 >= params.window:
                out.hurst_exponent = slope(state.ratios, last, params)
        state.count += 1
        state.close = bar.close


def rescaled_range(returns: Any, first: int, length: int) -> float:
    """R/S of the block of `length` returns from place `first` on; 0 when it never moved, NaN when a return is."""
    known, oldest, mean, squares = moments(returns, first, length)
    if known < length:
        return math.nan
    if squares == 0.0:
        return 0.0
    size, place = len(returns), first
    total, low, high = 0.0, math.inf, -math.inf
    for _ in range(length):
        total += returns[place] - oldest - mean
        low, high = min(low, total), max(high, total)
        place = place + 1 if place + 1 < size else 0
    return (high - low) / math.sqrt(squares / (length - 1))


def slope(ratios: Any, last: int, params: Any) -> float:
    """H from the R/S of all blocks in the window that ends with return `last`.

    A block's R/S was computed when its last return came: it is in every window that the block is cut from.
    """
    window = params.window
    lengths, sum_x, sum_y, sum_xx, sum_xy = 0, 0.0, 0.0, 0.0, 0.0
    length = params.min_lag
    for number in range(len(params.logs)):
        blocks, total = 0, 0.0
        end = last - window + length  # of the oldest block
        while end <= last:
            ratio = ratios[number * window + end % window]
            if ratio != 0.0:
                total += ratio
                blocks += 1
            end += length
        if blocks > 0:
            x, y = params.logs[number] - params.logs[0], math.log(total / blocks) - params.expected[number]
            lengths += 1
            sum_x, sum_y, sum_xx, sum_xy = sum_x + x, sum_y + y, sum_xx + x * x, sum_xy + x * y
        length *= 2
    if lengths < 2 or math.isnan(sum_y):
        return math.nan
    spread = sum_xx - sum_x * sum_x / lengths
    return params.neutral + (sum_xy - sum_x * sum_y / lengths) / spread  # type: ignore[no-any-return]


def expected_range(length: int) -> float:
    """R/S that a random walk of independent normal steps is expected to have over `length` of them."""
    gammas = math.exp(math.lgamma((length - 1) / 2) - math.lgamma(length / 2)) / math.sqrt(math.pi)
    return (length - 0.5) / length * gammas * sum(math.sqrt((length - i) / i) for i in range(1, length))
