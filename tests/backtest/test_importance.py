"""How much columns weigh: gain as the libraries' own trees tell it, and what is lost when a column is shuffled."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from backtest.training.outcome.importance import gain_of
from backtest.training.run import Training, train
from plugins.base import BaseModel
from plugins.models import model_registry
from plugins.models.artifacts.manifest import Manifest, read_manifest
from tests.backtest.test_training import bars, config

TREES: dict[str, dict[str, Any]] = {
    "ml.lightgbm": {"n_estimators": 7, "min_child_samples": 5},
    "ml.xgboost": {"n_estimators": 7, "max_depth": 3},
    "ml.catboost": {"iterations": 7, "depth": 3},
    "ml.random_forest": {"n_estimators": 7},
}
COLUMNS = ["first", "second", "third"]


def fitted(key: str) -> BaseModel:
    random = np.random.default_rng(5)
    rows = pd.DataFrame(random.normal(size=(400, 3)), columns=COLUMNS)
    target = 2.0 * rows["second"] + rows["third"] ** 2 + 0.1 * random.normal(size=400)
    model = model_registry.create(key, **TREES[key])
    model.train(rows, target)
    return model


def lightgbm_gains(file: Path) -> list[float]:
    """Out of the text: the gain of each split, and its column."""
    gains = [0.0, 0.0, 0.0]
    for tree in file.read_text().split("\nTree=")[1:]:
        columns, told = (re.search(rf"^{name}=(.*)$", tree, re.MULTILINE)[1].split() for name in SPLITS)
        for column, gain in zip(columns, told, strict=True):
            gains[int(column)] += float(gain)
    return gains


SPLITS = ("split_feature", "split_gain")


def xgboost_gains(file: Path) -> list[float]:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(file)
    nodes = booster.trees_to_dataframe()
    return [float(nodes.loc[nodes["Feature"] == f"f{place}", "Gain"].sum()) for place in range(3)]


def forest_gains(file: Path) -> list[float]:
    """Of each tree the decrease of the squared error by its splits, as a part of the tree's own."""
    from skops import io

    each = []
    for one in io.load(file, trusted=io.get_untrusted_types(file=file)).estimators_:
        tree, gains = one.tree_, np.zeros(3)
        weight = tree.weighted_n_node_samples
        for node in np.flatnonzero(tree.children_left >= 0):
            left, right = tree.children_left[node], tree.children_right[node]
            error = weight * tree.impurity
            gains[tree.feature[node]] += error[node] - error[left] - error[right]
        each.append(gains / gains.sum())
    return np.mean(each, axis=0).tolist()


@pytest.mark.parametrize(
    ("key", "told"),
    [("ml.lightgbm", lightgbm_gains), ("ml.xgboost", xgboost_gains), ("ml.random_forest", forest_gains)],
)
def test_gain_is_what_the_splits_of_the_trees_gained(key: str, told: Any, tmp_path: Path) -> None:
    model = fitted(key)
    model.save(tmp_path / model.file_name)
    wanted = np.array(told(tmp_path / model.file_name))
    assert gain_of(model, COLUMNS) == pytest.approx(dict(zip(COLUMNS, wanted / wanted.sum(), strict=True)), rel=1e-5)


@pytest.mark.parametrize("key", TREES)
def test_gains_are_shares_and_the_column_that_says_most_gains_most(key: str) -> None:
    gains = gain_of(fitted(key), COLUMNS)
    assert sum(gains.values()) == pytest.approx(1.0)
    assert sorted(gains, key=lambda name: gains[name]) == ["first", "third", "second"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return train("s", config(), bars(), holdout=0.3, out=tmp_path_factory.mktemp("importance") / "model")


def test_the_manifest_holds_both(trained: Training) -> None:
    importance = read_manifest(trained.artifact).importance
    assert importance is not None
    assert importance.gain is not None
    assert importance.permutation is not None
    assert list(importance.gain) == list(importance.permutation) == ["rsi", "momentum"]
    assert sum(importance.gain.values()) == pytest.approx(1.0)


def test_permutation_is_what_the_coefficient_of_the_hold_out_loses(trained: Training) -> None:
    from backtest.training import make_samples
    from backtest.training.splits import hold_out
    from plugins.models.artifacts.loading import load_artifact

    given = config().strategy("s")
    samples = make_samples("s", given, bars(), None)
    test = hold_out(samples, 0.3, given.training.embargo_bars).test
    model = load_artifact(trained.artifact, key="ml.lightgbm", columns=["rsi", "momentum"]).model
    importance = trained.manifest.importance
    assert importance is not None
    assert importance.permutation is not None
    whole = spearmanr(model.predict(samples.X[test]), samples.y[test]).statistic
    for number, column in enumerate(samples.X.columns):
        values = np.random.default_rng(number).permutation(samples.X[column].to_numpy())
        shuffled = model.predict(samples.X.assign(**{column: values})[test])
        assert importance.permutation[column] == pytest.approx(
            whole - spearmanr(shuffled, samples.y[test]).statistic, abs=1e-12
        )


def test_without_a_hold_out_there_is_the_gain_alone_and_manifests_of_before_keep_their_hash(tmp_path: Path) -> None:
    done = train("s", config(), bars(), out=tmp_path / "model")
    importance = done.manifest.importance
    assert importance is not None
    assert importance.permutation is None
    plain = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert "permutation" not in plain["importance"]
    del plain["importance"]
    before = Manifest.model_validate_json(json.dumps(plain))
    assert before.importance is None
    assert "importance" not in before.model_dump(mode="json")
