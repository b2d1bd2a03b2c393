"""`signal.portfolio`."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from plugins.base import FloatArray
from plugins.base import Params as SignalParams
from plugins.cross_sectional import CrossSectionGenerator, Ranked
from plugins.signals import signal_registry

Shares = Callable[[FloatArray], FloatArray]
"""Numbers to numbers in the proportion of which a total is shared out."""
TOLERANCE = 1e-9


@signal_registry.register("signal.portfolio")
class Portfolio(CrossSectionGenerator):
    """A weight for every symbol of the cross-section: target shares of equity that make one portfolio.

    Parameters
    ----------
    weighting
        What weights are made of. softmax: ``exp(prediction / temperature)`` over its sum. rank: the prediction's rank,
        1 the lowest, the mean rank for equal ones. equal: long-only the same for all, else the prediction's sign.
    long_only
        True: no weight below 0, all sum to `gross`. False: the numbers minus their mean, then the positive ones scaled
        to sum to ``gross/2`` and the negative ones to ``-gross/2``; all 0 where they are equal.
    max_weight
        The largest size of a weight. What is above it goes to the others of that side, in proportion. Where even all of
        a side at `max_weight` do not reach its sum, the side stays below it, and the reason says so.
    temperature
        Of softmax: smaller is closer to all for the highest.
    gross
        Sum of the weights' sizes, as a share of equity.

    Notes
    -----
    The signal is BUY above 0, SELL below, FLAT at 0, and the weight is used as it is (`execution.weight` does not scale
    it). No prediction (NaN, or an infinite one) is HOLD, "no prediction", without weight or rank: the others share the
    whole. `rank` 1 is the lowest prediction, ties by symbol. At start a universe is refused that is too small for
    `max_weight`: long-only ``max_weight * symbols < gross``, else fewer than ``ceil(gross / 2 / max_weight)`` a side.

    Examples
    --------
    >>> rows = pd.DataFrame({"prediction": [3.0, 1.0, 0.5, -2.0]}, index=["A", "B", "C", "D"])
    >>> Portfolio(weighting="rank").generate(rows)["weight"].tolist()
    [0.375, 0.125, -0.125, -0.375]
    >>> Portfolio(weighting="rank", long_only=True, max_weight=0.3).generate(rows)["weight"].round(6).tolist()
    [0.3, 0.3, 0.266667, 0.133333]
    """

    class Params(SignalParams):
        weighting: Literal["softmax", "rank", "equal"] = "softmax"
        long_only: bool = False
        max_weight: float = Field(1.0, gt=0, allow_inf_nan=False)
        temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
        gross: float = Field(1.0, gt=0, allow_inf_nan=False)

    cost = "fast"

    def universe_fault(self, size: int) -> str | None:
        cap, gross = self.params["max_weight"], self.params["gross"]
        sides = 1 if self.params["long_only"] else 2
        least = sides * max(1, math.ceil(gross / sides / cap - TOLERANCE))
        if size >= least:
            return None
        return (
            f"weights of at most {cap:g} that make up a gross of {gross:g} need {least} symbols, and the universe has"
            f" {size}; raise max_weight, lower gross, or add symbols"
        )

    def section(self, predictions: FloatArray, rank: NDArray[np.int64]) -> Ranked:
        long_only, cap = self.params["long_only"], self.params["max_weight"]
        weights = self._long_only(predictions) if long_only else self._long_short(predictions)
        share = self.params["gross"] * (1.0 if long_only else 0.5)
        none = ": weight 0" if weights.any() else ": weight 0, all predictions are equal"
        reasons = {1: _short_of(weights, share, "long"), -1: _short_of(-weights, share, "short"), 0: none}
        side = np.sign(weights).astype(np.int64).tolist()
        capped = np.where(np.abs(weights) >= cap, ": at max_weight", "").tolist()
        return Ranked(
            [("FLAT", "BUY", "SELL")[place] for place in side],
            weights,
            [
                f"rank {own_rank} of {len(side)}{at}{reasons[place]}"
                for own_rank, at, place in zip(rank.tolist(), capped, side, strict=True)
            ],
        )

    def _long_only(self, predictions: FloatArray) -> FloatArray:
        weighting, total = self.params["weighting"], self.params["gross"]
        if weighting == "softmax":
            return shared_out(predictions, total, self.params["max_weight"], self._softmax)
        scores = mean_ranks(predictions) if weighting == "rank" else np.ones(len(predictions))
        return shared_out(scores, total, self.params["max_weight"])

    def _long_short(self, predictions: FloatArray) -> FloatArray:
        makers: dict[str, Shares] = {"softmax": self._softmax, "rank": mean_ranks, "equal": np.sign}
        scores = makers[self.params["weighting"]](predictions)
        apart = scores - math.fsum(scores.tolist()) / len(scores)
        weights, half = np.zeros(len(scores)), self.params["gross"] / 2.0
        sides = {sign: np.flatnonzero(sign * apart > 0.0) for sign in (1.0, -1.0)}
        if all(map(len, sides.values())):  # else they are equal, but for a rounding of the mean
            for sign, side in sides.items():
                weights[side] = sign * shared_out(np.abs(apart[side]), half, self.params["max_weight"])
        return weights

    def _softmax(self, predictions: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):  # so far below the highest that its part is 0
            powers = (predictions - predictions.max()) / self.params["temperature"]
        parts = np.array([math.exp(power) for power in powers.tolist()])
        return np.asarray(parts / math.fsum(parts.tolist()), np.float64)


def mean_ranks(predictions: FloatArray) -> FloatArray:
    """Ranks from 1, the lowest; equal predictions share the mean of theirs."""
    return np.asarray(pd.Series(predictions).rank(), np.float64)


def shared_out(scores: FloatArray, total: float, cap: float, shares: Shares = np.asarray) -> FloatArray:
    """`total` shared out in the proportion of ``shares(scores)``, at most `cap` for each: ``min(cap, c * share)``.

    Notes
    -----
    What is above the cap is capped, and the rest of the total shared out among the rest, until none is above it.
    `shares` is asked anew each time, so that scores far below the highest still count among themselves.
    """
    weights = np.zeros(len(scores))
    free = np.arange(len(scores))
    while len(free):
        parts = shares(scores[free])
        left = max(total - cap * (len(scores) - len(free)), 0.0)
        wanted = parts * (left / math.fsum(parts.tolist()))
        over = wanted > cap
        weights[free] = np.where(over, cap, wanted)
        if not over.any():
            break
        free = free[~over]
    return weights


def _short_of(weights: FloatArray, share: float, side: str) -> str:
    reached = math.fsum(weights[weights > 0.0].tolist())
    if reached >= share * (1.0 - TOLERANCE):
        return ""
    return f": the {side} side reaches {reached:.6g} of {share:g}, all at max_weight"
