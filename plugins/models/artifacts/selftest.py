"""An artifact's self-test: rows of the training and what the model predicted for them, to the bit.

The file holds one record a row, of float64 little-endian: the row's features (for a sequence model those of its window,
oldest row first), then the prediction. It is data alone, and its shape follows from the model and the columns.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseModel, FloatArray
from schemas.errors import ArtifactError

ROWS = 32


class OrderedRows:
    """Rows of a matrix in another order, of which only those that are asked for are copied."""

    def __init__(self, rows: FloatArray, order: NDArray[np.int64]) -> None:
        self._rows, self._order = rows, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, numbers: NDArray[np.int64]) -> FloatArray:
        return self._rows[self._order[numbers]]


def some_windows(rows: FloatArray | OrderedRows, lookback: int, count: int) -> FloatArray:
    """Some windows of `lookback` consecutive rows, evenly spread from the first to the last (n x lookback x columns).

    `ValueError` when there are fewer rows than `lookback`.
    """
    if len(rows) < lookback:
        raise ValueError(f"{len(rows)} rows are no window of {lookback}")
    places = np.unique(np.linspace(0, len(rows) - lookback, count).round().astype(np.int64))
    return np.ascontiguousarray(rows[places[:, np.newaxis] + np.arange(lookback)], np.float64)


def write_self_test(model: BaseModel, path: Path, rows: FloatArray | OrderedRows, columns: list[str]) -> None:
    """The self-test of `model` on some of `rows`; for a sequence model they follow each other, symbol by symbol."""
    sample = some_windows(rows, model.lookback, ROWS)
    predictions = np.asarray(model.predict_windows(sample, columns), np.float64)
    records = np.column_stack([sample.reshape(len(sample), -1), predictions])
    path.write_bytes(records.astype("<f8").tobytes())


def prove_self_test(model: BaseModel, data: bytes, columns: list[str]) -> None:
    """Predicts the rows of a self-test anew; `ArtifactError` when a prediction differs in any bit.

    A NaN is equal to a NaN: its other bits are the processor's.
    """
    sample, wanted = _read(data, model.lookback, len(columns))
    predictions = np.asarray(model.predict_windows(sample, columns), np.float64)
    if predictions.shape != wanted.shape:
        raise ArtifactError(f"its self-test: {len(predictions)} predictions for {len(wanted)} rows")
    differing = (predictions.view("i8") != wanted.view("i8")) & ~(np.isnan(predictions) & np.isnan(wanted))
    if differing.any():
        row = int(np.flatnonzero(differing)[0])
        raise ArtifactError(
            f"its self-test: {int(differing.sum())} of {len(wanted)} predictions are not those of the training (the "
            f"first: {float(predictions[row])!r} instead of {float(wanted[row])!r}): another version of a library "
            "or another processor computes otherwise; train again here, or install the versions that the manifest lists"
        )


def _read(data: bytes, lookback: int, width: int) -> tuple[FloatArray, FloatArray]:
    size = lookback * width + 1
    if not data or len(data) % (8 * size):
        raise ArtifactError(f"its self-test of {len(data)} bytes is not one of {width} columns; train again")
    records = np.frombuffer(data, "<f8").astype(np.float64).reshape(-1, size)
    sample = np.ascontiguousarray(records[:, :-1]).reshape(-1, lookback, width)
    return sample, np.ascontiguousarray(records[:, -1])
