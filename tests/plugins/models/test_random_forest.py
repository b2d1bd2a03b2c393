"""`ml.random_forest`: the same bits as scikit-learn's own predict with one job, its file, and what it refuses."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from plugins.models import BaseModel, model_registry
from plugins.models.trees import forest_skops
from schemas.errors import ArtifactError, PluginError

NAMES = ["rsi", 'close__quantile__q_0.1, "x"=1', "größe\n[2]"]


def frame(rows: int = 600, seed: int = 0, holes: bool = True) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([["A", "B"], range(rows // 2)], names=["symbol", "time"])
    x = pd.DataFrame(rng.normal(size=(rows, 3)), index, NAMES)
    if holes:
        x.iloc[::7, 1] = np.nan
    return x, x["rsi"] * 2 + rng.normal(size=rows)


def model(**params: Any) -> BaseModel:
    return model_registry.create("ml.random_forest", **{"n_estimators": 20, **params})


@cache
def trained() -> BaseModel:
    made = model()
    made.train(*frame())
    return made


def near_thresholds(fitted: RandomForestRegressor) -> np.ndarray:
    """Rows at, just below and just above thresholds, where a cast to 32 bits decides, and with holes."""
    nodes = np.concatenate([estimator.tree_.threshold for estimator in fitted.estimators_])
    nodes = nodes[np.isfinite(nodes)][:300]
    rows = np.repeat(nodes[:, None], 3, axis=1)
    rng = np.random.default_rng(1)
    cast = rows.astype(np.float32).astype(float)
    rows = np.concatenate([rows, np.nextafter(rows, 9.0), np.nextafter(rows, -9.0), cast, rng.normal(size=(300, 3))])
    rows[rng.uniform(size=rows.shape) < 0.1] = np.nan
    return rows


@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_depth": 3, "min_samples_leaf": 1, "seed": 7, "n_jobs": 2},
        {"n_estimators": 1, "extra": {"bootstrap": False}},
        {"extra": {"max_features": "sqrt", "max_samples": 0.5, "oob_score": True}},
        {"extra": {"monotonic_cst": [1, 0, 0]}, "holes": False},
        {"min_samples_leaf": 400},  # trees that are one leaf
    ],
)
def test_equals_the_class_that_it_wraps(params: dict[str, Any], holes: bool) -> None:
    params = dict(params)
    x, y = frame(holes=holes and params.pop("holes", True))
    own = {"n_estimators": 20, "min_samples_leaf": 5} | params
    plain = {key: value for key, value in own.items() if key not in ("seed", "extra", "n_jobs", "holes")}
    extra = params.get("extra", {})
    oracle = RandomForestRegressor(**plain | extra, random_state=params.get("seed", 42), n_jobs=1)
    oracle.fit(x.to_numpy(), y.to_numpy())
    ours = model(**{key: value for key, value in params.items() if key != "holes"})
    ours.train(x, y)
    rows = near_thresholds(oracle)
    if "monotonic_cst" in extra:  # scikit-learn refuses holes then
        rows = np.nan_to_num(rows)
    assert np.array_equal(ours.predict_rows(rows, NAMES), oracle.predict(rows))
    predicted = ours.predict(x)
    assert predicted.index.equals(x.index)
    assert np.array_equal(predicted.to_numpy(), oracle.predict(x.to_numpy()))


def test_a_split_of_missing_values_from_all_others_is_served() -> None:
    """scikit-learn gives it an infinite threshold."""
    x, y = frame()
    y = y + 5.0 * x[NAMES[1]].isna()
    ours = model(max_depth=1)
    ours.train(x, y)
    oracle = RandomForestRegressor(20, max_depth=1, min_samples_leaf=5, random_state=42).fit(x.to_numpy(), y.to_numpy())
    assert np.isinf([estimator.tree_.threshold[0] for estimator in oracle.estimators_]).any()
    rows = np.array([[0.0, hole, 0.0] for hole in (np.nan, -3e38, 3e38, 0.0)])
    assert np.array_equal(ours.predict_rows(rows, NAMES), oracle.predict(rows))


def test_defaults() -> None:
    assert model_registry.create("ml.random_forest").params == {
        "n_estimators": 200, "max_depth": None, "min_samples_leaf": 5, "n_jobs": -1, "seed": 42, "extra": {},
    }  # fmt: skip


def test_training_is_repeatable_whatever_the_jobs_and_the_seed_matters(tmp_path: Path) -> None:
    x, y = frame()
    written = []
    for number, (seed, jobs) in enumerate([(42, -1), (42, 1), (42, 2), (43, 1)]):
        made = model(seed=seed, n_jobs=jobs)
        made.train(x, y)
        made.save(tmp_path / f"{number}")
        written.append((tmp_path / f"{number}").read_bytes())
    assert written[0] == written[1] == written[2] != written[3]


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    trained().save(tmp_path / "here")
    code = f"from tests.plugins.models.test_random_forest import trained\ntrained().save({str(tmp_path / 'there')!r})\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_a_file_brings_back_model_and_columns_and_is_the_librarys(tmp_path: Path) -> None:
    import skops.io

    x, _ = frame()
    trained().save(tmp_path / "model.skops")
    loaded = model().load(tmp_path / "model.skops")
    assert loaded.predict(x).equals(trained().predict(x))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model.skops").read_bytes()
    library = skops.io.load(tmp_path / "model.skops", trusted=[forest_skops.TREE])
    assert isinstance(library, RandomForestRegressor)
    assert np.array_equal(library.predict(x), trained().predict(x).to_numpy())
    assert library.feature_names_in_.tolist() == NAMES
    assert library.n_jobs == 1


def test_rows_alone_and_in_a_batch_have_the_same_bits() -> None:
    assert trained().batch_invariant
    rows = frame()[0].to_numpy()
    together = trained().predict_rows(rows, NAMES)
    alone = np.concatenate([trained().predict_rows(rows[i : i + 1], NAMES) for i in range(len(rows))])
    assert np.array_equal(together, alone)
    assert len(trained().predict(frame()[0].iloc[:0])) == 0


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (["rsi", NAMES[2], NAMES[1]], "the order differs: rsi"),
        (["rsi", NAMES[1]], "missing"),
        ([*NAMES, "atr"], "unknown atr"),
    ],
)
def test_other_columns_are_refused_by_name(columns: list[str], fault: str) -> None:
    with pytest.raises(PluginError, match=f"ml.random_forest: other columns than in training: .*{fault}"):
        trained().predict(pd.DataFrame(0.0, range(3), columns))


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"n_jobs": 0}, "parameter n_jobs: 0 jobs train nothing"),
        ({"max_depth": 0}, "parameter max_depth"),
        ({"leaves": 3}, "parameter leaves"),
    ],
)
def test_impossible_parameters_are_refused(params: dict[str, Any], fault: str) -> None:
    with pytest.raises(PluginError, match=fault):
        model(**params)


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ({"max_feature": 1}, r"extra: scikit-learn knows no parameter 'max_feature'; did you mean max_features"),
        ({"random_state": 1}, "extra: 'random_state' is the parameter seed; give it there"),
        ({"warm_start": True}, "extra: 'warm_start' would train on where another training ended"),
        ({"max_features": -1}, "scikit-learn refuses to train: .*max_features"),
    ],
)
def test_extra_is_by_the_librarys_names(extra: dict[str, Any], fault: str) -> None:
    with pytest.raises(PluginError, match=f"ml.random_forest: {fault}"):
        model(extra=extra).train(*frame())


def test_an_infinite_value_is_not_trained_on() -> None:
    x, y = frame()
    x.iloc[3, 0] = np.inf
    with pytest.raises(PluginError, match=r"scikit-learn refuses to train: .*infinity"):
        model().train(x, y)


def changed(change: Callable[[RandomForestRegressor], None]) -> bytes:
    """The file of a forest that was tampered with, as skops writes it."""
    fitted = RandomForestRegressor(3, min_samples_leaf=5, random_state=0).fit(*frame())
    change(fitted)
    return forest_skops.write_forest(fitted)


def node(field: str, value: float, place: int = 0) -> Callable[[RandomForestRegressor], None]:
    def change(fitted: RandomForestRegressor) -> None:
        tree = fitted.estimators_[1].tree_
        state = tree.__getstate__()
        state["nodes"][field][place] = value
        tree.__setstate__(state)

    return change


def leaf(value: float) -> Callable[[RandomForestRegressor], None]:
    def change(fitted: RandomForestRegressor) -> None:
        tree = fitted.estimators_[1].tree_
        state = tree.__getstate__()
        state["values"][-1] = value
        tree.__setstate__(state)

    return change


def attribute(name: str, value: Any) -> Callable[[RandomForestRegressor], None]:
    return lambda fitted: setattr(fitted, name, value)


TAMPERED: dict[str, tuple[Callable[[RandomForestRegressor], None], str]] = {
    "a child that is no node": (node("left_child", 10**6), "tree 1: ValueError a child that is no node"),
    "a child below 0": (node("right_child", -7), "tree 1: ValueError a child that is no node"),
    "a circle": (node("left_child", 0), "a child that is no node"),
    "a child twice": (node("right_child", 1), "a child that is no node of its own"),
    "a column too far": (node("feature", 3), "a split on a column that there is not"),
    "a column below 0": (node("feature", -2), "a split on a column that there is not"),
    "a threshold of NaN": (node("threshold", np.nan), "a threshold that is no number"),
    "a leaf of NaN": (leaf(np.nan), "or not finite"),
    "a tree too few": (lambda fitted: fitted.estimators_.pop(), "2 of 3 trees"),
    "no tree": (attribute("estimators_", []), "0 of 3 trees"),
    "no names": (lambda fitted: delattr(fitted, "feature_names_in_"), "AttributeError"),
    "other names": (attribute("feature_names_in_", np.array([1, 2, 3])), "columns without names"),
    "a name too many": (attribute("feature_names_in_", np.array([*NAMES, "d"], object)), "3 of 3 trees"),
    "a tree that is none": (attribute("estimators_", ["x"] * 3), "AttributeError"),
    "a tree of another kind": (attribute("estimators_", [ExtraTreesRegressor()] * 3), "holds a sklearn.*ExtraTrees"),
    "a function": (attribute("apply", np.sum), "it holds a .*, which no random forest does; it was not loaded"),
    "a type": (attribute("criterion", DecisionTreeRegressor), "damaged|holds"),
}


@pytest.mark.parametrize("what", [what for what in TAMPERED if what != "a type"])
def test_a_tampered_forest_is_refused(tmp_path: Path, what: str) -> None:
    change, fault = TAMPERED[what]
    (tmp_path / "model").write_bytes(changed(change))
    with pytest.raises(ArtifactError, match=fault):
        model().load(tmp_path / "model")


def test_an_untouched_forest_loads(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(changed(lambda fitted: None))
    assert len(model().load(tmp_path / "model").predict(frame()[0])) == 600


@pytest.mark.parametrize(
    "other", [DecisionTreeRegressor(max_depth=2), GradientBoostingRegressor(n_estimators=2)], ids=["tree", "boosting"]
)
def test_another_model_is_refused_before_it_is_made(tmp_path: Path, other: Any) -> None:
    import skops.io

    x, y = frame(holes=False)
    (tmp_path / "model").write_bytes(skops.io.dumps(other.fit(x, y)))
    with pytest.raises(ArtifactError, match="it holds a sklearn"):
        model().load(tmp_path / "model")


def test_a_member_of_another_type_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """A schema that names a type of the standard library, which skops itself would ask about."""
    trained().save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as file:
        members = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(members["schema.json"])
    schema["content"]["content"]["verbose"] = {
        "__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 10**6, "content": {},
    }  # fmt: skip
    members["schema.json"] = json.dumps(schema).encode()
    (tmp_path / "model").write_bytes(zipped(members))
    with pytest.raises(ArtifactError, match=r"it holds a posix.system, which no random forest does; it was not loaded"):
        model().load(tmp_path / "model")


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({}, "damaged in its archive: KeyError"),
        ({"schema.json": b"{"}, "damaged in its archive: JSONDecodeError"),
        ({"schema.json": b"[1]"}, "damaged in its archive"),
        ({"schema.json": b"{}"}, "damaged in its archive"),
        ({"schema.json": b"[" * 100_000}, "damaged in its archive: RecursionError"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path: Path, members: dict[str, bytes], fault: str) -> None:
    (tmp_path / "model").write_bytes(zipped(members))
    with pytest.raises(ArtifactError, match=fault):
        model().load(tmp_path / "model")


def test_an_archive_that_would_unpack_to_gigabytes_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained().save(tmp_path / "model")
    monkeypatch.setattr(forest_skops, "LARGEST", 1_000)
    with pytest.raises(ArtifactError, match="bytes; a random forest has at most 1,000"):
        model().load(tmp_path / "model")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    trained().save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    for data in (b"", b"tree\n", *(whole[:n] for n in range(1, len(whole), len(whole) // 12))):
        (tmp_path / "model").write_bytes(data)
        with pytest.raises(ArtifactError, match="damaged in its archive"):
            model().load(tmp_path / "model")
