"""An artifact's self-test: rows of the training and what the model predicted for them, to the bit.

The file holds one record a row, of float64 little-endian: the row's features (for a sequence model those of its window,
oldest row first), then the prediction. It is data alone, and its shape follows from the model and the columns.
"""

from pathlib import Path

import numpy as np

from plugins.base import BaseModel, FloatArray
from schemas.errors import ArtifactError

ROWS = 32


def predict_sample(model: BaseModel, sample: FloatArray, columns: list[str]) -> FloatArray:
    """Predictions of a sample (rows x columns), as the pipeline asks for them.

    A sequence model's sample is (rows x lookback x columns): this is the place that asks it for its windows.
    """
    return np.asarray(model.predict_rows(np.ascontiguousarray(sample), columns), np.float64)


def sample_of(rows: FloatArray, count: int = ROWS) -> FloatArray:
    """Some of `rows`, evenly spread from the first to the last; all of them when there are no more than `count`."""
    if not len(rows):
        raise ValueError("there are no rows for the self-test")
    places = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(np.int64))
    return np.ascontiguousarray(rows[places], np.float64)


def write_self_test(model: BaseModel, path: Path, rows: FloatArray, columns: list[str]) -> None:
    """The self-test of `model` on some of `rows` (rows x columns, or rows x lookback x columns)."""
    sample = sample_of(rows)
    predictions = predict_sample(model, sample, columns)
    records = np.column_stack([sample.reshape(len(sample), -1), predictions])
    path.write_bytes(records.astype("<f8").tobytes())


def prove_self_test(model: BaseModel, data: bytes, columns: list[str]) -> None:
    """Predicts the rows of a self-test anew; `ArtifactError` when a prediction differs in any bit.

    A NaN is equal to a NaN: its other bits are the processor's.
    """
    sample, wanted = _read(data, len(columns))
    found = predict_sample(model, sample, columns)
    if found.shape != wanted.shape:
        raise ArtifactError(f"its self-test: {len(found)} predictions for {len(wanted)} rows")
    differing = (found.view("i8") != wanted.view("i8")) & ~(np.isnan(found) & np.isnan(wanted))
    if differing.any():
        row = int(np.flatnonzero(differing)[0])
        raise ArtifactError(
            f"its self-test: {int(differing.sum())} of {len(wanted)} predictions are not those of the training (the "
            f"first: {float(found[row])!r} instead of {float(wanted[row])!r}): another version of a library or another "
            "processor computes otherwise; train again here, or install the versions that the manifest lists"
        )


def _read(data: bytes, width: int) -> tuple[FloatArray, FloatArray]:
    record = 8 * (width + 1)
    if not data or len(data) % record:
        raise ArtifactError(f"its self-test of {len(data)} bytes is not one of {width} columns; train again")
    records = np.frombuffer(data, "<f8").astype(np.float64).reshape(-1, width + 1)
    return np.ascontiguousarray(records[:, :-1]), np.ascontiguousarray(records[:, -1])
