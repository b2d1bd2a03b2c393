"""How the strategy did in rising, falling, calm and rough markets."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.fold.exact_windows import rolling_moments

FloatArray = NDArray[np.float64]
FEWEST = 120
"""Bars below which regimes say nothing."""
COLUMNS = ("bars", "share", "strategy", "benchmark")


def regimes(returns: FloatArray, benchmark: FloatArray, window: int) -> pd.DataFrame:
    """Bars by what the benchmark did in the `window` bars before each: rose or fell, and with more or less than its
    median volatility. Nothing of a bar's own return decides its regime.

    Returns
    -------
    pd.DataFrame
        A row a regime: ``bars``, ``share`` of all, and the compounded return of ``strategy`` and ``benchmark`` over
        them. Empty for fewer than 120 bars.
    """
    if len(returns) < max(FEWEST, 2 * window):
        return pd.DataFrame(columns=list(COLUMNS))
    means, spreads = rolling_moments(benchmark, window)
    means, spreads = (np.concatenate([[np.nan], values[:-1]]) for values in (means, spreads))
    known = np.isfinite(means) & np.isfinite(spreads) & np.isfinite(returns) & np.isfinite(benchmark)
    middle = float(np.median(spreads[known])) if known.any() else 0.0
    rows = {}
    for trend, rising in (("rising", True), ("falling", False)):
        for noise, rough in (("calm", False), ("rough", True)):
            inside = known & ((means > 0) == rising) & ((spreads > middle) == rough)
            rows[f"{trend}, {noise}"] = (
                int(inside.sum()), float(inside.mean()),
                float(np.prod(1.0 + returns[inside]) - 1.0), float(np.prod(1.0 + benchmark[inside]) - 1.0),
            )  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
