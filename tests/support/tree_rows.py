"""Rows on which models of trees are compared with their libraries."""

import numpy as np
from numpy.typing import NDArray

from plugins.models.trees.arrays import ZERO

EDGES = [np.nan, 0.0, -0.0, np.inf, -np.inf, 1e300, -1e300, 1e-300, ZERO, -ZERO, ZERO / 2, -ZERO / 2]
EDGES += [
    float(np.nextafter(ZERO, 1.0)),
    float(np.nextafter(-ZERO, -1.0)),
    5e-324,
    -0.5,
    31.9,
    32.0,
    2.0**31,
    -(2.0**31),
]


def data(seed: int, rows: int = 2000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two normal columns, one with many NaN, one mostly 0, one constant, a category, one of huge and tiny numbers."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 7))
    x[rng.random(rows) < 0.3, 2] = np.nan
    x[rng.random(rows) < 0.7, 3] = 0.0
    x[:, 4] = 3.0
    x[:, 5] = rng.integers(0, 70, rows)
    x[:, 6] *= 10.0 ** rng.integers(-40, 40, rows)
    y = x[:, 0] * x[:, 1] + np.nan_to_num(x[:, 2]) * 0.5 + (x[:, 3] == 0) + x[:, 5] % 3 + np.sign(x[:, 6])
    return x, y + rng.normal(size=rows) * 0.3


def questions(x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Rows of the training, the same with odd values strewn in, and rows of one odd value."""
    rng = np.random.default_rng(seed + 1)
    odd = x.copy()
    where = rng.random(x.shape) < 0.4
    odd[where] = rng.choice(EDGES, where.sum())
    return np.concatenate([x[:300], odd[:1500], np.tile(np.array(EDGES)[:, None], x.shape[1])])
