"""Columns of times as people write them: datetimes, ISO 8601, or milliseconds since the epoch; UTC."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

EARLIEST, LATEST = 100_000_000_000, 253_402_300_799_999
"""Milliseconds in 1973 and at the end of 9999."""


def times_in(path: Path, raw: pd.DataFrame, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The times of the column `name` in ms, and which rows have none."""
    column = raw[name]
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)):
        column = _parsed(column)
    if pd.api.types.is_numeric_dtype(column):
        return _milliseconds(path, name, column.to_numpy(np.float64, na_value=np.nan))
    times = column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
    unknown = times.isna().to_numpy()
    if len(times) and unknown.all():
        seen = raw[name].iloc[0]
        raise ConfigurationError(f"{path}: column {name} holds {seen!r}, which is no time such as 2013-10-04T14:30:00Z")
    filled = times.fillna(pd.Timestamp(0)).dt.as_unit("ms").to_numpy().astype(np.int64)
    return filled, unknown


def _parsed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().any():
        return numbers
    return pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")


def _milliseconds(path: Path, name: str, numbers: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    unknown = ~np.isfinite(numbers)
    known = numbers[~unknown]
    # seconds, days or yyyymmdd are below what milliseconds were in 1973, microseconds and nanoseconds above those
    # of the year 9999
    if len(known) and (known.min() < EARLIEST or known.max() > LATEST):
        raise ConfigurationError(
            f"{path}: column {name} holds {known[0]:.0f}, which is no time in milliseconds since the epoch; "
            "convert it, or write ISO 8601"
        )
    return np.where(unknown, 0, numbers).astype(np.int64), unknown
