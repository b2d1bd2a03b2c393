"""The compiled loop against the library: LightGBM's own `Booster.predict` is the oracle, to the last bit."""

from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.models.trees.arrays import CATEGORICAL, ZERO, ZERO_IS_MISSING, Trees
from plugins.models.trees.lightgbm_text import OBJECTIVES, read_lightgbm
from schemas.errors import ArtifactError
from tests.support.tree_rows import EDGES, data, questions


def on_thresholds(trees: Trees, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row gets one value that is exactly a threshold, or the next number above it."""
    thresholds, columns = trees.nodes["threshold"], trees.questions["column"][trees.nodes["ask"]]
    rows, nodes = np.resize(x, (2 * len(thresholds), x.shape[1])).copy(), np.arange(len(thresholds))
    rows[::2][nodes, columns] = thresholds
    rows[1::2][nodes, columns] = np.nextafter(thresholds, np.inf)
    return rows[:2000]


def assert_equal_bits(booster: Any, x: NDArray[np.float64]) -> None:
    trees = read_lightgbm(booster.model_to_string())
    for rows in (x, on_thresholds(trees, x)):
        ours = trees.predict(rows).view(np.int64)
        for threads in (1, 2):
            assert np.array_equal(ours, booster.predict(rows, num_threads=threads).view(np.int64))
        single = np.concatenate([trees.predict(rows[i : i + 1]) for i in range(100)])
        alone = np.concatenate([booster.predict(rows[i : i + 1], num_threads=1) for i in range(100)])
        assert np.array_equal(ours[:100], single.view(np.int64))
        assert np.array_equal(ours[:100], alone.view(np.int64))


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "many leaves": {"num_leaves": 500, "min_data_in_leaf": 1, "min_data_in_bin": 1},
    "categorical": {"categorical_feature": [5], "max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1},
    "one category against the rest": {"categorical_feature": [5], "max_cat_to_onehot": 100, "min_data_per_group": 5},
    "no missing values": {"use_missing": False},
    "zero as missing": {"zero_as_missing": True},
    "zero as missing, categorical": {"zero_as_missing": True, "categorical_feature": [5], "min_data_per_group": 5},
    "dart": {"boosting": "dart"},
    "goss": {"data_sample_strategy": "goss"},
    "bagging": {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5},
    "extremely random": {"extra_trees": True},
    "depth 1": {"max_depth": 1},
    "quantised": {"use_quantized_grad": True, "num_grad_quant_bins": 16},
    "path smoothing": {"path_smooth": 5.0},
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_library_to_the_last_bit(case: str, seed: int) -> None:
    x, y = data(seed)
    params = {"objective": "regression", "verbosity": -1, "num_threads": 1, "seed": seed, **CASES[case]}
    categories = params.pop("categorical_feature", "auto")
    booster = lightgbm.train(params, lightgbm.Dataset(x, y, categorical_feature=categories), num_boost_round=40)
    kinds = read_lightgbm(booster.model_to_string()).questions["kind"]
    assert ((kinds & CATEGORICAL) != 0).any() == (categories != "auto")
    assert ((kinds & ZERO_IS_MISSING) != 0).any() == ("zero_as_missing" in params)
    assert_equal_bits(booster, questions(x, seed))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_plain_objective(objective: str) -> None:
    x, y = data(3)
    booster = lightgbm.train({"objective": objective, "verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=30)
    assert_equal_bits(booster, questions(x, 3))


def test_stopped_early() -> None:
    x, y = data(4)
    train = lightgbm.Dataset(x[:1500], y[:1500])
    booster = lightgbm.train(
        {"objective": "regression", "verbosity": -1, "learning_rate": 0.5}, train, 500,
        valid_sets=[lightgbm.Dataset(x[1500:], y[1500:], reference=train)],
        callbacks=[lightgbm.early_stopping(3, verbose=False)], keep_training_booster=True,
    )  # fmt: skip
    assert 0 < booster.best_iteration < booster.num_trees()
    assert_equal_bits(booster, questions(x, 4))


@pytest.mark.parametrize("constant", ["columns", "target"])
def test_nothing_to_learn(constant: str) -> None:
    x, y = data(5)
    x, y = (np.ones_like(x), y) if constant == "columns" else (x, np.full_like(y, 0.1))
    booster = lightgbm.train({"objective": "regression", "verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=5)
    trees = read_lightgbm(booster.model_to_string())
    rows = questions(x, 5)
    assert np.array_equal(trees.predict(rows).view(np.int64), booster.predict(rows).view(np.int64))


def test_a_threshold_beside_zero_sees_tiny_numbers_as_zero() -> None:
    """LightGBM drops |x| <= 1e-35 from a row on its way in, so -1e-35 goes where 0 goes: not to the left of -1e-35."""
    x = np.repeat([-1.0, 0.0, 1.0], 100)[:, None]
    y = np.repeat([0.0, 1.0, 5.0], 100)
    booster = lightgbm.train({"objective": "regression", "verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=3)
    text = booster.model_to_string()
    assert f"-{ZERO:.17g}" in text
    assert f" {ZERO:.17g}" in text or f"={ZERO:.17g}" in text
    rows = np.array(EDGES)[:, None]
    assert np.array_equal(read_lightgbm(text).predict(rows).view(np.int64), booster.predict(rows).view(np.int64))


def test_a_threshold_that_only_asks_whether_there_is_a_value() -> None:
    """LightGBM writes it as infinity: infinity itself is a value, and goes left."""
    x = np.repeat([np.nan, 0.0, 1.0], 100)[:, None]
    y = np.repeat([5.0, 0.0, 0.1], 100)
    booster = lightgbm.train({"objective": "regression", "verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=3)
    assert "threshold=inf" in booster.model_to_string()
    rows = np.array(EDGES)[:, None]
    ours = read_lightgbm(booster.model_to_string()).predict(rows)
    assert np.array_equal(ours.view(np.int64), booster.predict(rows).view(np.int64))
    assert ours[EDGES.index(np.inf)] != ours[0]


def test_text_and_memory_give_the_same_bits() -> None:
    x, y = data(6)
    booster = lightgbm.train({"objective": "regression", "verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=50)
    again = lightgbm.Booster(model_str=booster.model_to_string())
    assert np.array_equal(booster.predict(x).view(np.int64), again.predict(x).view(np.int64))


def test_rows_as_they_come() -> None:
    """Read-only rows, rows in Fortran's order and float32 give what a plain matrix of their values gives."""
    x, y = data(7)
    trees = read_lightgbm(
        lightgbm.train({"objective": "regression", "verbosity": -1}, lightgbm.Dataset(x, y), 5).model_to_string()
    )
    narrow = x.clip(-1e30, 1e30).astype(np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    assert np.array_equal(trees.predict(frozen), trees.predict(x))
    assert np.array_equal(trees.predict(np.asfortranarray(x)), trees.predict(x))
    assert np.array_equal(trees.predict(narrow), trees.predict(narrow.astype(np.float64)))
    assert len(trees.predict(x[:0])) == 0
    with pytest.raises(ValueError, match="the trees read 7 columns"):
        trees.predict(x[:, :6])


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"objective": "poisson"}, "'poisson' is not served"),
        ({"objective": "regression", "reg_sqrt": True}, "'regression sqrt' is not served"),
        ({"objective": "binary"}, "'binary sigmoid:1' is not served"),
        ({"objective": "multiclass", "num_class": 3}, "several classes"),
        (
            {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            "averages its trees",
        ),
        ({"objective": "regression", "linear_tree": True}, "linear trees are not served"),
    ],
)
def test_what_is_no_plain_sum_is_refused(params: dict[str, Any], reason: str) -> None:
    x, y = data(8, 300)
    target = (
        np.abs(y) * 2 % 3 if "num_class" in params else y > 1 if params["objective"] == "binary" else np.abs(y)
    ).astype(int)
    booster = lightgbm.train(params | {"verbosity": -1}, lightgbm.Dataset(x[:, :2], target), num_boost_round=2)
    with pytest.raises(ArtifactError, match=reason):
        read_lightgbm(booster.model_to_string())


SMALL = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=f0 f1
feature_infos=[0:1] 0:1:2
tree_sizes=1

Tree=0
num_leaves=3
num_cat=1
split_feature=0 1
threshold=0.5 0
decision_type=2 1
left_child=1 -1
right_child=-3 -2
leaf_value=1 2 4
cat_boundaries=0 1
cat_threshold=5
is_linear=0
shrinkage=1


end of trees
"""


def test_a_small_tree_by_hand() -> None:
    rows = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.9], [0.0, 64.0], [0.6, 0.0], [np.nan, np.nan]])
    assert read_lightgbm(SMALL).predict(rows).tolist() == [1.0, 2.0, 1.0, 2.0, 4.0, 2.0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("tree\nversion", "no tree\nversion", "no LightGBM model in its text format"),
        ("version=v4", "version=v3", "version v3"),
        ("\nobjective=regression", "", "'none' is not served"),
        ("end of trees", "", "cut short: 1 of 1 trees"),
        ("tree_sizes=1", "tree_sizes=1 1", "cut short: 1 of 2 trees"),
        ("max_feature_idx=1", "max_feature_idx=x", "damaged in the header"),
        ("left_child=1 -1", "left_child=0 -1", "tree 0: ValueError a child that is no node"),
        ("left_child=1 -1", "left_child=2 -1", "a child that is no node"),
        ("right_child=-3 -2", "right_child=-4 -2", "a child that is no node"),
        ("split_feature=0 1", "split_feature=0 2", "a column that there is not"),
        ("split_feature=0 1", "split_feature=-1 1", "a column that there is not"),
        ("threshold=0.5 0", "threshold=0.5 1", "a set of categories that there is not"),
        ("threshold=0.5 0", "threshold=0.5 nan", "a set of categories that there is not"),
        ("cat_boundaries=0 1", "cat_boundaries=0 9", "1 of 9 numbers in cat_threshold"),
        ("cat_boundaries=0 1", "cat_boundaries=1 1", "a set of categories that there is not"),
        ("num_cat=1", "num_cat=-1", "damaged in tree 0"),
        ("decision_type=2 1", "decision_type=2 999", "damaged in tree 0: OverflowError"),
        ("leaf_value=1 2 4", "leaf_value=1 2", "2 of 3 numbers in leaf_value"),
        ("leaf_value=1 2 4", "", "KeyError 'leaf_value'"),
        ("num_leaves=3", "num_leaves=0", "damaged in tree 0"),
        ("num_leaves=3", "num_leaves=99999999999999", "damaged in tree 0"),
    ],
)  # fmt: skip
def test_a_damaged_model_is_refused(old: str, new: str, reason: str) -> None:
    assert old in SMALL
    with pytest.raises(ArtifactError, match=reason) as caught:
        read_lightgbm(SMALL.replace(old, new, 1))
    assert "\n" not in str(caught.value)
