"""What a prediction costs: one row and 1,000 rows, by the compiled loops, by each library's own predict and by ONNX
Runtime, all on one thread; and whether the two libraries' answers are the plugin's, to the last bit.

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

KEYS = ["ml.lightgbm", "ml.xgboost", "ml.catboost"]
SIZES = {1: 1_000, 1_000: 60}
"""Rows of a call, and how many calls are timed."""
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
    import catboost

    model = catboost.CatBoostRegressor().load_model(str(file))
    return lambda rows: model.predict(rows, thread_count=1)


def onnx(key: str, file: Path) -> Predict:
    """ONNX Runtime over the model as the library's or onnxmltools' converter gives it; it answers in 32 bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_converted(key, file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: rows.astype(np.float32)})[0][:, 0]


def _converted(key: str, file: Path) -> bytes:
    if key == "ml.catboost":
        import catboost

        path = file.with_suffix(".onnx")
        catboost.CatBoostRegressor().load_model(str(file)).save_model(str(path), format="onnx")
        return path.read_bytes()
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    if key == "ml.lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=file)
        types = [("x", FloatTensorType([None, booster.num_feature()]))]
        found: bytes = convert_lightgbm(booster, initial_types=types).SerializeToString()
        return found
    import xgboost

    trees = xgboost.XGBRegressor()
    trees.load_model(file)
    types = [("x", FloatTensorType([None, trees.n_features_in_]))]
    found = convert_xgboost(trees, initial_types=types).SerializeToString()
    return found


def cost(predict: Predict, rows: Rows, size: int) -> float:
    """Median µs a row."""
    parts = [np.ascontiguousarray(np.roll(rows, -7 * number, axis=0)[:size]) for number in range(SIZES[size])]
    predict(parts[0])
    seconds = []
    for part in parts:
        began = time.perf_counter()
        predict(part)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) / size * 1e6


def samples(folder: Path) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    _, config = write_config(folder, "nowhere:9092")
    found = make_samples("demo", config.strategy("demo"), generated_bars(20, 1_000, seed=1), None)
    return found.X, found.y


def measure(key: str, folder: Path, x: pd.DataFrame, y: "pd.Series[float]") -> None:
    model: BaseModel = model_registry.create(key)
    model.train(x, y)
    file = folder / model.file_name
    model.save(file)
    columns = [str(name) for name in x.columns]
    rows = x.to_numpy()[:2_000]
    own, other = library(key, file), onnx(key, file)
    ours: Predict = lambda part: model.predict_rows(part, columns)  # noqa: E731
    expected = ours(rows)
    same = np.array_equal(expected, np.asarray(own(rows), np.float64))
    off = float(np.abs(expected - other(rows)).max())
    for size in SIZES:
        a, b, c = (cost(predict, rows, size) for predict in (ours, own, other))
        print(
            f"{key:<14} {size:>6,} {a:9.2f} {b:9.2f} {b / a:7.1f} {c:9.2f} {c / a:7.1f}   "
            f"{'equal' if same else 'DIFFERENT':<9} {off:.0e}"
        )


def main(_engine: str = "tansu") -> None:
    print(
        f"{'models, µs a row':<14} {'rows':>5} {'ours':>9} {'library':>9} {'ratio':>7} {'ONNX':>9} {'ratio':>7}   "
        f"{'library':<9} ONNX off by"
    )
    with tempfile.TemporaryDirectory() as name:
        x, y = samples(Path(name))
        for key in KEYS:
            measure(key, Path(name), x, y)
