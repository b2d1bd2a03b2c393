"""`ml.lightgbm`: training, files, columns, and what it refuses. Oracle for the model: `lightgbm.LGBMRegressor`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from plugins.models import BaseModel, model_registry
from schemas.errors import ArtifactError, PluginError

NAMES = ["rsi", 'close__quantile__q_0.1, "x"=1', "größe\n[2]"]


def frame(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([["A", "B"], range(rows // 2)], names=["symbol", "time"])
    x = pd.DataFrame(rng.normal(size=(rows, 3)), index, NAMES)
    x.iloc[::7, 1] = np.nan
    return x, x["rsi"] * 2 + rng.normal(size=rows)


def model(**params: Any) -> BaseModel:
    return model_registry.create("ml.lightgbm", **{"n_estimators": 20, **params})


@pytest.mark.parametrize(
    "params", [{}, {"num_leaves": 7, "min_child_samples": 5, "seed": 7, "extra": {"reg_lambda": 2.0}}]
)
def test_equals_the_class_that_it_wraps(params: dict[str, Any]) -> None:
    x, y = frame()
    plain = {key: value for key, value in params.items() if key not in ("seed", "extra")} | params.get("extra", {})
    defaults = {"num_leaves": 31, "learning_rate": 0.05, "min_child_samples": 20, "n_estimators": 20}
    fixed = {"deterministic": True, "force_row_wise": True, "n_jobs": 1, "verbose": -1}
    oracle = lightgbm.LGBMRegressor(**defaults | fixed | plain, random_state=params.get("seed", 42))
    oracle.fit(x.to_numpy(), y.to_numpy())
    ours = model(**params)
    ours.train(x, y)
    predicted = ours.predict(x)
    assert predicted.index.equals(x.index)
    assert np.array_equal(predicted.to_numpy(), oracle.booster_.predict(x.to_numpy()))


def test_defaults() -> None:
    assert model_registry.create("ml.lightgbm").params == {
        "num_leaves": 31, "learning_rate": 0.05, "n_estimators": 200, "min_child_samples": 20, "seed": 42, "extra": {},
        "early_stopping_rounds": None,
    }  # fmt: skip


def test_training_is_repeatable_and_the_seed_matters(tmp_path: Path) -> None:
    x, y = frame()
    written = []
    for number, seed in enumerate([42, 42, 43]):
        trained = model(seed=seed, extra={"bagging_fraction": 0.5, "bagging_freq": 1})
        trained.train(x, y)
        trained.save(tmp_path / f"{number}.txt")
        written.append((tmp_path / f"{number}.txt").read_bytes())
    assert written[0] == written[1] != written[2]


def test_a_file_brings_back_model_and_columns(tmp_path: Path) -> None:
    x, y = frame()
    trained = model()
    trained.train(x, y)
    trained.save(tmp_path / "model.txt")
    loaded = model()
    loaded.load(tmp_path / "model.txt")
    assert loaded.predict(x).equals(trained.predict(x))
    loaded.save(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "model.txt").read_bytes()
    library = lightgbm.Booster(model_file=tmp_path / "model.txt")
    assert np.array_equal(library.predict(x.to_numpy()), trained.predict(x).to_numpy())
    assert library.feature_name() == ["f0", "f1", "f2"]


def test_rows_alone_and_in_a_batch_have_the_same_bits() -> None:
    x, y = frame()
    trained = model()
    trained.train(x, y)
    assert trained.batch_invariant
    rows = x.to_numpy()
    together = trained.predict_rows(rows, NAMES)
    alone = np.concatenate([trained.predict_rows(rows[i : i + 1], NAMES) for i in range(len(rows))])
    assert np.array_equal(together, alone)
    assert np.array_equal(together, trained.predict(x).to_numpy())
    assert len(trained.predict(x.iloc[:0])) == 0


def test_serving_does_not_need_the_library(tmp_path: Path) -> None:
    x, y = frame()
    trained = model()
    trained.train(x, y)
    trained.save(tmp_path / "model.txt")
    code = (
        "import sys; sys.modules['lightgbm'] = None\n"
        "import numpy as np\n"
        "from plugins.models import model_registry\n"
        f"model = model_registry.create('ml.lightgbm').load({str(tmp_path / 'model.txt')!r})\n"
        f"print(float(model.predict_rows(np.array([{x.to_numpy()[1].tolist()}]), model.columns)[0]).hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == float(trained.predict(x).iloc[1]).hex()


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (["rsi", NAMES[2], NAMES[1]], "the order differs: rsi"),
        (["rsi", NAMES[1], "atr"], f"missing {NAMES[2]!r}; unknown atr"),
        (["rsi", NAMES[1]], f"missing {NAMES[2]!r}"),
        ([*NAMES, "rsi"], "twice rsi"),
    ],
)
def test_other_columns_are_refused_by_name(columns: list[str], fault: str) -> None:
    x, y = frame()
    trained = model(n_estimators=2)
    trained.train(x, y)
    other = pd.DataFrame(np.zeros((2, len(columns))), columns=columns)
    for call in (lambda: trained.predict(other), lambda: trained.predict_rows(other.to_numpy(), columns)):
        with pytest.raises(PluginError) as caught:
            call()
        assert fault in str(caught.value)


def test_nothing_before_training(tmp_path: Path) -> None:
    x, _ = frame()
    for call in (lambda: model().predict(x), lambda: model().save(tmp_path / "x")):
        with pytest.raises(PluginError, match="there is no model yet; call train or load first"):
            call()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"num_leaf": 3}, "parameter num_leaf: Extra inputs are not permitted"),
        ({"num_leaves": 1}, "parameter num_leaves"),
        ({"learning_rate": 0}, "parameter learning_rate"),
        ({"extra": {"max_dept": 3}}, "knows no parameter 'max_dept'; did you mean max_depth"),
        ({"extra": {"eta": 0.1}}, "'eta' is the parameter learning_rate; give it there"),
        ({"extra": {"random_state": 1}}, "'random_state' is the parameter seed"),
        ({"extra": {"deterministic": False}}, "'deterministic' is fixed"),
        ({"extra": {"reg_lambda": 1, "lambda_l2": 2}}, "'lambda_l2' is given twice"),
        ({"extra": {"objective": "nonsense"}}, "Unknown objective type name: nonsense"),
        ({"extra": {"objective": "poisson"}}, "at least one target label is negative"),
        ({"extra": {"linear_tree": True}}, "linear trees are not served"),
        ({"extra": {"early_stopping_round": 5}}, "is the parameter early_stopping_rounds"),
        ({"extra": {"categorical_feature": ["nope"]}}, "nope"),
    ],
)
def test_impossible_parameters(params: dict[str, Any], fault: str) -> None:
    x, y = frame()
    with pytest.raises((PluginError, ArtifactError), match=fault) as caught:
        model(**params).train(x, y)
    assert "\n" not in str(caught.value)


def test_a_category_by_its_columns_name() -> None:
    x, _ = frame()
    x["rsi"] = np.arange(len(x)) % 20
    y = (x["rsi"] % 2).astype(float)
    by_name, by_number, plain = (model(extra={"categorical_feature": c}) for c in (["rsi"], [0], []))
    for each in (by_name, by_number, plain):
        each.train(x, y)
    assert by_name.predict(x).equals(by_number.predict(x))
    assert not by_name.predict(x).equals(plain.predict(x))


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda x, y: (x.iloc[:0], y.iloc[:0]), "0 rows"),
        (lambda x, y: (x, y.iloc[:5]), "600 rows and 5 finite targets"),
        (lambda x, y: (x, y.where(y > 0)), "finite targets"),
        (lambda x, y: (x.assign(rsi="high"), y), "hold no numbers: rsi"),
        (lambda x, y: (x.set_axis(["a", "a", "b"], axis=1), y), "twice a"),
    ],
)
def test_data_that_cannot_be_learned(spoil: Any, fault: str) -> None:
    with pytest.raises(PluginError, match=fault):
        model().train(*spoil(*frame()))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff\xfe", "cannot be read as a LightGBM model"),
        (b"tree\nversion=v4\n", "does not say its columns"),
        (b"tree\nalphawire_columns:[1]\n", "does not say its columns"),
        (b"tree\nalphawire_columns:{\n", "does not say its columns"),
        (b'nonsense\nalphawire_columns:["a"]\n', "no LightGBM model in its text format"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ArtifactError, match=fault):
        model().load(tmp_path / "m")


def test_as_many_names_as_columns(tmp_path: Path) -> None:
    x, y = frame()
    trained = model(n_estimators=1)
    trained.train(x, y)
    trained.save(tmp_path / "m")
    text = (tmp_path / "m").read_text(encoding="utf-8").replace('alphawire_columns:["rsi", ', "alphawire_columns:[")
    (tmp_path / "m").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="the trees read 3 columns, and 2 are named"):
        model().load(tmp_path / "m")


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("import ctypes; ctypes.CDLL('libgomp.so.1.that-is-not-there')", "needs OpenMP of the system, .*libgomp1"),
        ("import a_module_that_is_not_there", "pip install 'alphawire"),
    ],
)
def test_a_library_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, fault: str
) -> None:
    (tmp_path / "lightgbm.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm")
    with pytest.raises(PluginError, match=fault) as caught:
        model().train(*frame())
    assert "\n" not in str(caught.value)
