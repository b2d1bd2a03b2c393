"""Whether higher predictions were followed by higher returns."""

from typing import Any

import numpy as np
import pandas as pd

BUCKETS = 10
FEWEST = 100
"""Predictions below which deciles say nothing."""


def deciles(decisions: pd.DataFrame, prices: pd.DataFrame, horizon: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predictions in ten buckets of equal size, and what came after: the return from the next bar's open to the open
    `horizon` bars later, which is what an order could have had.

    Parameters
    ----------
    decisions
        By (time, symbol), with `prediction`.
    prices
        By (time, symbol), with `open`.

    Returns
    -------
    tuple
        A row a bucket, the lowest predictions first: ``count``, ``prediction`` and ``return`` (means). And
        ``information_coefficient`` (Spearman's rank correlation of all pairs), ``monotonicity`` (that of the buckets'
        mean returns with their numbers). Both empty for fewer than 100 pairs, or predictions without enough different
        values.
    """
    if "prediction" not in decisions:
        return pd.DataFrame(), {}
    opens: Any = prices["open"].groupby(level="symbol")
    after = opens.shift(-1 - horizon) / opens.shift(-1) - 1.0
    pairs = pd.DataFrame({"prediction": decisions["prediction"], "return": after.reindex(decisions.index)})
    pairs = pairs.loc[np.isfinite(pairs.to_numpy(np.float64)).all(axis=1)]
    if len(pairs) < FEWEST or pairs["prediction"].nunique() < BUCKETS:
        return pd.DataFrame(), {}
    ranks = pairs["prediction"].rank(method="first")
    bucket = np.ceil(ranks / len(pairs) * BUCKETS).astype(int)
    grouped = pairs.groupby(bucket)
    table = grouped.mean().assign(count=grouped.size())[["count", "prediction", "return"]]
    numbers = {
        "information_coefficient": _spearman(pairs["prediction"], pairs["return"]),
        "monotonicity": _spearman(pd.Series(table.index, table.index), table["return"]),
        "horizon": horizon,
        "pairs": len(pairs),
    }
    return table, numbers


def _spearman(first: "pd.Series[Any]", second: "pd.Series[Any]") -> float | None:
    value = float(first.rank().corr(second.rank()))
    return value if np.isfinite(value) else None
