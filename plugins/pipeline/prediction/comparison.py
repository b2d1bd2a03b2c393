"""How a shadow's predictions compare with those of the model in force."""

import math

import numpy as np

from plugins.base import FloatArray


class ShadowComparison:
    """Counts since the process started, over all partitions: rows on which the shadow failed, and how its predictions
    compare with the model's on the rows that have both.

    Sums are about the first pair of values, so that a large mean does not drown small differences.
    """

    def __init__(self) -> None:
        self.rows = self.failures = 0
        self.first_failure: str | None = None
        self._origin = (0.0, 0.0)
        self._sums = np.zeros(6)
        self._signs = 0

    def add(self, model: FloatArray, shadow: FloatArray) -> None:
        """Predictions of the same rows, shape (rows,); rows that lack one of both do not count."""
        both = np.isfinite(model) & np.isfinite(shadow)
        if not both.any():
            return
        x, y = model[both], shadow[both]
        if not self.rows:
            self._origin = (float(x[0]), float(y[0]))
        self.rows += len(x)
        self._signs += int((np.sign(x) != np.sign(y)).sum())
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.abs(x - y).sum()
            x, y = x - self._origin[0], y - self._origin[1]
            self._sums += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum(), apart]

    def describe(self) -> dict[str, float | int | None]:
        """Rows with both, Pearson's correlation (None: undefined), mean absolute difference, the share of rows where
        the predictions differ in sign; and rows where the shadow failed.
        """
        n, (x, y, xx, yy, xy, apart) = self.rows, self._sums.tolist()
        spread = (xx - x * x / n) * (yy - y * y / n) if n else 0.0
        correlation = (xy - x * y / n) / math.sqrt(spread) if 0.0 < spread < math.inf else None
        return {
            "rows": n,
            "correlation": None if correlation is None else none_if_not_finite(correlation),
            "mean_absolute_difference": none_if_not_finite(apart / n) if n else None,
            "other_sign": self._signs / n if n else None,
            "failures": self.failures,
        }


def none_if_not_finite(value: float) -> float | None:
    """The value as JSON can hold it."""
    return value if math.isfinite(value) else None
