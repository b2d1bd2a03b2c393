"""`dl.lstm`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from plugins.base import FloatArray, Params
from plugins.base.columns import column_fault
from plugins.base.streaming import slots_of
from plugins.fold.sequence import SequenceModel, matrix
from plugins.models import model_registry
from schemas.errors import ArtifactError, PluginError

if TYPE_CHECKING:
    from plugins.models.recurrent.network import Float32Array, Weights

SCALES = ("mean", "std")


class LSTMParams(Params):
    seq_len: int = Field(20, ge=2, le=1_000, description="rows that a prediction sees, its own included")
    hidden_size: int = Field(64, ge=1, le=1_024)
    num_layers: int = Field(2, ge=1, le=8)
    dropout: float = Field(0.1, ge=0, lt=1, description="between layers, in training only")
    lr: float = Field(1e-3, gt=0, le=1)
    batch_size: int = Field(64, ge=1, le=65_536)
    epochs: int = Field(20, ge=1, le=10_000)
    seed: int = Field(42, ge=0, le=2**31 - 1)


@model_registry.register("dl.lstm")
class LSTM(SequenceModel):
    """A long short-term memory over a symbol's last rows, with a linear head: one number, in the target's unit.

    Parameters
    ----------
    seq_len
        Rows t - seq_len + 1 … t of the same symbol make row t's prediction; the first seq_len - 1 have none (NaN).
    hidden_size, num_layers, dropout
        As ``torch.nn.LSTM`` has them.
    lr, batch_size, epochs
        Of Adam, on the mean squared error.
    seed
        Makes training repeatable.

    Notes
    -----
    Columns are scaled by mean and sample deviation of the training's rows, and so is the target, whose scale the
    prediction is given back in (returns of a thousandth would take the head an age to reach); a column that did not
    vary is only moved. A window with a NaN, or a value so far off that it overflows, gives NaN rather than a guess, and
    is not trained on. A row whose target is NaN is trained on only as a part of later windows.

    Training is PyTorch's, in one thread. Predictions come from a compiled loop in float64
    (`plugins.models.recurrent.network`): the same bits alone and in any batch, within 1e-12 of PyTorch's own in
    float64, and without PyTorch. The file is safetensors; parameters, columns and scales are JSON in its metadata.

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, Neural Computation 9 (8), 1997.
    """

    Params = LSTMParams
    packages = {"torch": "alphawire[deep]", "safetensors": "alphawire[deep]"}
    batch_invariant = True
    file_name = "model.safetensors"
    cost = "slow (0.15 ms)"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.lookback = self.params["seq_len"]
        self.columns: list[str] = []
        self._mean = self._std = np.empty(0)
        self._target = (0.0, 1.0)
        self._tensors: dict[str, Float32Array] = {}
        self._weights: Weights | None = None

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self:  # noqa: N803
        from plugins.models.recurrent.training import fit

        columns, values, target = [str(name) for name in X.columns], matrix(self, X), np.asarray(y, np.float64)
        if len(set(columns)) < len(columns):
            raise PluginError(f"dl.lstm: {column_fault(columns, list(dict.fromkeys(columns)))}; name each column once")
        known = np.isfinite(target)
        if len(values) != len(target) or not known.any() or np.isinf(target).any():
            raise PluginError(f"dl.lstm: {len(values)} rows and {known.sum()} finite targets; give one for each")
        mean, std = scales(values[known])
        offset, unit = float(target[known].mean()), _deviation(target[known])
        scaled = (values - mean) / std
        order, ends = self._windows(scaled, known, X.index)
        tensors = fit(scaled[order], (target[order] - offset) / unit, ends, self.params, self.progress)
        self._accept(tensors, columns, mean, std, (offset, unit))
        return self

    def _windows(
        self, scaled: FloatArray, known: NDArray[np.bool_], index: pd.Index
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows in the order of their symbols, and the places there at which a window without a hole ends whose
        target is known.
        """
        slots, _ = slots_of(index)
        order = np.argsort(slots, kind="stable").astype(np.int64)
        ordered, length = slots[order], self.lookback
        holes = np.concatenate([[0], np.cumsum(~np.isfinite(scaled[order]).all(axis=1))])
        ends = np.arange(length - 1, len(order))
        one_symbol = ordered[ends] == ordered[ends - length + 1]
        whole = one_symbol & (holes[ends + 1] == holes[ends + 1 - length]) & known[order][ends]
        if not whole.any():
            raise PluginError(f"dl.lstm: no symbol has {length} rows in succession without a NaN; give more rows")
        return order, ends[whole]

    def forward(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        weights = self._ready()
        if columns != self.columns:
            raise PluginError(f"dl.lstm: other columns than in training: {column_fault(columns, self.columns)}")
        with np.errstate(all="ignore"):
            scaled = (windows - self._mean) / self._std
        predictions = np.full(len(windows), np.nan)
        known = np.isfinite(scaled).all(axis=(1, 2))
        offset, unit = self._target
        predictions[known] = offset + unit * weights.forward(scaled[known])
        return predictions

    def save(self, path: str | Path) -> None:
        from plugins.models.recurrent.network import write

        self._ready()
        description = {
            "params": self.params, "columns": self.columns, "mean": self._mean.tolist(), "std": self._std.tolist(),
            "target_mean": self._target[0], "target_std": self._target[1],
        }  # fmt: skip
        write(path, self._tensors, description)

    def load(self, path: str | Path) -> Self:
        from plugins.models.recurrent.network import read_description, read_tensors, shapes

        description = read_description(path)
        try:
            params = self.validate(dict(description["params"]))
            columns = _names(description["columns"])
            mean, std = (_numbers(description[name], len(columns)) for name in SCALES)
            target = (_numbers([description["target_mean"]], 1)[0], _numbers([description["target_std"]], 1)[0])
            if not (std > 0).all() or not target[1] > 0:
                raise ValueError("a deviation that is not above 0")
        except (KeyError, TypeError, ValueError, OverflowError, PluginError) as error:
            raise ArtifactError(f"{path}: its metadata are damaged: {type(error).__name__}: {error}") from None
        tensors = read_tensors(path, shapes(len(columns), params["hidden_size"], params["num_layers"]))
        self.params, self.lookback = params, params["seq_len"]
        self._accept(tensors, columns, mean, std, (float(target[0]), float(target[1])))
        return self

    def _accept(
        self,
        tensors: "dict[str, Float32Array]",
        columns: list[str],
        mean: FloatArray,
        std: FloatArray,
        target: tuple[float, float],
    ) -> None:
        from plugins.models.recurrent.network import weights_of

        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise PluginError("dl.lstm: the training diverged, its weights are not finite; use a smaller lr")
        self._tensors, self._weights = tensors, weights_of(tensors)
        self.columns, self._mean, self._std, self._target = columns, mean, std, target

    def _ready(self) -> "Weights":
        if self._weights is None:
            raise PluginError("dl.lstm: there is no model yet; call train or load first")
        return self._weights


def scales(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and sample deviation of each column, of what is finite there; 1 where it does not vary."""
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for number, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        if len(known):
            mean[number], std[number] = known.mean(), _deviation(known)
    return mean, std


def _deviation(values: FloatArray) -> float:
    """Sample deviation; 1 where all are equal (their mean may differ from them in the last bit) or it cannot be."""
    deviation = float(values.std(ddof=1)) if values.min() < values.max() else 0.0
    return deviation if math.isfinite(deviation) and deviation > 0.0 else 1.0


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError("columns is no list of names")
    return value


def _numbers(values: Any, count: int) -> FloatArray:
    if not isinstance(values, list) or len(values) != count or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{count} numbers are wanted")
    numbers = np.array([float(value) for value in values])
    if not np.isfinite(numbers).all():
        raise ValueError("a number that is not finite")
    return numbers
