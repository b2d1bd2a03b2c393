"""Confidence of scores by the stationary bootstrap over time: symbols of one time stay together.

D. N. Politis and J. P. Romano, The Stationary Bootstrap, Journal of the American Statistical Association 89, 1994:
blocks of geometrically distributed length begin at uniformly drawn times and wrap around the end.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from plugins.models.artifacts.manifest import Estimate

RESAMPLES = 1000
SEED = 0
CONFIDENCE = 0.95

Weights = NDArray[np.float64]
FloatArray = NDArray[np.float64]


def block_length(times: int, horizon_bars: int) -> float:
    """Mean length of a block, in bar times: at least as long as targets overlap (horizon + 1), and the cube root of
    their number, the rate at which it should grow (Politis and Romano 1994, section 4).
    """
    return float(max(horizon_bars + 1, round(times ** (1 / 3)), 1))


def resampled(times: int, length: float, resamples: int = RESAMPLES) -> Iterator[Weights]:
    """How often each of `times` is drawn, for each resample."""
    draw = np.random.default_rng(SEED)
    steps = np.arange(times)
    for _ in range(resamples):
        begins = draw.random(times) < 1.0 / length
        begins[0] = True
        starts = draw.integers(0, times, times)
        at = np.maximum.accumulate(np.where(begins, steps, 0))
        yield np.bincount((starts[at] + steps - at) % times, minlength=times).astype(np.float64)


def estimates(
    times: NDArray[np.int64], horizon_bars: int, score: Callable[[Weights], FloatArray], resamples: int = RESAMPLES
) -> list[Estimate]:
    """Each of the scores that `score` gives for weights of the rows, with its percentile interval.

    `times` are the rows' times. A score that is undefined (NaN) in a resample is left out of that interval.
    """
    values = score(np.ones(len(times)))
    grid, places = np.unique(times, return_inverse=True)
    length = block_length(len(grid), horizon_bars)
    drawn = np.array([score(counts[places]) for counts in resampled(len(grid), length, resamples)])
    return [_estimate(value, column[np.isfinite(column)]) for value, column in zip(values, drawn.T, strict=True)]


def _estimate(value: float, drawn: FloatArray) -> Estimate:
    if not np.isfinite(value) or not len(drawn):
        return Estimate(value=None, low=None, high=None)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=float(value), low=float(low), high=float(high))
