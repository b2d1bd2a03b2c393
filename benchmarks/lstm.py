"""The LSTM of a file by PyTorch and as an ONNX graph, in 32 bits: what `dl.lstm` is measured against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plugins.models.recurrent.network import read_description, read_tensors, shapes

Rows = np.ndarray[Any, np.dtype[Any]]


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Rows]]:
    header = read_description(file)
    params = header["params"]
    return header, dict(read_tensors(file, shapes(len(header["columns"]), params["hidden_size"], params["num_layers"])))


def torch_predict(file: Path) -> Callable[[Rows], Rows]:
    import torch

    header, tensors = _read(file)
    lstm = torch.nn.LSTM(
        len(header["columns"]), header["params"]["hidden_size"], header["params"]["num_layers"], batch_first=True
    )
    head = torch.nn.Linear(header["params"]["hidden_size"], 1)
    for name, module in {"lstm": lstm, "head": head}.items():
        own = {key.partition(".")[2]: torch.from_numpy(value) for key, value in tensors.items() if key.startswith(name)}
        module.load_state_dict(own)
        module.eval()
    torch.set_num_threads(1)
    mean, std = np.asarray(header["mean"]), np.asarray(header["std"])

    def predict(windows: Rows) -> Rows:
        with torch.inference_mode():
            outputs, _ = lstm(torch.from_numpy(((windows - mean) / std).astype(np.float32)))
            outcome: Rows = head(outputs[:, -1])[:, 0].numpy()
        return header["target_mean"] + header["target_std"] * outcome  # type: ignore[no-any-return]

    return predict


def onnx_model(file: Path) -> bytes:
    """An LSTM node for each layer: ONNX has the gates in another order (input, output, forget, cell)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    header, tensors = _read(file)
    layers, size = header["params"]["num_layers"], header["params"]["hidden_size"]
    constants = {
        "mean": np.asarray(header["mean"], np.float32), "std": np.asarray(header["std"], np.float32),
        "last": np.asarray(-1), "one": np.asarray([1]), "head": tensors["head.weight"].T.copy(),
        "offset": tensors["head.bias"], "unit": np.asarray(header["target_std"], np.float32),
        "centre": np.asarray(header["target_mean"], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["moved"]),
        helper.make_node("Div", ["moved", "std"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["in0"], perm=[1, 0, 2]),
    ]
    for layer in range(layers):
        for short, name in {"W": "weight_ih", "R": "weight_hh"}.items():
            constants[f"{short}{layer}"] = _gates(tensors[f"lstm.{name}_l{layer}"], size)[np.newaxis]
        biases = [_gates(tensors[f"lstm.bias_{which}_l{layer}"], size) for which in ("ih", "hh")]
        constants[f"B{layer}"] = np.concatenate(biases)[np.newaxis]
        names = [f"in{layer}", f"W{layer}", f"R{layer}", f"B{layer}"]
        nodes += [
            helper.make_node("LSTM", names, [f"four{layer}"], hidden_size=size),
            helper.make_node("Squeeze", [f"four{layer}", "one"], [f"in{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("Gather", [f"in{layers}", "last"], ["newest"], axis=0),
        helper.make_node("Gemm", ["newest", "head", "offset"], ["out"]),
        helper.make_node("Mul", ["out", "unit"], ["sized"]),
        helper.make_node("Add", ["sized", "centre"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "lstm", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, len(header["columns"])])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _gates(values: Rows, size: int) -> Rows:
    i, f, c, o = (values[part * size : (part + 1) * size] for part in range(4))
    return np.concatenate([i, o, f, c])
