"""How far a Sharpe ratio is to be believed, by how often one has tried.

Sharpe ratios are per bar, not yearly: mean over sample standard deviation of returns. Kurtosis is 3 for a normal
distribution. Undefined is None.

References
----------
.. [1] D. H. Bailey, M. López de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2), 2012,
   https://www.davidhbailey.com/dhbpapers/sharpe-frontier.pdf
.. [2] D. H. Bailey, M. López de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014,
   https://www.davidhbailey.com/dhbpapers/deflated-sharpe.pdf
.. [3] D. H. Bailey, J. M. Borwein, M. López de Prado, Q. J. Zhu, The Probability of Backtest Overfitting, Journal of
   Computational Finance 20(4), 2017
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
EULER = 0.5772156649015329
BLOCKS = 16
CONFIDENCE = 0.95
SAME_RETURNS = 1e-14
"""A standard deviation of so much is that of rounding."""
SAME_SHAPE = 1e-6
"""Two runs whose returns have a cosine so near to 1 are one bet in two sizes."""
_normal = NormalDist()


@dataclass(frozen=True)
class Moments:
    """What the formulas need to know of returns: Sharpe ratio, skewness, kurtosis (3: normal), how many."""

    sharpe: float
    skewness: float
    kurtosis: float
    count: int


def moments(returns: FloatArray) -> Moments | None:
    """Of at least four returns that vary; skewness and kurtosis with the population's standard deviation."""
    if len(returns) < 4 or not np.isfinite(returns).all():
        return None
    centred = returns - returns.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread < 1e-14:
        return None
    skewness, kurtosis = (float((centred**power).mean()) / spread**power for power in (3, 4))
    return Moments(float(returns.mean() / returns.std(ddof=1)), skewness, kurtosis, len(returns))


def probabilistic_sharpe(sample: Moments, benchmark: float = 0.0) -> float | None:
    r"""Probability that the true Sharpe ratio is above `benchmark` [1]_:
    :math:`Z[(SR - SR^*) \sqrt{T - 1} / \sqrt{1 - \gamma_3 SR + (\gamma_4 - 1) SR^2 / 4}]`.
    """
    variance = _variance(sample)
    if variance <= 0.0:
        return None
    return _normal.cdf((sample.sharpe - benchmark) * math.sqrt(sample.count - 1) / math.sqrt(variance))


def minimum_track_record(sample: Moments, benchmark: float = 0.0, confidence: float = CONFIDENCE) -> float | None:
    r"""Returns that it takes to say with `confidence` that the true Sharpe ratio is above `benchmark` [1]_:
    :math:`1 + (1 - \gamma_3 SR + (\gamma_4 - 1) SR^2 / 4) (Z_\alpha / (SR - SR^*))^2`; None for one not above it.
    """
    variance = _variance(sample)
    if sample.sharpe <= benchmark or variance <= 0.0:
        return None
    return 1.0 + variance * (_normal.inv_cdf(confidence) / (sample.sharpe - benchmark)) ** 2


def expected_maximum(variance: float, trials: int) -> float:
    r"""The best Sharpe ratio that so many worthless trials are expected to show [2]_:
    :math:`\sqrt{V} ((1 - \gamma) Z^{-1}[1 - 1/N] + \gamma Z^{-1}[1 - 1/(N e)])`; 0 for a single one.
    """
    if trials < 2:
        return 0.0
    high, higher = (_normal.inv_cdf(1.0 - 1.0 / (trials * factor)) for factor in (1.0, math.e))
    return math.sqrt(variance) * ((1.0 - EULER) * high + EULER * higher)


def deflated_sharpe(sample: Moments, sharpes: Sequence[float], trials: int) -> float | None:
    """Probability that the true Sharpe ratio is above the best that luck gives in `trials` trials [2]_.

    `sharpes` are those of the trials that have one; their variance is the trials'. With fewer than two of them the
    variance is that of an estimate from so many returns, were there nothing to find: ``1 / (T - 1)``.
    """
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 1.0 / (sample.count - 1)
    return probabilistic_sharpe(sample, expected_maximum(variance, trials))


def backtest_overfitting(returns: FloatArray, blocks: int = BLOCKS) -> float | None:
    """Probability that what is best in one half of the time is below the median in the other [3]_.

    Combinatorially symmetric cross-validation: the rows are cut into `blocks` equal stretches (what is left over at the
    beginning is not used); for each choice of half of them, the column with the best Sharpe ratio there has the
    relative rank w = rank / (N + 1) among all N columns in the others. The result is the share of choices with
    log(w / (1 - w)) <= 0.

    Parameters
    ----------
    returns
        A column for each configuration, a row for each bar.
    blocks
        An even number.

    Returns
    -------
    float or None
        None for fewer than two rows a block, and for fewer than two columns between which there is a choice: those
        without variance are idle runs, and one that is another times a number is the same bet.
    """
    if not np.isfinite(returns).all():
        return None
    returns = returns[:, _different(returns)]
    rows, columns = returns.shape
    size = rows // blocks
    if columns < 2 or size < 2:
        return None
    parts = returns[rows - size * blocks :].reshape(blocks, size, columns)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    choices = list(itertools.combinations(range(blocks), blocks // 2))
    inside = np.zeros((len(choices), blocks))
    for row, choice in enumerate(choices):
        inside[row, list(choice)] = 1.0
    half = size * blocks // 2
    best = _sharpes(inside @ sums, inside @ squares, half).argmax(axis=1)
    outside = _sharpes((1.0 - inside) @ sums, (1.0 - inside) @ squares, half)
    chosen = outside[np.arange(len(choices)), best][:, None]
    rank = (outside < chosen).sum(axis=1) + ((outside == chosen).sum(axis=1) + 1) / 2
    # w <= 1/2 is log(w / (1 - w)) <= 0
    return float((rank / (columns + 1) <= 0.5).mean())


def _different(returns: FloatArray) -> NDArray[np.intp]:
    """The first column of each kind: of those that vary, none is another one times a positive number."""
    varying = np.flatnonzero(returns.std(axis=0) > SAME_RETURNS) if len(returns) else np.zeros(0, np.intp)
    scaled = returns[:, varying] / np.sqrt((returns[:, varying] ** 2).sum(axis=0))
    alike = np.triu(scaled.T @ scaled > 1.0 - SAME_SHAPE, k=1)
    kept = np.ones(len(varying), np.bool_)
    for column in range(len(varying)):
        kept[column] = not (alike[:column, column] & kept[:column]).any()
    return varying[kept]


def _sharpes(sums: FloatArray, squares: FloatArray, count: int) -> FloatArray:
    """Where nothing varies there is nothing to choose: minus infinity."""
    mean = sums / count
    variance = (squares - count * mean**2) / (count - 1)
    varies = variance > 1e-28
    return np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), -np.inf)


def _variance(sample: Moments) -> float:
    """Of the estimated Sharpe ratio, times ``T - 1``."""
    return 1.0 - sample.skewness * sample.sharpe + (sample.kurtosis - 1.0) / 4.0 * sample.sharpe**2
