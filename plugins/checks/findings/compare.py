"""Where two frames differ, in words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import FloatArray

CLOSE = 1e-9
"""Relative to the value or to the column's usual size: what pandas' running sums may differ by."""


@dataclass(frozen=True)
class Difference:
    """The first of the differences: `row` is its number, -1 for one of columns or dtypes."""

    text: str
    row: int = -1


def difference(before: pd.DataFrame, after: pd.DataFrame, tolerance: float = 0.0) -> Difference | None:
    """How `after` differs from `before` (of equal length); None when the columns, dtypes and values are the same.

    `tolerance` is relative to the larger value, or to the median size of the column in `before`. NaN equals NaN.
    """
    if list(before.columns) != list(after.columns):
        return Difference(f"the columns were {names(before)} and became {names(after)}")
    for name, was, became in zip(before.columns, before.dtypes, after.dtypes, strict=True):
        if was != became:
            return Difference(f"the dtype of {name} was {was} and became {became}")
    first, second = numbers(before), numbers(after)
    rows, columns = np.nonzero(_differ(first, second, tolerance))
    if not len(rows):
        return None
    row, column = int(rows[0]), int(columns[0])
    return Difference(
        f"{before.columns[column]} of row {row} was {first[row, column]:.12g} and became {second[row, column]:.12g}",
        row,
    )


def numbers(frame: pd.DataFrame) -> FloatArray:
    """The values as float64, whatever the columns' numeric dtypes."""
    if not frame.shape[1]:
        return np.empty(frame.shape)
    return np.column_stack([frame.iloc[:, i].to_numpy(np.float64, na_value=np.nan) for i in range(frame.shape[1])])


def names(frame: pd.DataFrame) -> str:
    shown = [str(name) for name in frame.columns]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "") or "none"


def distance(first: FloatArray, second: FloatArray) -> float:
    """The largest relative difference; infinite when one is NaN and the other is not."""
    if not first.size:
        return 0.0
    if (np.isnan(first) != np.isnan(second)).any():
        return np.inf
    with np.errstate(all="ignore"):
        relative = np.abs(first - second) / _sizes(first, second)
    return float(np.nanmax(np.where((first == second) | np.isnan(first), 0.0, relative)))


def _differ(first: FloatArray, second: FloatArray, tolerance: float) -> NDArray[np.bool_]:
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    if tolerance:
        with np.errstate(all="ignore"):
            same |= np.abs(first - second) <= tolerance * _sizes(first, second)
    return np.asarray(~same, np.bool_)


def _sizes(first: FloatArray, second: FloatArray) -> FloatArray:
    """What a difference is relative to: the larger value, or the column's median size where that is larger."""
    with np.errstate(all="ignore"):
        finite = np.where(np.isfinite(first), np.abs(first), np.nan)
        usual = np.array([np.nanmedian(c) if np.isfinite(c).any() else 0.0 for c in finite.T])
        sizes: FloatArray = np.maximum(np.maximum(np.abs(first), np.abs(second)), usual)
    return sizes
