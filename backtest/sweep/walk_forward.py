"""Walk-forward of a sweep: what was best in one stretch of time, on the next."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class Window:
    """Bars closing in [`begin`, `end`] (ms), traded by the point that was best in the window before; Sharpe ratios are
    per bar, `chosen` is the point's in the window that chose it, `after` in this one.
    """

    begin: int
    end: int
    point: int
    chosen: float | None
    after: float | None


def walk_forward(returns: NDArray[np.float64], times: NDArray[np.int64], count: int) -> list[Window]:
    """`returns`: a column for each point, a row for each of `times`; cut into `count` windows of equal length.

    Equal ones: the first point.
    """
    if count < 2 or len(returns) < 2 * count:
        raise ConfigurationError(f"{len(returns)} bars cannot be cut into {count} windows for a walk-forward")
    parts = np.array_split(np.arange(len(returns)), count)
    windows = []
    for before, now in itertools.pairwise(parts):
        sharpes = [_sharpe(returns[before, column]) for column in range(returns.shape[1])]
        best = int(np.argmax([-np.inf if value is None else value for value in sharpes]))
        after = _sharpe(returns[now, best])
        windows.append(Window(int(times[now[0]]), int(times[now[-1]]), best, sharpes[best], after))
    return windows


def _sharpe(returns: NDArray[np.float64]) -> float | None:
    spread = float(returns.std(ddof=1))
    return float(returns.mean()) / spread if spread > 1e-14 else None
