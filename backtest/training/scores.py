"""How predictions compare with what happened.

============  ========================================================================================================
ic            information coefficient: Spearman's rank correlation of prediction and target, all rows pooled, ties with
              their mean rank
r2            1 - Σ(y - prediction)² / Σ(y - m)², m the mean of the **training's** targets: 0 is what a constant
              achieves that was known in time, 1 is perfect
hit_rate      of the rows where neither is 0, the share where prediction and target have one sign
============  ========================================================================================================

Each is undefined (NaN, None) where nothing varies, or no row is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.training.bootstrap import RESAMPLES, Weights, block_length, estimates
from backtest.training.samples import Samples
from plugins.models.artifacts.manifest import Evaluation, OutOfSample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of some rows without their confidence; None where a score is undefined."""

    rows: int
    first_time: int
    last_time: int
    r2: float | None
    ic: float | None
    hit_rate: float | None


class Ranks:
    """Mean ranks of values whose rows count several times, without sorting them again.

    >>> Ranks(np.array([5.0, 5.0, 1.0])).weighted(np.array([1.0, 2.0, 1.0])).tolist()
    [3.0, 3.0, 1.0]
    """

    def __init__(self, values: FloatArray) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self.sizes = np.diff(np.append(self.starts, len(values)))

    def weighted(self, weights: Weights) -> FloatArray:
        total = np.add.reduceat(weights[self.order], self.starts)
        ranks = np.empty(len(weights))
        ranks[self.order] = np.repeat(np.cumsum(total) - total / 2 + 0.5, self.sizes)
        return ranks


class Comparison:
    """The scores of `prediction` against `y`, for any weights of the rows; rows without a prediction count for
    nothing.
    """

    def __init__(self, y: FloatArray, prediction: FloatArray, mean: float) -> None:
        self.known = np.isfinite(prediction)
        self.y, self.prediction, self.mean = y[self.known], prediction[self.known], mean
        filled = len(self.y) > 0
        self.ranks = (Ranks(self.y), Ranks(self.prediction)) if filled else None
        self.sided = (self.y != 0) & (self.prediction != 0)
        self.hit = self.sided & (np.sign(self.y) == np.sign(self.prediction))

    def __call__(self, weights: Weights) -> FloatArray:
        """ic, r2 and hit_rate, in this order."""
        mine = weights[self.known]
        return np.array([self._ic(mine), self._r2(mine), _ratio(mine[self.hit].sum(), mine[self.sided].sum())])

    def _ic(self, weights: Weights) -> float:
        if self.ranks is None or weights.sum() == 0:
            return np.nan
        first, second = (ranks.weighted(weights) for ranks in self.ranks)
        first, second = (each - np.average(each, weights=weights) for each in (first, second))
        spread = float((weights * first * first).sum() * (weights * second * second).sum())
        return float((weights * first * second).sum()) / spread**0.5 if spread > 1e-9 else np.nan

    def _r2(self, weights: Weights) -> float:
        error, spread = self.y - self.prediction, self.y - self.mean
        return 1.0 - _ratio(float((weights * error * error).sum()), float((weights * spread * spread).sum()))


def scores_of(samples: Samples, prediction: FloatArray, mean: float) -> Scores:
    """Scores of all rows; `mean` is that of the training's targets."""
    ic, r2, hit_rate = Comparison(np.asarray(samples.y, np.float64), prediction, mean)(np.ones(len(prediction)))
    times = samples.times
    return Scores(len(times), int(times[0]), int(times[-1]), *(_none_if_nan(x) for x in (r2, ic, hit_rate)))


def out_of_sample(
    samples: Samples, prediction: FloatArray, mean: float, horizon_bars: int, resamples: int = RESAMPLES
) -> OutOfSample:
    """The scores of rows that were not trained on, beside those of two baselines on the same rows: zero, and the last
    return. All are drawn together, so that the lead's interval is that of a difference on equal rows.
    """
    y, known = np.asarray(samples.y, np.float64), np.isfinite(prediction)
    rivals: Mapping[str, FloatArray] = {
        "model": prediction,
        "zero": np.where(known, 0.0, np.nan),
        "last_return": np.where(known, samples.last_return.to_numpy(), np.nan),
    }
    compared = [Comparison(y, values, mean) for values in rivals.values()]

    def score(weights: Weights) -> FloatArray:
        every = np.concatenate([comparison(weights) for comparison in compared])
        return np.append(every, every[0] - every[6])

    times = samples.times
    estimated = estimates(times, horizon_bars, score, resamples)
    evaluations = {
        name: Evaluation(**dict(zip(("ic", "r2", "hit_rate"), estimated[3 * at : 3 * at + 3], strict=True)))
        for at, name in enumerate(rivals)
    }
    lead = estimated[-1]
    better = all(each.low is not None and each.low > 0 for each in (evaluations["model"].ic, lead))
    return OutOfSample(
        rows=len(y),
        first_time=int(times[0]),
        last_time=int(times[-1]),
        block_times=block_length(len(np.unique(times)), horizon_bars),
        resamples=resamples,
        ic_lead=lead,
        better_than_baselines=better,
        **evaluations,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


def _none_if_nan(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
