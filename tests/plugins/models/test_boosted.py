"""What the boosted models promise alike; oracles are the classes that they wrap."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from numpy.typing import NDArray

from plugins.models import model_registry
from plugins.models.trees.model import TreeModel
from schemas.errors import ArtifactError, PluginError
from streams.ingest.bar_files import read_bars

ROOT = Path(__file__).parents[3]
DAILY = ROOT / "examples" / "data" / "equities_daily.parquet"
SHARED = ROOT.parent / "shared" / "data"
NAMES = ["rsi", 'close__quantile__q_0.1, "x"=1', "größe\n[2]"]
KEYS = ["ml.lightgbm", "ml.xgboost", "ml.catboost"]
FEW: dict[str, dict[str, Any]] = {
    "ml.lightgbm": {"n_estimators": 10}, "ml.xgboost": {"n_estimators": 10}, "ml.catboost": {"iterations": 10},
}  # fmt: skip
LIBRARY = {"ml.lightgbm": "LightGBM", "ml.xgboost": "XGBoost", "ml.catboost": "CatBoost"}
Answers = NDArray[np.float64]


def by_lightgbm(file: Path, rows: Answers) -> Answers:
    return np.asarray(lightgbm.Booster(model_file=file).predict(rows, num_threads=1))


def by_xgboost(file: Path, rows: Answers) -> Answers:
    return np.asarray(xgboost.Booster(model_file=file).inplace_predict(rows), np.float64)


def by_catboost(file: Path, rows: Answers) -> Answers:
    return np.asarray(catboost.CatBoostRegressor().load_model(str(file)).predict(rows))


ORACLES: dict[str, Callable[[Path, Answers], Answers]] = {
    "ml.lightgbm": by_lightgbm, "ml.xgboost": by_xgboost, "ml.catboost": by_catboost,
}  # fmt: skip


def frame(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([["A", "B"], range(rows // 2)], names=["symbol", "time"])
    x = pd.DataFrame(rng.normal(size=(rows, 3)), index, NAMES)
    x.iloc[::7, 1] = np.nan
    return x, x["rsi"] * 2 + rng.normal(size=rows)


def model(key: str, **params: Any) -> TreeModel:
    made = model_registry.create(key, **FEW[key] | params)
    assert isinstance(made, TreeModel)
    return made


def saved(trained: TreeModel, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    trained.save(folder / trained.file_name)
    return folder / trained.file_name


@pytest.mark.parametrize(
    ("key", "defaults"),
    [
        ("ml.xgboost", {"max_depth": 6, "learning_rate": 0.05, "n_estimators": 200}),
        ("ml.catboost", {"depth": 6, "learning_rate": 0.05, "iterations": 200, "loss": "RMSE"}),
    ],
)
def test_defaults(key: str, defaults: dict[str, Any]) -> None:
    expected = defaults | {"seed": 42, "early_stopping_rounds": None, "extra": {}}
    assert model_registry.create(key).params == expected


def test_xgboost_equals_the_class_that_it_wraps() -> None:
    x, y = frame()
    params = {"max_depth": 4, "learning_rate": 0.1, "n_estimators": 20}
    theirs = xgboost.XGBRegressor(**params, random_state=7, n_jobs=1, subsample=0.7, reg_lambda=2.0)
    theirs.fit(x.to_numpy(), y.to_numpy())
    ours = model("ml.xgboost", **params, seed=7, extra={"subsample": 0.7, "lambda": 2.0}).train(x, y)
    assert np.array_equal(ours.predict(x).to_numpy(), theirs.predict(x.to_numpy()).astype(np.float64))


def test_catboost_equals_the_class_that_it_wraps() -> None:
    x, y = frame()
    params = {"depth": 4, "learning_rate": 0.1, "iterations": 20}
    theirs = catboost.CatBoostRegressor(
        **params, loss_function="MAE", random_seed=7, thread_count=1, l2_leaf_reg=5, verbose=False,
        allow_writing_files=False,
    ).fit(x.to_numpy(), y.to_numpy())  # fmt: skip
    ours = model("ml.catboost", **params, loss="MAE", seed=7, extra={"reg_lambda": 5}).train(x, y)
    assert np.array_equal(ours.predict(x).to_numpy(), theirs.predict(x.to_numpy()))


def of_bars(bars: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """A few plain columns of prices, with NaN where a symbol begins, and the next return."""
    closes = bars.groupby("symbol")["close"]
    x = pd.DataFrame({f"return_{n}": closes.pct_change(n) for n in (1, 2, 5, 20)})
    x["range"] = (bars["high"] - bars["low"]) / bars["close"]
    x["volume"] = bars["volume"]
    y = closes.pct_change().groupby(bars["symbol"]).shift(-1)
    return x[y.notna()], y[y.notna()]


def real(name: str) -> pd.DataFrame:
    if name == "example":
        return read_bars([DAILY], "1d").iloc[:20_000]
    files = sorted(SHARED.glob("*daily*.parquet"))
    if not files:
        pytest.skip("the shared data are not here")
    return pd.read_parquet(files[0]).iloc[:100_000]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["example", pytest.param("shared", marks=pytest.mark.slow)])
def test_real_bars_give_the_bits_of_the_library(tmp_path: Path, key: str, name: str) -> None:
    x, y = of_bars(real(name))
    trained = model(key).train(x, y)
    file = saved(trained, tmp_path)
    assert x.isna().to_numpy().any()
    assert np.array_equal(trained.predict(x).to_numpy(), ORACLES[key](file, x.to_numpy()))


@pytest.mark.parametrize("key", KEYS)
def test_training_is_repeatable_and_the_seed_matters(tmp_path: Path, key: str) -> None:
    x, y = frame()
    extra = {"bagging_fraction": 0.5, "bagging_freq": 1} if key == "ml.lightgbm" else {"subsample": 0.5}
    files = [
        saved(model(key, seed=seed, extra=extra).train(x, y), tmp_path / str(number))
        for number, seed in enumerate([42, 42, 43])
    ]
    written = [file.read_bytes() for file in files]
    assert written[0] == written[1] != written[2]


CONSTRAINED = NAMES[2]
RISING: list[Any] = [{CONSTRAINED: 1}, [0, 0, 1]]


def falling(rows: int = 600) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """A target that falls in the constrained column."""
    x, y = frame(rows)
    return x, y - 3 * x[CONSTRAINED]


def along(trained: TreeModel) -> Answers:
    """Predictions over the constrained column, all else equal."""
    grid = pd.DataFrame(0.0, range(200), NAMES)
    grid[CONSTRAINED] = np.linspace(-3, 3, 200)
    return trained.predict(grid).to_numpy()


@pytest.mark.parametrize("signs", RISING, ids=["by name", "in order"])
@pytest.mark.parametrize("key", KEYS)
def test_a_prediction_rises_in_the_column_that_is_constrained_to(key: str, signs: Any, tmp_path: Path) -> None:
    """By what the word means: no step down. Without the constraint it falls, as the data do."""
    x, y = falling()
    assert (np.diff(along(model(key).train(x, y))) < 0).any()
    trained = model(key, extra={"monotone_constraints": signs}).train(x, y)
    assert (np.diff(along(trained)) >= 0).all()
    rows = x.to_numpy()
    np.testing.assert_array_equal(trained.predict(x).to_numpy(), ORACLES[key](saved(trained, tmp_path), rows))


@pytest.mark.parametrize("groups", [[[NAMES[0], NAMES[1]], [NAMES[2]]], [[0, 1], [2]]], ids=["by name", "in order"])
def test_columns_that_may_not_interact_in_lightgbm(groups: Any) -> None:
    """Additive: the difference that one makes does not depend on the other. LightGBM itself reads a name as 0."""
    hold_apart("ml.lightgbm", groups)


def test_columns_that_may_not_interact_in_xgboost() -> None:
    hold_apart("ml.xgboost", [[NAMES[0], NAMES[1]], [NAMES[2]]])


def hold_apart(key: str, groups: Any) -> None:
    x, y = frame()
    y = y + 5 * x[NAMES[0]] * x[NAMES[2]]
    for extra, expected in (({}, False), ({"interaction_constraints": groups}, True)):
        trained = model(key, extra=extra).train(x, y)
        corners = pd.DataFrame([[a, 0.0, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)], columns=NAMES)
        low, low_high, high_low, high = trained.predict(corners).tolist()
        assert (abs(high - high_low - low_high + low) < 1e-6) == expected


def test_catboost_leaves_out_a_column_by_its_name() -> None:
    x, y = falling()
    trained = model("ml.catboost", extra={"ignored_features": [CONSTRAINED]}).train(x, y)
    assert len(set(along(trained).tolist())) == 1


@pytest.mark.parametrize("name", ["feature_weights", "first_feature_use_penalties", "per_object_feature_penalties"])
def test_catboost_weighs_a_column_by_its_name_as_by_its_place(name: str) -> None:
    x, y = falling()
    usual, own = (1.0, 0.3) if name == "feature_weights" else (0.0, 300.0)
    by_place = catboost.CatBoostRegressor(
        iterations=10, learning_rate=0.05, random_seed=42, thread_count=1, silent=True, allow_writing_files=False,
        **{name: [usual, usual, own]},
    ).fit(x.to_numpy(), y)  # fmt: skip
    named = model("ml.catboost", extra={name: {CONSTRAINED: own}}).train(x, y)
    np.testing.assert_array_equal(named.predict(x).to_numpy(), by_place.predict(x.to_numpy()))
    assert (named.predict(x) != model("ml.catboost").train(x, y).predict(x)).any()


@pytest.mark.parametrize("key", KEYS)
def test_a_constraint_on_a_column_that_is_not_there(key: str) -> None:
    x, y = frame()
    with pytest.raises(PluginError, match=r"extra: 'monotone_constraints' names 'rsj'; there are: rsi, close__"):
        model(key, extra={"monotone_constraints": {"rsj": 1}}).train(x, y)


@pytest.mark.parametrize("key", KEYS)
def test_a_file_brings_back_model_and_columns(tmp_path: Path, key: str) -> None:
    x, y = frame()
    trained = model(key).train(x, y)
    file = saved(trained, tmp_path / "first")
    loaded = model(key).load(file)
    assert loaded.columns == NAMES
    assert loaded.predict(x).equals(trained.predict(x))
    assert trained.predict(x).index.equals(x.index)
    assert saved(loaded, tmp_path / "again").read_bytes() == file.read_bytes()
    assert np.array_equal(ORACLES[key](file, x.to_numpy()), trained.predict(x).to_numpy())


@pytest.mark.parametrize("key", KEYS)
def test_rows_alone_and_in_a_batch_have_the_same_bits(key: str) -> None:
    x, y = frame()
    trained = model(key).train(x, y)
    assert trained.batch_invariant
    rows = x.to_numpy()
    together = trained.predict_rows(rows, NAMES)
    alone = np.concatenate([trained.predict_rows(rows[i : i + 1], NAMES) for i in range(len(rows))])
    assert np.array_equal(together.view(np.int64), alone.view(np.int64))
    assert len(trained.predict(x.iloc[:0])) == 0


@pytest.mark.parametrize("key", KEYS)
def test_rows_as_they_come(key: str) -> None:
    x, y = frame()
    trained = model(key).train(x, y)
    rows = x.to_numpy().copy()
    frozen = rows.copy()
    frozen.flags.writeable = False
    expected = trained.predict_rows(rows, NAMES)
    for given in (frozen, np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2]):
        assert np.array_equal(trained.predict_rows(given, NAMES), expected)
    with pytest.raises(ValueError, match="the trees read 3 columns"):
        trained.predict_rows(rows[:, :2], NAMES)


@pytest.mark.parametrize("key", KEYS)
def test_it_stops_early_on_validation_rows(tmp_path: Path, key: str) -> None:
    x, y = frame(800)
    many = dict.fromkeys(FEW[key], 300) | {"learning_rate": 0.3}
    parts = (x[:600], y[:600], x[600:], y[600:])
    patient, hasty = (model(key, **many, early_stopping_rounds=rounds) for rounds in (None, 3))
    patient.train_with_validation(*parts)
    hasty.train_with_validation(*parts)
    assert patient.predict(x).equals(model(key, **many).train(x[:600], y[:600]).predict(x))
    errors = {
        trees: float(((model(key, **many | dict.fromkeys(FEW[key], trees)).train(x[:600], y[:600]).predict(x[600:])
                       - y[600:]) ** 2).mean())
        for trees in range(1, 40)
    }  # fmt: skip
    best = next(trees for trees in errors if all(errors[trees] <= errors.get(trees + i, 1e9) for i in (1, 2, 3)))
    assert hasty.predict(x).equals(
        model(key, **many | dict.fromkeys(FEW[key], best)).train(x[:600], y[:600]).predict(x)
    )
    file = saved(hasty, tmp_path)
    assert np.array_equal(hasty.predict(x).to_numpy(), ORACLES[key](file, x.to_numpy()))


@pytest.mark.parametrize("key", KEYS)
def test_validation_rows_of_other_columns(key: str) -> None:
    x, y = frame()
    with pytest.raises(PluginError, match="validation rows have other columns: missing rsi; unknown atr"):
        model(key, early_stopping_rounds=3).train_with_validation(x, y, x.rename(columns={"rsi": "atr"}), y)


@pytest.mark.parametrize("key", ["ml.xgboost", "ml.catboost"])
def test_serving_does_not_need_the_library(tmp_path: Path, key: str) -> None:
    x, y = frame()
    trained = model(key).train(x, y)
    file = saved(trained, tmp_path)
    code = (
        f"import sys; sys.modules[{key.removeprefix('ml.')!r}] = None\n"
        "import numpy as np\n"
        "from plugins.models import model_registry\n"
        f"model = model_registry.create({key!r}).load({str(file)!r})\n"
        f"print(float(model.predict_rows(np.array([{x.to_numpy()[1].tolist()}]), model.columns)[0]).hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == float(trained.predict(x).iloc[1]).hex()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (["rsi", NAMES[2], NAMES[1]], "the order differs: rsi"),
        (["rsi", NAMES[1], "atr"], f"missing {NAMES[2]!r}; unknown atr"),
        ([*NAMES, "rsi"], "twice rsi"),
    ],
)
def test_other_columns_are_refused_by_name(key: str, columns: list[str], fault: str) -> None:
    trained = model(key).train(*frame())
    other = pd.DataFrame(np.zeros((2, len(columns))), columns=columns)
    for call in (lambda: trained.predict(other), lambda: trained.predict_rows(other.to_numpy(), columns)):
        with pytest.raises(PluginError) as caught:
            call()
        assert fault in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_before_training(tmp_path: Path, key: str) -> None:
    x, _ = frame()
    for call in (lambda: model(key).predict(x), lambda: model(key).save(tmp_path / "x")):
        with pytest.raises(PluginError, match=f"{key}: there is no model yet; call train or load first"):
            call()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda x, y: (x.iloc[:0], y.iloc[:0]), "0 rows"),
        (lambda x, y: (x.iloc[:1], y.iloc[:1]), "in all 1 rows, so there is nothing to learn"),
        (lambda x, y: (x, y * 0 + 3), "the target is 3 in all 600 rows"),
        (lambda x, y: (x, y.iloc[:5]), "600 rows and 5 finite targets"),
        (lambda x, y: (x, y.where(y > 0)), "finite targets"),
        (lambda x, y: (x.assign(rsi="high"), y), "hold no numbers: rsi"),
        (lambda x, y: (x.set_axis(["a", "a", "b"], axis=1), y), "twice a"),
        (lambda x, y: (x[[]], y), "no columns to learn from"),
    ],
)
def test_data_that_cannot_be_learned(key: str, spoil: Any, fault: str) -> None:
    with pytest.raises(PluginError, match=fault) as caught:
        model(key).train(*spoil(*frame()))
    assert str(caught.value).startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("key", "params", "fault"),
    [
        ("ml.xgboost", {"depth": 3}, "parameter depth: Extra inputs are not permitted"),
        ("ml.xgboost", {"max_depth": 0}, "parameter max_depth"),
        ("ml.xgboost", {"early_stopping_rounds": 0}, "parameter early_stopping_rounds"),
        ("ml.xgboost", {"extra": {"max_dept": 3}}, "XGBoost knows no parameter 'max_dept'; did you mean max_depth"),
        ("ml.xgboost", {"extra": {"eta": 0.1}}, "'eta' is the parameter learning_rate; give it there"),
        ("ml.xgboost", {"extra": {"random_state": 1}}, "'random_state' is the parameter seed"),
        ("ml.xgboost", {"extra": {"device": "cuda"}}, "'device' is fixed"),
        ("ml.xgboost", {"extra": {"enable_categorical": True}}, "'enable_categorical' is not supported"),
        ("ml.xgboost", {"extra": {"reg_lambda": 1, "lambda": 2}}, "'reg_lambda' is given twice"),
        ("ml.xgboost", {"extra": {"objective": "nonsense"}}, "refuses to train: Unknown objective"),
        ("ml.xgboost", {"extra": {"subsample": 7}}, "refuses to train: value 7 for Parameter subsample"),
        ("ml.xgboost", {"extra": {"objective": "count:poisson"}}, "label must be non-negative"),
        ("ml.xgboost", {"extra": {"booster": "dart"}}, "'dart' is not served"),
        ("ml.catboost", {"max_depth": 3}, "parameter max_depth: Extra inputs are not permitted"),
        ("ml.catboost", {"depth": 17}, "parameter depth"),
        ("ml.catboost", {"loss": "nonsense"}, "refuses to train: .*nonsense loss is not supported"),
        ("ml.catboost", {"loss": "LogLinQuantile"}, "the loss 'LogLinQuantile' is not served"),
        ("ml.catboost", {"extra": {"max_dept": 3}}, "CatBoost knows no parameter 'max_dept'; did you mean max_depth"),
        ("ml.catboost", {"extra": {"max_depth": 3}}, "'max_depth' is the parameter depth"),
        ("ml.catboost", {"extra": {"loss_function": "MAE"}}, "'loss_function' is the parameter loss"),
        ("ml.catboost", {"extra": {"verbose": True}}, "'verbose' is fixed"),
        ("ml.catboost", {"extra": {"cat_features": [0]}}, "'cat_features' is not supported"),
        ("ml.catboost", {"extra": {"grow_policy": "Lossguide"}}, "trees that are not symmetric"),
        ("ml.catboost", {"extra": {"nan_mode": "Forbidden"}}, "refuses to train: .*nan"),
        ("ml.catboost", {"extra": {"l2_leaf_reg": -1}}, "refuses to train"),
    ],
)
def test_impossible_parameters(key: str, params: dict[str, Any], fault: str) -> None:
    with pytest.raises((PluginError, ArtifactError), match=fault) as caught:
        model(key, **params).train(*frame())
    assert "\n" not in str(caught.value)


def test_infinite_values_are_the_librarys_to_refuse() -> None:
    x, y = frame()
    x.iloc[3, 0] = np.inf
    with pytest.raises(PluginError, match=r"XGBoost refuses to train: .*contains `inf`") as caught:
        model("ml.xgboost").train(x, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_files_that_are_no_model(tmp_path: Path, key: str) -> None:
    for content in (b"", b"\xff\xfe", b"nonsense" * 100, b"{}", b"CBM1"):
        (tmp_path / "m").write_bytes(content)
        with pytest.raises(ArtifactError, match="/m: ") as caught:
            model(key).load(tmp_path / "m")
        assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError, match="cannot be read"):
        model(key).load(tmp_path)


@pytest.mark.parametrize("key", KEYS)
def test_as_many_names_as_columns(tmp_path: Path, key: str) -> None:
    x, y = frame()
    file = saved(model(key).train(x.set_axis(["ab", "bc", "cd"], axis=1), y), tmp_path)
    whole = file.read_bytes()
    assert whole.count(b'["ab", "bc", "cd"]') == 1
    file.write_bytes(whole.replace(b'["ab", "bc", "cd"]', b'["ab", "bc---cd"] '))
    with pytest.raises(ArtifactError, match="the trees read 3 columns, and 2 are named"):
        model(key).load(file)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("import ctypes; ctypes.CDLL('libgomp.so.1.that-is-not-there')", "needs OpenMP of the system, .*libgomp1"),
        ("import a_module_that_is_not_there", "training needs {}: pip install 'alphawire"),
    ],
)
def test_a_library_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, module: str, fault: str
) -> None:
    name = key.removeprefix("ml.")
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PluginError, match=fault.format(LIBRARY[key])) as caught:
        model(key).train(*frame())
    assert "\n" not in str(caught.value)
