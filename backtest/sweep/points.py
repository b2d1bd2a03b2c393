"""The points of a sweep, and what they came to together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sweep.grid import Values
from backtest.sweep.walk_forward import Window
from backtest.trials.trials import TrialVerdict
from schemas.configuration import Strategy


@dataclass(frozen=True)
class Point:
    """One combination of settings, perhaps for one symbol alone, and what it came to."""

    number: int
    parameters: Values
    config_hash: str
    symbol: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    returns: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    times: tuple[int, int] = (0, 0)

    @property
    def sharpe(self) -> float:
        value = self.metrics.get("sharpe")
        return -np.inf if value is None else float(value)

    def mine(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of its symbol, or all of them."""
        return frame if self.symbol is None else frame[frame["symbol"] == self.symbol]


Task = tuple[Point, Strategy, pd.DataFrame]
"""A point that is to be run, its strategy and its signals."""
Run = Callable[[Point, Strategy, pd.DataFrame, pd.DataFrame], Point]
"""Runs a point, by its strategy, bars and signals."""


@dataclass(frozen=True)
class Sweep:
    """All points in order; `best` has the highest Sharpe ratio. `matrix`: their returns, a column each."""

    points: list[Point]
    best: Point
    verdict: TrialVerdict
    windows: list[Window]
    resumed: int

    @property
    def table(self) -> pd.DataFrame:
        """A row for each point: number, symbol (with per-symbol sweeps), parameters, metrics."""
        rows = [
            {"point": point.number}
            | ({"symbol": point.symbol} if point.symbol else {})
            | point.parameters
            | point.metrics
            for point in self.points
        ]
        return pd.DataFrame(rows)

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.column_stack([point.returns for point in self.points])
