"""`dl.lstm`: its arithmetic (oracle: PyTorch's own forward pass, in float64), training, files, and what it refuses."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.numpy

from plugins.models import BaseModel, model_registry
from schemas.errors import ArtifactError, PluginError

COLUMNS = ["rsi", "größe\n[2]", "z"]
SMALL = {"seq_len": 5, "hidden_size": 6, "epochs": 2, "batch_size": 32}


def frame(rows: int = 240, seed: int = 0) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """Rows of two symbols, by time and then symbol; the target is the first column two rows ago, in thousandths."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([range(rows // 2), ["A", "B"]], names=["time", "symbol"]).swaplevel()
    x = pd.DataFrame(rng.normal(size=(rows, 3)) * [15.0, 1e-4, 1.0] + [50.0, 0.0, -3.0], index, COLUMNS)
    lagged = x["rsi"].groupby(level="symbol").shift(2).fillna(50.0)
    return x, (1e-3 * (lagged - 50.0) / 15.0 + rng.normal(0.0, 1e-4, rows)).rename("y")


def model(**params: Any) -> BaseModel:
    return model_registry.create("dl.lstm", **SMALL | params)


@cache
def trained(layers: int = 2) -> BaseModel:
    made = model(num_layers=layers, lr=0.02)
    made.train(*frame())
    return made


def windows_of(x: pd.DataFrame, length: int = SMALL["seq_len"]) -> np.ndarray:
    values = x.xs("A", level="symbol").to_numpy()
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=0).transpose(0, 2, 1).copy()


def by_torch(path: Path, windows: np.ndarray) -> np.ndarray:
    """What PyTorch makes of the file, in float64."""
    import torch  # seconds, which a run without this test should not cost

    with safetensors.safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["alphawire"])
        tensors = {name: file.get_tensor(name).double() for name in list(file.keys())}
    params = told["params"]
    lstm = torch.nn.LSTM(len(told["columns"]), params["hidden_size"], params["num_layers"], batch_first=True).double()
    lstm.load_state_dict({name[5:]: tensor for name, tensor in tensors.items() if name.startswith("lstm.")})
    scaled = torch.from_numpy((windows - np.array(told["mean"])) / np.array(told["std"]))
    with torch.no_grad():
        outputs = lstm(scaled)[0][:, -1] @ tensors["head.weight"].T + tensors["head.bias"]
    return told["target_mean"] + told["target_std"] * outputs[:, 0].numpy()


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("factor", [1.0, 30.0])  # far off, the gates are full or shut
def test_equals_pytorch_in_float64(tmp_path: Path, layers: int, factor: float) -> None:
    trained(layers).save(tmp_path / "model")
    windows = windows_of(frame(seed=3)[0]) * factor
    ours, theirs = trained(layers).predict_windows(windows, COLUMNS), by_torch(tmp_path / "model", windows)
    assert np.ptp(theirs) > 1e-5
    assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max()


def test_equals_pytorch_at_the_default_size(tmp_path: Path) -> None:
    made = model_registry.create("dl.lstm", epochs=1)
    made.train(*frame())
    made.save(tmp_path / "model")
    windows = windows_of(frame(seed=3)[0], 20)
    ours, theirs = made.predict_windows(windows, COLUMNS), by_torch(tmp_path / "model", windows)
    assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max()


def test_defaults() -> None:
    made = model_registry.create("dl.lstm")
    assert made.params == {
        "seq_len": 20, "hidden_size": 64, "num_layers": 2, "dropout": 0.1, "lr": 1e-3, "batch_size": 64, "epochs": 20,
        "seed": 42,
    }  # fmt: skip
    assert made.lookback == 20


def test_learns_what_happened_two_rows_ago() -> None:
    made = model(epochs=30, lr=0.01, hidden_size=12)
    made.train(*frame(800))
    x, y = frame(400, seed=9)
    predicted = made.predict(x)
    known = predicted.notna()
    assert np.corrcoef(predicted[known], y[known])[0, 1] > 0.9
    assert abs(predicted[known].std() / y[known].std() - 1.0) < 0.2  # in the target's unit


def test_a_row_sees_its_own_symbol_and_no_more_than_seq_len_rows() -> None:
    x, _ = frame(seed=4)
    found = trained().predict(x)
    assert found.index.equals(x.index)
    for symbol in "AB":
        own = x.xs(symbol, level="symbol", drop_level=False)
        assert found[own.index].isna().tolist() == [True] * 4 + [False] * (len(own) - 4)
        assert found[own.index].equals(trained().predict(own))
        assert trained().predict(own.droplevel("symbol")).tolist()[4:] == found[own.index].tolist()[4:]
        assert trained().predict(own.iloc[-5:]).iloc[-1] == found[own.index].iloc[-1]


def test_a_hole_or_an_overflow_in_a_window_gives_no_prediction() -> None:
    x = frame(seed=4)[0].xs("A", level="symbol").copy()
    whole = trained().predict(x)
    x.iloc[20, 1] = np.nan
    x.iloc[60, 2] = np.inf
    x.iloc[80, 1] = 1e308
    found = trained().predict(x)
    unknown = [row for hole in (20, 60, 80) for row in range(hole, hole + 5)]
    assert np.flatnonzero(found.isna()).tolist() == [0, 1, 2, 3, *unknown]
    assert found.dropna().equals(whole[found.notna()])


def test_the_same_bits_alone_and_in_any_batch() -> None:
    assert trained().batch_invariant
    windows = windows_of(frame(seed=5)[0])
    whole = trained().predict_windows(windows, COLUMNS)
    for size in (1, 2, 7):
        cut = [trained().predict_windows(windows[i : i + size], COLUMNS) for i in range(0, len(windows), size)]
        assert np.concatenate(cut).tobytes() == whole.tobytes()
    backwards = trained().predict_windows(windows[::-1], COLUMNS)[::-1]
    assert backwards.tobytes() == whole.tobytes()


def test_training_is_repeatable_leaves_pytorch_alone_and_the_seed_matters(tmp_path: Path) -> None:
    import torch

    written = []
    torch.manual_seed(7)
    wanted = torch.rand(3)
    threads = torch.get_num_threads()
    for number, seed in enumerate([42, 42, 43]):
        torch.manual_seed(7)
        np.random.seed(number)
        made = model(seed=seed, dropout=0.5)
        made.train(*frame())
        assert torch.equal(torch.rand(3), wanted)
        made.save(tmp_path / f"{number}")
        written.append((tmp_path / f"{number}").read_bytes())
    assert written[0] == written[1] != written[2]
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_window_with_a_hole_is_not_trained_on_and_a_constant_column_does_no_harm(tmp_path: Path) -> None:
    x, y = frame()
    x["z"] = 0.1
    x.iloc[30, 0] = np.nan
    made = model()
    made.train(x, y)
    assert made.predict(x).notna().sum() == len(x) - 8 - 5
    made.save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", "np") as file:
        told = json.loads(file.metadata()["alphawire"])
    assert told["mean"] == pytest.approx([np.nanmean(x[name]) for name in x])
    assert told["std"] == pytest.approx([np.nanstd(x["rsi"], ddof=1), np.nanstd(x[COLUMNS[1]], ddof=1), 1.0])


def test_a_row_without_a_target_is_seen_and_not_learned() -> None:
    """Rows cut out of the middle: what is learned of them is nothing, and windows after them are not joined."""
    x, y = frame()
    times = x.index.get_level_values("time")
    cut = (times >= 50) & (times < 70)
    made, other = model(), model()
    made.train(x, y.where(~cut))
    other.train(x, (y + 100.0 * cut).where(~cut))
    probe, _ = frame(seed=8)
    assert made.predict(probe).equals(other.predict(probe))
    joined = model()
    joined.train(x[~cut], y[~cut])
    assert not joined.predict(probe).equals(made.predict(probe))
    moved = x.copy()
    moved.loc[cut, "z"] += 1.0
    seen = model()
    seen.train(moved, y.where(~cut))
    assert not seen.predict(probe).equals(made.predict(probe))
    assert seen._mean.tolist() == made._mean.tolist()


def test_a_file_brings_back_everything(tmp_path: Path) -> None:
    trained().save(tmp_path / "model.safetensors")
    loaded = model_registry.create("dl.lstm").load(tmp_path / "model.safetensors")
    assert loaded.params == trained().params
    assert loaded.lookback == 5
    x, _ = frame(seed=6)
    assert loaded.predict(x).equals(trained().predict(x))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_serving_does_not_need_pytorch(tmp_path: Path) -> None:
    trained().save(tmp_path / "model")
    windows = windows_of(frame(seed=6)[0])[:1]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from plugins.models import model_registry\n"
        f"model = model_registry.create('dl.lstm').load({str(tmp_path / 'model')!r})\n"
        f"print(float(model.predict_windows(np.array({windows.tolist()}), model.columns)[0]).hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == float(trained().predict_windows(windows, COLUMNS)[0]).hex()


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (["rsi", COLUMNS[2], COLUMNS[1]], "the order differs: rsi"),
        (["rsi", COLUMNS[1]], "missing z"),
        ([*COLUMNS, "atr"], "unknown atr"),
    ],
)
def test_other_columns_are_refused_by_name(columns: list[str], fault: str) -> None:
    with pytest.raises(PluginError, match=f"dl.lstm: other columns than in training: .*{fault}"):
        trained().predict(pd.DataFrame(0.0, range(9), columns))
    with pytest.raises(PluginError, match=fault):
        trained().predict(pd.DataFrame(0.0, range(2), columns))  # too few rows for any prediction


def test_rows_that_go_back_in_time_are_refused() -> None:
    x, _ = frame(40)
    with pytest.raises(PluginError, match=r"dl.lstm: the rows of a symbol go back in time; sort them"):
        trained().predict(x.iloc[::-1])


def test_before_training_it_says_so(tmp_path: Path) -> None:
    for call in (lambda: model().predict(frame()[0]), lambda: model().save(tmp_path / "x")):
        with pytest.raises(PluginError, match="there is no model yet; call train or load first"):
            call()


def holed(x: pd.DataFrame) -> pd.DataFrame:
    return x.assign(z=np.where(np.arange(len(x)) % 4 < 2, np.nan, x["z"]))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, y: (x.iloc[:8], y.iloc[:8]), "no symbol has 5 rows in succession without a NaN; give more rows"),
        (lambda x, y: (holed(x), y), "no symbol has 5 rows in succession without a NaN"),
        (lambda x, y: (x, y.iloc[:8]), "240 rows and 8 finite targets"),
        (lambda x, y: (x, y.where(y.index.get_level_values("time") < 3)), "no symbol has 5 rows in succession"),
        (lambda x, y: (x, y * np.nan), "240 rows and 0 finite targets"),
        (lambda x, y: (x.iloc[:0], y.iloc[:0]), "0 rows and 0 finite targets"),
        (lambda x, y: (x.set_axis(["a", "a", "b"], axis=1), y), "twice a; name each column once"),
        (lambda x, y: (x.assign(z="much"), y), "columns that hold no numbers: z"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(change: Any, fault: str) -> None:
    with pytest.raises(PluginError, match=f"dl.lstm: .*{fault}"):
        model().train(*change(*frame()))


def rewritten(path: Path, tensors: Any = None, told: Any = None, text: str | None = None) -> None:
    """The file of a good model, with changes."""
    trained().save(path)
    with safetensors.safe_open(path, "np") as file:
        metadata = json.loads(file.metadata()["alphawire"]) | (told or {})
        found = {name: file.get_tensor(name) for name in list(file.keys())}
    found |= tensors or {}
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    path.write_bytes(safetensors.numpy.save(kept, {"alphawire": text if text is not None else json.dumps(metadata)}))


WIDE = np.zeros((24, 4), np.float32)
DAMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "a tensor of another shape": ({"tensors": {"lstm.weight_ih_l0": WIDE}}, r"lstm.weight_ih_l0 is F32 \(24, 4\)"),
    "a tensor of another type": ({"tensors": {"head.bias": np.zeros(1)}}, r"head.bias is F64 \(1,\), not F32 \(1,\)"),
    "a tensor is missing": ({"tensors": {"head.bias": None}}, "the tensors head.bias are too many or missing"),
    "a tensor too many": ({"tensors": {"lstm.weight_hr_l0": WIDE}}, "lstm.weight_hr_l0 are too many or missing"),
    "NaN": ({"tensors": {"head.bias": np.full(1, np.nan, np.float32)}}, "head.bias holds a number that is not finite"),
    "more layers told": ({"told": {"params": SMALL | {"num_layers": 3}}}, "are too many or missing"),
    "an absurd size": ({"told": {"params": SMALL | {"hidden_size": 10**9}}}, "hidden_size"),
    "an unknown parameter": ({"told": {"params": SMALL | {"x": 1}}}, "parameter x"),
    "columns are no list": ({"told": {"columns": 3}}, "columns is no list of names"),
    "a mean too few": ({"told": {"mean": [0.0, 0.0]}}, "3 numbers are wanted"),
    "no deviation": ({"told": {"std": [1.0, 0.0, 1.0]}}, "a deviation that is not above 0"),
    "an endless number": ({"told": {"mean": [0.0, 10**400, 0.0]}}, "metadata are damaged: OverflowError"),
    "an infinite number": ({"text": '{"params": {}, "columns": ["a"], "mean": [Infinity], "std": [1]}'}, "not finite"),
    "parameters are no mapping": ({"told": {"params": [1, 2]}}, "metadata are damaged"),
    "no metadata": ({"text": ""}, "do not say what model it is"),
    "no object": ({"text": "[1]"}, "do not say what model it is"),
    "no JSON": ({"text": "{"}, "do not say what model it is"),
    "deep": ({"text": "[" * 100_000}, "do not say what model it is"),
    "long": ({"text": '"' + "x" * 2_000_000 + '"'}, "do not say what model it is"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_refused(tmp_path: Path, what: str) -> None:
    changes, fault = DAMAGE[what]
    rewritten(tmp_path / "model", **changes)
    with pytest.raises(ArtifactError, match=fault):
        model().load(tmp_path / "model")


def test_a_file_cut_short_or_of_another_format_is_refused(tmp_path: Path) -> None:
    trained().save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    for data in (b"", b"tree\n", b"\xff" * 64, *(whole[:n] for n in range(1, len(whole), len(whole) // 20))):
        (tmp_path / "model").write_bytes(data)
        with pytest.raises(ArtifactError, match="cannot be read as a safetensors file"):
            model().load(tmp_path / "model")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "model").open("wb") as file:
        file.truncate(300 * 1024 * 1024)  # a hole: it takes no room
    with pytest.raises(ArtifactError, match=r"314,572,800 bytes; a dl.lstm has at most 268,435,456"):
        model().load(tmp_path / "model")


def test_an_untouched_rewritten_file_loads(tmp_path: Path) -> None:
    rewritten(tmp_path / "model")
    assert model().load(tmp_path / "model").predict(frame()[0]).equals(trained().predict(frame()[0]))
