"""An LSTM's weights and one compiled forward pass over them: served without PyTorch, a window at a time.

A matrix product over a batch sums in another order than over one row, so its last bits depend on the batch. This loop
has one order of sums, and calls nothing (libm's `exp` differs in the last bit between processors): a window gives the
same bits alone, in any batch, and on any machine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from schemas.errors import ArtifactError, PluginError

Float32Array = NDArray[np.float32]

LARGEST_FILE = 256 * 1024 * 1024
LARGEST_METADATA = 1024 * 1024
MAX_EXPONENT = 40.0
"""Beyond it a logistic function is 0 or 1 to the last bit that matters."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of each layer, transposed (the sums run down the columns) and exactly PyTorch's numbers, as float64.

    Attributes
    ----------
    first
        Of the rows to the first layer: (columns, 4 hidden), gates in PyTorch's order: input, forget, cell, output.
    inputs
        Of the layer below to each further layer: (layers - 1, hidden, 4 hidden).
    hidden
        Of each layer to itself: (layers, hidden, 4 hidden).
    bias
        PyTorch's two biases, added: (layers, 4 hidden).
    head, offset
        The linear head: (hidden,), and a number.
    """

    first: FloatArray
    inputs: FloatArray
    hidden: FloatArray
    bias: FloatArray
    head: FloatArray
    offset: float

    def forward(self, windows: FloatArray) -> FloatArray:
        """The head's output after the last row of each window (n x rows x columns, already scaled)."""
        outs = np.empty(len(windows))
        windows = np.require(windows, np.float64, ["C", "W"])
        _forward(windows, self.first, self.inputs, self.hidden, self.bias, self.head, self.offset, outs)
        return outs


def shapes(columns: int, hidden: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, as ``torch.nn.LSTM`` and ``torch.nn.Linear`` call them."""
    sizes: dict[str, tuple[int, ...]] = {"head.weight": (1, hidden), "head.bias": (1,)}
    for layer in range(layers):
        sizes[f"lstm.weight_ih_l{layer}"] = (4 * hidden, hidden if layer else columns)
        sizes[f"lstm.weight_hh_l{layer}"] = (4 * hidden, hidden)
        sizes[f"lstm.bias_ih_l{layer}"] = sizes[f"lstm.bias_hh_l{layer}"] = (4 * hidden,)
    return sizes


def weights_of(tensors: Mapping[str, Float32Array]) -> Weights:
    """For the loop, from tensors whose names and shapes were checked."""
    exact = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}
    layers = sum(name.startswith("lstm.weight_hh") for name in exact)
    hidden = exact["head.weight"].shape[1]
    further = [exact[f"lstm.weight_ih_l{layer}"].T for layer in range(1, layers)]
    return Weights(
        first=np.ascontiguousarray(exact["lstm.weight_ih_l0"].T),
        inputs=np.array(further, np.float64).reshape(len(further), hidden, 4 * hidden),
        hidden=np.array([exact[f"lstm.weight_hh_l{layer}"].T for layer in range(layers)]),
        bias=np.array([exact[f"lstm.bias_ih_l{layer}"] + exact[f"lstm.bias_hh_l{layer}"] for layer in range(layers)]),
        head=np.ascontiguousarray(exact["head.weight"][0]),
        offset=float(exact["head.bias"][0]),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _squash(values: Any, first: int, last: int, scale: float) -> None:
    """The logistic function (scale 1) or the hyperbolic tangent (scale 2: ``2 / (1 + exp(-2x)) - 1``), in place."""
    for j in range(first, last):
        x = -scale * values[j]
        x = -MAX_EXPONENT if x < -MAX_EXPONENT else x
        x = MAX_EXPONENT if x > MAX_EXPONENT else x
        # exp(x) = exp(x / 256) ^ 256: its series to the tenth power, within 1e-13 of the truth
        y = x * (1.0 / 256.0)
        power = 1.0 + y * (1.0 / 9.0) * (1.0 + y * (1.0 / 10.0))
        power = 1.0 + y * (1.0 / 8.0) * power
        power = 1.0 + y * (1.0 / 7.0) * power
        power = 1.0 + y * (1.0 / 6.0) * power
        power = 1.0 + y * (1.0 / 5.0) * power
        power = 1.0 + y * (1.0 / 4.0) * power
        power = 1.0 + y * (1.0 / 3.0) * power
        power = 1.0 + y * (1.0 / 2.0) * power
        power = 1.0 + y * power
        for _ in range(8):
            power = power * power
        values[j] = scale / (1.0 + power) - (scale - 1.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_product(gates: Any, inputs: Any, weights: Any) -> None:
    """``gates += inputs @ weights``, four inputs at a time: each gate's sum goes from the first input to the last."""
    fours = len(inputs) // 4 * 4
    for k in range(0, fours, 4):
        a, b, c, d = inputs[k], inputs[k + 1], inputs[k + 2], inputs[k + 3]
        of_a, of_b, of_c, of_d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(len(gates)):
            gates[j] = gates[j] + a * of_a[j] + b * of_b[j] + c * of_c[j] + d * of_d[j]
    for k in range(fours, len(inputs)):
        a, of_a = inputs[k], weights[k]
        for j in range(len(gates)):
            gates[j] += a * of_a[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _update(gates: Any, cell: Any, hidden: Any, squashed: Any) -> None:
    """``c = f * c + i * g`` and ``h = o * tanh(c)``."""
    size = len(hidden)
    _squash(gates, 0, 2 * size, 1.0)
    _squash(gates, 2 * size, 3 * size, 2.0)
    _squash(gates, 3 * size, 4 * size, 1.0)
    for j in range(size):
        cell[j] = gates[size + j] * cell[j] + gates[j] * gates[2 * size + j]
        squashed[j] = cell[j]
    _squash(squashed, 0, size, 2.0)
    for j in range(size):
        hidden[j] = gates[3 * size + j] * squashed[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _forward(
    windows: Any, first: Any, inputs: Any, hidden: Any, bias: Any, head: Any, offset: float, outs: Any
) -> None:
    layers, size = len(bias), len(head)
    state, cells = np.empty((layers, size)), np.empty((layers, size))
    gates, squashed = np.empty(4 * size), np.empty(size)
    for i in range(len(windows)):
        state[:] = 0.0
        cells[:] = 0.0
        for row in range(windows.shape[1]):
            for layer in range(layers):
                gates[:] = bias[layer]
                if layer == 0:
                    _add_product(gates, windows[i, row], first)
                else:
                    _add_product(gates, state[layer - 1], inputs[layer - 1])
                _add_product(gates, state[layer], hidden[layer])
                _update(gates, cells[layer], state[layer], squashed)
        total = offset
        for j in range(size):
            total += head[j] * state[layers - 1, j]
        outs[i] = total


def write(path: str | Path, tensors: Mapping[str, Float32Array], description: Mapping[str, Any]) -> None:
    """One safetensors file; `description` goes into its metadata as JSON."""
    save = _safetensors().numpy.save
    metadata = {"alphawire": json.dumps(description, sort_keys=True, ensure_ascii=False, allow_nan=False)}
    Path(path).write_bytes(save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}, metadata))


def read_description(path: str | Path) -> dict[str, Any]:
    """The description that `write` stored, before any tensor is read; `ArtifactError` when it cannot be read."""
    size = Path(path).stat().st_size
    if size > LARGEST_FILE:
        raise ArtifactError(f"{path}: {size:,} bytes; a dl.lstm has at most {LARGEST_FILE:,}")
    with _opened(path) as file:
        text = (file.metadata() or {}).get("alphawire", "")
    try:
        description = json.loads(text) if 0 < len(text) <= LARGEST_METADATA else None
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        raise ArtifactError(f"{path}: its metadata do not say what model it is; train it with alphawire")
    return description


def read_tensors(path: str | Path, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Float32Array]:
    """Exactly the tensors `wanted`, of those shapes, float32 and finite; `ArtifactError` that names what is not."""
    with _opened(path) as file:
        names = set(file.keys())
        if names != set(wanted):
            raise ArtifactError(f"{path}: damaged: the tensors {_few(names ^ set(wanted))} are too many or missing")
        for name, shape in wanted.items():
            part = file.get_slice(name)
            if tuple(part.get_shape()) != shape or part.get_dtype() != "F32":
                raise ArtifactError(
                    f"{path}: damaged: {name} is {part.get_dtype()} {tuple(part.get_shape())}, not F32 {shape}"
                )
        tensors: dict[str, Float32Array] = {name: file.get_tensor(name) for name in wanted}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ArtifactError(f"{path}: damaged: {name} holds a number that is not finite")
    return tensors


def _few(names: set[str]) -> str:
    return ", ".join(sorted(names)[:4])


def _opened(path: str | Path) -> Any:
    library = _safetensors()
    try:
        return library.safe_open(str(path), framework="numpy")
    except (library.SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: cannot be read as a safetensors file: {error}") from None


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise PluginError("dl.lstm: it needs safetensors: pip install 'alphawire[deep]'") from None
    return safetensors
