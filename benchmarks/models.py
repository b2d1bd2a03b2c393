"""What a prediction costs: one row and 1,000 rows, by what the pipeline calls, by each library's own predict and by
ONNX Runtime, all on one thread; and how far their answers are off the plugin's. PyTorch computes in 32 bits here, as it
trained; the LSTM's rows are windows.

Each call gets other rows: a processor learns the way of a row that comes again.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.training import make_samples
from benchmarks.common import generated_bars, write_config
from plugins.models import BaseModel, model_registry

KEYS = ["ml.lightgbm", "ml.xgboost", "ml.catboost", "ml.random_forest", "dl.lstm"]
PARAMS = {"dl.lstm": {"epochs": 1}}
"""The cost of a training of 20 epochs does not matter here."""
SIZES = {1: (10, 50), 1_000: (5, 4)}
"""Rows of a call; how often the three take turns, and how many calls a turn has: what else runs hits them alike."""
Rows = np.ndarray[Any, np.dtype[Any]]
Predict = Callable[[Rows], Rows]


def library(key: str, file: Path) -> Predict:
    """The library's own predict."""
    if key == "ml.lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=file)
        return lambda rows: booster.predict(rows, num_threads=1)
    if key == "ml.xgboost":
        import xgboost

        trees = xgboost.Booster({"nthread": 1}, model_file=file)
        trees.set_param({"nthread": 1})
        return lambda rows: trees.inplace_predict(rows)
    if key == "ml.random_forest":
        return _forest(file).predict  # type: ignore[no-any-return]
    if key == "dl.lstm":
        from benchmarks.lstm import torch_predict

        return torch_predict(file)
    import catboost

    model = catboost.CatBoostRegressor().load_model(str(file))
    return lambda rows: model.predict(rows, thread_count=1)


def _forest(file: Path) -> Any:
    import skops.io

    forest = skops.io.load(file, trusted=["sklearn.tree._tree.Tree"])
    del forest.feature_names_in_  # it would warn of rows without names
    return forest


def onnx(key: str, file: Path) -> Predict:
    """ONNX Runtime over the model as the library's or onnxmltools' converter gives it; it answers in 32 bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # CatBoost's export says a shape that its answers do not have, at each call
    session = onnxruntime.InferenceSession(_converted(key, file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: rows.astype(np.float32)})[0][:, 0]


def _converted(key: str, file: Path) -> bytes:
    if key == "ml.catboost":
        import catboost

        path = file.with_suffix(".onnx")
        catboost.CatBoostRegressor().load_model(str(file)).save_model(str(path), format="onnx")
        return path.read_bytes()
    if key == "dl.lstm":
        from benchmarks.lstm import onnx_model

        return onnx_model(file)
    if key == "ml.random_forest":
        import skl2onnx

        forest = _forest(file)
        types = [("x", skl2onnx.common.data_types.FloatTensorType([None, forest.n_features_in_]))]
        return bytes(skl2onnx.to_onnx(forest, initial_types=types).SerializeToString())
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    if key == "ml.lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=file)
        types = [("x", FloatTensorType([None, booster.num_feature()]))]
        converted: bytes = convert_lightgbm(booster, initial_types=types).SerializeToString()
        return converted
    import xgboost

    trees = xgboost.XGBRegressor()
    trees.load_model(file)
    types = [("x", FloatTensorType([None, trees.n_features_in_]))]
    converted = convert_xgboost(trees, initial_types=types).SerializeToString()
    return converted


def costs(contenders: list[tuple[Predict, Rows]], size: int) -> list[float]:
    """Median µs a row of each, on the rows that it takes."""
    turns, calls = SIZES[size]
    seconds: list[list[float]] = [[] for _ in contenders]
    for turn in range(turns):
        for (predict, rows), times in zip(contenders, seconds, strict=True):
            shifts = range(turn * calls, (turn + 1) * calls)
            parts = [np.ascontiguousarray(np.roll(rows, -7 * shift, axis=0)[:size]) for shift in shifts]
            predict(rows[:size])
            for part in parts:
                began = time.perf_counter()
                predict(part)
                times.append(time.perf_counter() - began)
    return [statistics.median(times) / size * 1e6 for times in seconds]


def windows_of(x: pd.DataFrame, lookback: int) -> Rows:
    """As the pipeline gives them: rows x lookback x columns."""
    rows = x.loc[["S0000", "S0001", "S0002"]].sort_index().to_numpy()
    return np.lib.stride_tricks.sliding_window_view(rows, lookback, 0).swapaxes(1, 2)[:2_000].copy()


def samples(folder: Path) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    _, config = write_config(folder, "nowhere:9092")
    samples = make_samples("demo", config.strategy("demo"), generated_bars(20, 1_000, seed=1), None)
    return samples.X, samples.y


def measure(key: str, folder: Path, x: pd.DataFrame, y: "pd.Series[float]") -> None:
    model: BaseModel = model_registry.create(key, **PARAMS.get(key, {}))
    model.train(x, y)
    file = folder / model.file_name
    model.save(file)
    columns = [str(name) for name in x.columns]
    own, other = library(key, file), onnx(key, file)
    windows = windows_of(x, model.lookback)
    rows = windows if model.lookback > 1 else windows[:, 0].copy()
    ours: Predict = lambda part: model.predict_windows(part, columns)  # noqa: E731
    expected = ours(windows)
    off, onnx_off = (float(np.abs(expected - predict(rows)).max()) for predict in (own, other))
    for size in SIZES:
        a, b, c = costs([(ours, windows), (own, rows), (other, rows)], size)
        print(
            f"{key:<16} {size:>6,} {a:9.2f} {b:9.2f} {b / a:7.1f} {c:9.2f} {c / a:7.1f}   "
            f"{f'{off:.0e}' if off else 'equal':<9} {onnx_off:.0e}",
            flush=True,
        )


def main(_engine: str = "tansu") -> None:
    print(
        f"{'models, µs a row':<16} {'rows':>5} {'ours':>9} {'library':>9} {'ratio':>7} {'ONNX':>9} {'ratio':>7}   "
        f"{'library':<9} ONNX, off by"
    )
    with tempfile.TemporaryDirectory() as name:
        x, y = samples(Path(name))
        for key in KEYS:
            measure(key, Path(name), x, y)
