"""Training of an LSTM by PyTorch: the same rows and parameters give the same numbers, whatever ran before."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.models.recurrent.network import Float32Array
from schemas.errors import PluginError


def fit(
    rows: FloatArray,
    target: FloatArray,
    ends: NDArray[np.int64],
    params: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Float32Array]:
    """The tensors of a trained LSTM with a linear head.

    Parameters
    ----------
    rows, target
        Scaled; each symbol's rows lie together, in order of time.
    ends
        Numbers of the rows that a window of ``seq_len`` rows ends at, to train on.
    params
        Of `dl.lstm`.
    progress
        Told after each epoch how many are done, and how many there are.

    Notes
    -----
    Adam on the mean squared error, every window once an epoch, in an order drawn anew for each.
    """
    torch = _library()
    with _repeatable(torch, params["seed"]):
        module = _module(torch, rows.shape[1], params)
        _learn(torch, module, rows, target, ends, params, progress or (lambda done, total: None))
    state = module.state_dict()
    tensors: dict[str, Float32Array] = {name: tensor.detach().numpy().copy() for name, tensor in state.items()}
    return tensors


def _module(torch: Any, columns: int, params: dict[str, Any]) -> Any:
    layers, hidden = params["num_layers"], params["hidden_size"]
    dropout = params["dropout"] if layers > 1 else 0.0  # between layers: PyTorch warns where there is one
    lstm = torch.nn.LSTM(columns, hidden, layers, dropout=dropout, batch_first=True)
    return torch.nn.ModuleDict({"lstm": lstm, "head": torch.nn.Linear(hidden, 1)})


def _learn(
    torch: Any, module: Any, rows: FloatArray, target: FloatArray, ends: NDArray[np.int64], params: dict[str, Any],
    progress: Callable[[int, int], None],
) -> None:  # fmt: skip
    inputs = torch.from_numpy(np.asarray(rows, np.float32))
    wanted = torch.from_numpy(np.asarray(target, np.float32))
    last = torch.from_numpy(ends)
    back = torch.arange(1 - params["seq_len"], 1)
    order = torch.Generator().manual_seed(params["seed"])
    optimiser = torch.optim.Adam(module.parameters(), lr=params["lr"])
    module.train()
    for epoch in range(params["epochs"]):
        for batch in last[torch.randperm(len(last), generator=order)].split(params["batch_size"]):
            outputs, _ = module["lstm"](inputs[batch[:, None] + back])
            loss = torch.nn.functional.mse_loss(module["head"](outputs[:, -1])[:, 0], wanted[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        progress(epoch + 1, params["epochs"])


@contextlib.contextmanager
def _repeatable(torch: Any, seed: int) -> Iterator[None]:
    """One thread and deterministic algorithms, the global generator (initial weights and dropout draw from it) seeded;
    all of it as it was afterwards.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warn_only)
            torch.set_num_threads(threads)


def _library() -> Any:
    try:
        import torch
    except ImportError:
        raise PluginError("dl.lstm: training needs PyTorch: pip install 'alphawire[deep]'") from None
    return torch
