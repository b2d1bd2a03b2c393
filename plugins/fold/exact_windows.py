"""Moments of the windows of a series, each summed by itself.

pandas takes one value out of a running sum and puts the next one in. What is left of a jump, or of a bad tick a million
times the price, then stays in all later windows: after 600 equal closes a deviation of 3.5e-10 instead of 0.

>>> means, deviations = rolling_moments(np.array([1e6, 1.0, 2.0, 2.0, 2.0]), 3)
>>> means.round(6).tolist(), deviations[3:].round(6).tolist()
([nan, nan, 333334.333333, 1.666667, 2.0], [0.57735, 0.0])
"""

import math
from typing import Any

import numpy as np

from plugins.base import FloatArray
from plugins.fold.kernel import compile_function
from plugins.fold.rolling import moments


def rolling_moments(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Mean and sample standard deviation (ddof 1) of the last `window` values, this one included.

    NaN while there are fewer, and where one of them is not known; a window of equal values has a deviation of exactly
    0.
    """
    values = np.ascontiguousarray(values, np.float64)
    means, deviations = np.full(len(values), np.nan), np.full(len(values), np.nan)
    arguments = (values, np.array([window], np.int64), means, deviations)
    compile_function(_windows, *arguments)(*arguments)
    return means, deviations


def _windows(values: Any, window: Any, means: Any, deviations: Any) -> None:
    length = window[0]
    for last in range(length - 1, len(values)):
        known, oldest, mean, squares = moments(values, last - length + 1, length)
        if known == length:
            means[last] = oldest + mean
            deviations[last] = math.sqrt(squares / (length - 1)) if length > 1 else math.nan
