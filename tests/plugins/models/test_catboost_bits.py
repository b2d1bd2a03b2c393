"""The compiled loop against the library: CatBoost's own `predict` is the oracle, to the last bit."""

import random
from typing import Any

import catboost
import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.models.trees.catboost_cbm import LOSSES, read_catboost
from plugins.models.trees.oblivious import BLOCK, ObliviousTrees
from schemas.errors import ArtifactError
from tests.support.tree_rows import data, questions

SETTINGS: dict[str, Any] = {"iterations": 40, "thread_count": 1, "allow_writing_files": False, "verbose": False}


def boosted(seed: int, **params: Any) -> tuple[Any, NDArray[np.float64]]:
    """A model, and rows to ask it about."""
    x, y = data(seed)
    model = catboost.CatBoostRegressor(**SETTINGS | {"random_seed": seed} | params).fit(x, y)
    return model, questions(x, seed)


def file_of(model: Any, columns: str = '["a", "b", "c", "d", "e", "f", "g"]') -> bytes:
    model.get_metadata()["alphawire_columns"] = columns
    data: bytes = model._serialize_model()
    return data


def on_borders(trees: ObliviousTrees, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row gets one value that is a border, or a 32-bit number beside it, or a 64-bit number between those."""
    count = min(500, len(trees.border))
    columns, limits = trees.used[trees.asked[:count]], trees.border[:count]
    with np.errstate(over="ignore"):
        above = np.nextafter(limits, np.float32(np.inf))
    between = (limits.astype(np.float64) + above) / 2
    rows = np.tile(np.resize(x, (count, x.shape[1])), (4, 1))
    for part, values in enumerate((limits, above, between, np.nextafter(between, np.inf))):
        rows[part * count + np.arange(count), columns] = values
    return rows


def assert_equal_bits(model: Any, x: NDArray[np.float64]) -> None:
    trees, _ = read_catboost(file_of(model))
    for rows in (x, on_borders(trees, x)):
        ours = trees.predict(rows)
        assert np.array_equal(ours.view(np.int64), model.predict(rows, thread_count=1).view(np.int64))
        for size in (1, 3, 17):
            parts = [trees.predict(rows[i : i + size]) for i in range(0, 102, size)]
            assert np.array_equal(ours[:102].view(np.int64), np.concatenate(parts)[:102].view(np.int64))
        alone = np.concatenate([model.predict(rows[i : i + 1]) for i in range(100)])
        assert np.array_equal(ours[:100].view(np.int64), alone.view(np.int64))


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"depth": 11, "iterations": 10},
    "depth 1": {"depth": 1},
    "missing above": {"nan_mode": "Max"},
    "many borders": {"border_count": 1000},
    "ordered": {"boosting_type": "Ordered"},
    "shrinking": {"model_shrink_rate": 0.1},
    "bayesian": {"bootstrap_type": "Bayesian", "bagging_temperature": 1.0},
    "no average to begin with": {"boost_from_average": False},
}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_library_to_the_last_bit(case: str, seed: int) -> None:
    assert_equal_bits(*boosted(seed, **CASES[case]))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_plain_loss(loss: str) -> None:
    parameters = {"Quantile": ":alpha=0.3", "Huber": ":delta=1", "Expectile": ":alpha=0.3", "Lq": ":q=3"}
    assert_equal_bits(*boosted(3, loss_function=loss + parameters.get(loss, "")))


def test_no_missing_values_in_training() -> None:
    x, y = data(4)
    model = catboost.CatBoostRegressor(**SETTINGS, nan_mode="Forbidden").fit(np.nan_to_num(x), y)
    assert_equal_bits(model, questions(x, 4))


@pytest.mark.parametrize(("scale", "bias"), [(0.1, 1 / 3), (-7.3, 1e9), (1.0, 0.0)])
def test_scale_and_bias(scale: float, bias: float) -> None:
    model, rows = boosted(5)
    model.set_scale_and_bias(scale, bias)
    assert_equal_bits(model, rows)


def test_more_rows_than_a_block() -> None:
    model, rows = boosted(6)
    for count in (BLOCK, BLOCK + 1, 10 * BLOCK + 7):
        many = np.resize(rows, (count, rows.shape[1]))
        trees, names = read_catboost(file_of(model))
        assert np.array_equal(trees.predict(many), model.predict(many))
    assert names == list("abcdefg")


def test_a_small_model_as_its_json_says(tmp_path: Any) -> None:
    """The library's other format names every border and leaf: what is read from the binary is the same."""
    import json

    model, _ = boosted(7, iterations=3, depth=3)
    trees, _ = read_catboost(file_of(model))
    model.save_model(str(tmp_path / "m.json"), format="json")
    told = json.loads((tmp_path / "m.json").read_text())
    splits = [split for tree in told["oblivious_trees"] for split in tree["splits"]]
    assert trees.used[trees.asked].tolist() == [split["float_feature_index"] for split in splits]
    assert trees.border.tolist() == [split["border"] for split in splits]
    assert trees.value.tolist() == [value for tree in told["oblivious_trees"] for value in tree["leaf_values"]]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"loss_function": "Poisson"}, "the loss 'Poisson' is not served"),
        ({"loss_function": "Tweedie:variance_power=1.5"}, "the loss 'Tweedie' is not served"),
        ({"loss_function": "RMSEWithUncertainty"}, "the loss 'RMSEWithUncertainty' is not served"),
        ({"grow_policy": "Lossguide"}, "trees that are not symmetric"),
        ({"grow_policy": "Depthwise"}, "trees that are not symmetric"),
    ],
)
def test_what_is_no_plain_sum_is_refused(params: dict[str, Any], reason: str) -> None:
    x, y = data(8, 300)
    model = catboost.CatBoostRegressor(**SETTINGS | params).fit(x[:, :2], np.abs(y))
    with pytest.raises(ArtifactError, match=reason):
        read_catboost(file_of(model, '["a", "b"]'))


@pytest.mark.parametrize("one_hot", [2, 100])
def test_categories_are_refused(one_hot: int) -> None:
    x = [[str(i % 7), i / 10] for i in range(300)]
    y = [i % 7 % 2 + i / 300 for i in range(300)]
    model = catboost.CatBoostRegressor(**SETTINGS, cat_features=[0], one_hot_max_size=one_hot).fit(x, y)
    with pytest.raises(ArtifactError, match="not served"):
        read_catboost(file_of(model, '["a", "b"]'))


def small() -> bytes:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 9.0]])
    model = catboost.CatBoostRegressor(**SETTINGS | {"iterations": 2, "depth": 2}).fit(x, [0.0, 1.0, 5.0, 9.0])
    return file_of(model, '["a", "b"]')


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"CBM1", b"CBM2", "no CatBoost model in its own format"),
        (b"alphawire_columns", b"alphawire_columnz", "does not say its columns"),
        (b'["a", "b"]', b'["a", "b"}', "does not say its columns"),
        (b'"type":"RMSE"', b'"type":"XXXX"', "the loss 'XXXX' is not served"),
        (b'"loss_function"', b'"loss_functiom"', "damaged: KeyError 'loss_function'"),
        (b"FlabuffersModel_v1", b"FlabuffersModel_v2", "format 'FlabuffersModel_v2' is not known"),
    ],
)
def test_a_damaged_file_is_refused(old: bytes, new: bytes, reason: str) -> None:
    valid = small()
    assert old in valid
    with pytest.raises(ArtifactError, match=reason):
        read_catboost(valid.replace(old, new))


def test_truncations_are_refused() -> None:
    valid = small()
    read_catboost(valid)
    for size in range(0, len(valid), 7):
        with pytest.raises(ArtifactError):
            read_catboost(valid[:size])
        cut = valid[:4] + max(size - 8, 0).to_bytes(4, "little") + valid[8:size]
        with pytest.raises(ArtifactError):
            read_catboost(cut)


def attempt(data: bytes) -> tuple[ObliviousTrees | None, str]:
    """The trees, or why they were refused."""
    try:
        return read_catboost(data)[0], ""
    except ArtifactError as error:
        return None, str(error)


def test_every_number_in_the_trees_is_checked() -> None:
    """Each word that is no text, replaced by numbers that lead elsewhere."""
    valid = small()
    rows = np.random.default_rng(0).normal(size=(40, 2)) * 3
    expected = read_catboost(valid)[0].predict(rows)
    refused, changed = set(), 0
    for place in range(8, len(valid) - 3, 4):
        if valid[place : place + 4].decode("latin-1").isprintable():
            continue
        for number in (0xFFFFFFFF, 0x7FFFFFFF, 1000, 17):
            trees, reason = attempt(valid[:place] + number.to_bytes(4, "little") + valid[place + 4 :])
            refused.add(reason)
            if trees is not None and trees.width == 2:
                changed += not np.array_equal(trees.predict(rows), expected)
    assert changed > 10
    for part in ("a split that there is not", "of a depth that", "as many splits and leaves", "not numbered one after"):
        assert any(part in reason for reason in refused), part
    assert not any("\n" in reason for reason in refused)


def test_changed_bytes_are_refused_or_give_a_model_that_answers() -> None:
    valid, rng = small(), random.Random(1)
    rows, refused = np.zeros((2, 2)), 0
    for _ in range(3000):
        changed = bytearray(valid)
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        trees, reason = attempt(bytes(changed))
        refused += trees is None
        assert "\n" not in reason
        if trees is not None and trees.width == 2:
            trees.predict(rows)
    assert 100 < refused < 3000
