"""A result beside buying and holding."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FEWEST = 3
"""Returns with which a line has a residual."""


def beside_benchmark(returns: FloatArray, benchmark: FloatArray, periods: float) -> dict[str, float | None]:
    """The least-squares line of a strategy's returns on the benchmark's, and what follows from it.

    Parameters
    ----------
    returns, benchmark
        Simple returns of the same bars; pairs that are not finite are left out.
    periods
        Bars in a year.

    Returns
    -------
    dict
        ``beta`` (covariance over the benchmark's variance), ``alpha`` (yearly: the line's intercept times `periods`),
        ``correlation``, ``tracking_error`` (std of the difference, yearly), ``information_ratio`` (mean difference over
        its std, yearly). None where there are fewer than three pairs, or nothing varies.

    References
    ----------
    Jensen, M. C. (1968), The Performance of Mutual Funds in the Period 1945-1964, Journal of Finance 23(2).
    """
    known = np.isfinite(returns) & np.isfinite(benchmark)
    own, market = returns[known], benchmark[known]
    names = ("beta", "alpha", "correlation", "tracking_error", "information_ratio")
    if len(own) < FEWEST:
        return dict.fromkeys(names)
    own_std, market_std = float(own.std(ddof=1)), float(market.std(ddof=1))
    covariance = float(((own - own.mean()) * (market - market.mean())).sum() / (len(own) - 1))
    beta = covariance / market_std**2 if market_std else None
    difference = own - market
    spread = float(difference.std(ddof=1))
    values: dict[str, Any] = {
        "beta": beta,
        "alpha": None if beta is None else float(own.mean() - beta * market.mean()) * periods,
        "correlation": covariance / (own_std * market_std) if own_std and market_std else None,
        "tracking_error": spread * math.sqrt(periods),
        "information_ratio": float(difference.mean()) / spread * math.sqrt(periods) if spread else None,
    }
    return {name: None if values[name] is None else float(values[name]) for name in names}
