"""The deepest falls of an equity curve."""

import numpy as np
import pandas as pd

COLUMNS = ("depth", "peak", "bottom", "recovered", "bars", "days")


def worst_drawdowns(equity: "pd.Series[float]", capital: float, count: int = 5) -> pd.DataFrame:
    """The `count` deepest falls below an earlier peak (the capital is one), the deepest first; two never overlap.

    Returns
    -------
    pd.DataFrame
        ``depth`` (a negative fraction of the peak), ``peak``, ``bottom`` and ``recovered`` (times of bars; NaT where
        equity is not back at the peak when the data ends; ``peak`` is the first bar where the capital is the peak),
        ``bars`` and ``days`` (from the peak until it is back, or the data ends).
    """
    values, times = equity.to_numpy(np.float64), pd.DatetimeIndex(equity.index)
    path = np.concatenate([[capital], values])
    peaks = np.maximum.accumulate(path)
    under = path < peaks
    begins = np.flatnonzero(under & ~np.concatenate([[False], under[:-1]]))
    rows = []
    for begin in begins.tolist():
        back = np.flatnonzero(~under[begin:])
        end = begin + int(back[0]) if len(back) else len(path)
        bottom = begin + int(path[begin:end].argmin())
        first, last = max(begin - 2, 0), min(end, len(path) - 1) - 1
        recovered = times[end - 1] if len(back) else pd.NaT
        days = (times[last] - times[first]) / pd.Timedelta(days=1)
        depth = path[bottom] / peaks[bottom] - 1.0
        rows.append((depth, times[first], times[bottom - 1], recovered, last - first, days))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values("depth", kind="stable").head(count).reset_index(drop=True)
