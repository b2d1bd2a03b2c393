"""The compiled loop against the library: XGBoost's own `Booster.predict` is the oracle, to the last bit."""

import random
from typing import Any

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from plugins.models.trees.arrays import BLOCK, Trees
from plugins.models.trees.ubjson import read_ubjson
from plugins.models.trees.xgboost_ubjson import OBJECTIVES, read_xgboost
from schemas.errors import ArtifactError
from tests.support.tree_rows import data, questions

FINITE = 1e38
"""The library refuses rows whose values are infinite in 32 bits."""


def boosted(seed: int, rounds: int = 40, **params: Any) -> tuple[xgboost.Booster, NDArray[np.float64]]:
    """A model whose columns are named, and rows to ask it about."""
    x, y = data(seed)
    x = np.clip(x, -FINITE, FINITE)
    target = np.abs(y) if params.get("objective") == "reg:squaredlogerror" else y
    booster = xgboost.train({"nthread": 1, "seed": seed, **params}, xgboost.DMatrix(x, target), rounds)
    booster.set_attr(alphawire_columns='["a", "b", "c", "d", "e", "f", "g"]')
    return booster, np.clip(questions(x, seed), -FINITE, FINITE)


def file_of(booster: xgboost.Booster) -> bytes:
    return bytes(booster.save_raw("ubj"))


def on_thresholds(trees: Trees, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row gets one value that is a threshold, or a 32-bit number beside it, or a 64-bit number between those."""
    nodes = trees.nodes[np.isfinite(trees.nodes["threshold"])][:500]
    columns, limits = trees.questions["column"][nodes["ask"]], nodes["threshold"]
    above = np.nextafter(limits, np.float32(np.inf))
    rows = np.tile(np.resize(x, (len(nodes), x.shape[1])), (4, 1))
    between = (limits.astype(np.float64) + above) / 2
    for part, values in enumerate((limits, above, between, np.nextafter(between, np.inf))):
        rows[part * len(nodes) + np.arange(len(nodes)), columns] = values
    return rows


def assert_equal_bits(booster: xgboost.Booster, x: NDArray[np.float64]) -> None:
    trees, _ = read_xgboost(file_of(booster))
    for rows in (x, on_thresholds(trees, x)):
        ours = trees.predict(rows)
        assert np.array_equal(ours.astype(np.float32), ours)
        for theirs in (booster.inplace_predict(rows), booster.predict(xgboost.DMatrix(rows))):
            assert np.array_equal(ours.astype(np.float32).view(np.int32), theirs.view(np.int32))
        for size in (1, 2, 3, 5, 7):
            parts = [trees.predict(rows[i : i + size]) for i in range(0, 100, size)]
            assert np.array_equal(ours[:100].view(np.int64), np.concatenate(parts)[:100].view(np.int64))
        alone = [booster.inplace_predict(rows[i : i + 1]) for i in range(100)]
        assert np.array_equal(ours[:100], np.concatenate(alone))


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"max_depth": 14, "min_child_weight": 0},
    "depth 1": {"max_depth": 1},
    "by loss": {"grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0},
    "exact": {"tree_method": "exact"},
    "approximate": {"tree_method": "approx"},
    "a base score": {"base_score": 0.1},
    "a huge base score": {"base_score": 1e7},
    "subsampled": {"subsample": 0.5, "colsample_bytree": 0.5},
    "forest": {"num_parallel_tree": 3, "subsample": 0.5},
    "pruned": {"gamma": 3.0},
    "monotone": {"monotone_constraints": "(1,0,0,0,0,0,-1)"},
}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_equal_to_the_library_to_the_last_bit(case: str, seed: int) -> None:
    assert_equal_bits(*boosted(seed, **CASES[case]))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_plain_objective(objective: str) -> None:
    assert_equal_bits(*boosted(3, objective=objective, **({"quantile_alpha": 0.3} if "quantile" in objective else {})))


def test_more_rows_than_a_block() -> None:
    booster, rows = boosted(4, 10)
    many = np.resize(rows, (2 * BLOCK + 3, rows.shape[1]))
    trees, names = read_xgboost(file_of(booster))
    assert np.array_equal(trees.predict(many), booster.inplace_predict(many))
    assert names == list("abcdefg")


def test_nothing_to_learn() -> None:
    rows = np.ones((50, 2))
    booster = xgboost.train({}, xgboost.DMatrix(rows, np.arange(50.0)), 3)
    booster.set_attr(alphawire_columns='["a", "b"]')
    assert np.array_equal(read_xgboost(file_of(booster))[0].predict(rows), booster.inplace_predict(rows))


def test_beyond_32_bits() -> None:
    """What the library refuses is above, or below, every threshold."""
    booster, rows = boosted(5, 10)
    trees, _ = read_xgboost(file_of(booster))
    for odd, near in ((np.inf, 3e38), (1e300, 3e38), (-np.inf, -3e38)):
        wide, finite = rows.copy(), rows.copy()
        wide[::2, 0], finite[::2, 0] = odd, near
        assert np.array_equal(trees.predict(wide), booster.inplace_predict(finite))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"objective": "count:poisson"}, "'count:poisson' is not served"),
        ({"objective": "reg:gamma"}, "'reg:gamma' is not served"),
        ({"objective": "reg:logistic"}, "'reg:logistic' is not served"),
        ({"objective": "multi:softprob", "num_class": 3}, "is not served"),
        ({"booster": "dart"}, "'dart' is not served"),
        ({"booster": "gblinear"}, "'gblinear' is not served"),
        ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]}, "several targets"),
    ],
)
def test_what_is_no_plain_sum_is_refused(params: dict[str, Any], reason: str) -> None:
    x, y = data(8, 300)
    target = (np.abs(y) * 2 % 3).astype(int) if "num_class" in params else np.clip(np.abs(y), 0.01, 1)
    booster = xgboost.train(params, xgboost.DMatrix(x[:, :2], target), 2)
    booster.set_attr(alphawire_columns='["a", "b"]')
    with pytest.raises(ArtifactError, match=reason):
        read_xgboost(file_of(booster))


def test_categorical_splits_are_refused() -> None:
    x = (np.arange(300) % 7).astype(float)[:, None]
    matrix = xgboost.DMatrix(x, x[:, 0] % 2, feature_types=["c"], enable_categorical=True)
    booster = xgboost.train({}, matrix, 2)
    booster.set_attr(alphawire_columns='["a"]')
    with pytest.raises(ArtifactError, match="categorical splits of XGBoost are not served"):
        read_xgboost(file_of(booster))


def small() -> bytes:
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    params = {"max_depth": 2, "min_child_weight": 0, "lambda": 0}
    booster = xgboost.train(params, xgboost.DMatrix(x, np.array([0.0, 1.0, 5.0, 9.0])), 1)
    booster.set_attr(alphawire_columns='["a"]')
    return file_of(booster)


def test_reads_what_the_library_wrote() -> None:
    x, y = data(9, 200)
    booster = xgboost.train({}, xgboost.DMatrix(np.clip(x, -FINITE, FINITE), y), 2)
    model = read_ubjson(file_of(booster))["learner"]["gradient_booster"]["model"]
    frame = booster.trees_to_dataframe()
    tree = model["trees"][0]
    assert sum(len(tree["left_children"]) for tree in model["trees"]) == len(frame)
    splits = frame[(frame["Tree"] == 0) & (frame["Feature"] != "Leaf")]
    inner = tree["left_children"] != -1
    assert np.array_equal(tree["split_conditions"][inner], splits["Split"].to_numpy(np.float32))


def array(name: str, kind: str, *numbers: int) -> bytes:
    size = {"l": 4, "U": 1, "L": 8}[kind]
    length = len(numbers).to_bytes(8, "big")
    values = b"".join(number.to_bytes(size, "big", signed=kind != "U") for number in numbers)
    return name.encode() + b"[$" + kind.encode() + b"#L" + length + values


ONE = (1).to_bytes(8, "big")
DAMAGE = {
    "left child too high": (array("left_children", "l", 1, 3, 5), array("left_children", "l", 1, 3, 99), "no node"),
    "left child below 0": (array("left_children", "l", 1, 3, 5), array("left_children", "l", 1, 3, -2), "no node"),
    "back to the root": (array("left_children", "l", 1, 3, 5), array("left_children", "l", 1, 0, 5), "no node"),
    "one node of two": (array("left_children", "l", 1, 3, 5), array("left_children", "l", 1, 5, 5), "of its own"),
    "right child": (array("right_children", "l", 2, 4, 6), array("right_children", "l", 2, -1, 6), "no node"),
    "a column too far": (array("split_indices", "l", 0), array("split_indices", "l", 1), "a column that there is not"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_an_index_that_leads_elsewhere(case: str) -> None:
    valid = small()
    old, new, reason = DAMAGE[case]
    begin = old.index(b"#L") + 10  # the numbers begin there
    name, values = old[: old.index(b"#L")], old[begin:]
    place = valid.index(name) + begin
    assert valid[place : place + len(values)] == values
    with pytest.raises(ArtifactError, match=reason) as caught:
        read_xgboost(valid[:place] + new[begin:] + valid[place + len(values) :])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"alphawire_columns", b"alphawire_columnz", "does not say its columns"),
        (b'["a"]', b'["a"}', "does not say its columns"),
        (b'["a"]', b"[123]", "does not say its columns"),
        (b"reg:squarederror", b"reg:squaredwrong", "the objective 'reg:squaredwrong' is not served"),
        (b"base_scoreSL", b"base_scorfSL", "damaged in the header: KeyError 'base_score'"),
        (b"num_treesSL" + ONE + b"1", b"num_treesSL" + ONE + b"2", "1 of 2 trees"),
        (b"version[", b"versiom[", "damaged in its UBJSON: KeyError 'version'"),
        (b"i\x03i\x02i\x00", b"i\x02i\x02i\x00", "written by version 2 of XGBoost"),
        (b"{L", b"{Q", "is no length"),
        (b"left_children[$l", b"left_children[$S", "an array of 'S'"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(old: bytes, new: bytes, reason: str) -> None:
    valid = small()
    assert old in valid
    with pytest.raises(ArtifactError, match=reason):
        read_xgboost(valid.replace(old, new, 1))


def test_every_truncation_is_refused() -> None:
    valid = small()
    read_xgboost(valid)
    for size in range(len(valid)):
        with pytest.raises(ArtifactError):
            read_xgboost(valid[:size])
    with pytest.raises(ArtifactError, match="1 bytes after its end"):
        read_xgboost(valid + b"}")


def test_arrays_in_arrays_have_an_end() -> None:
    with pytest.raises(ArtifactError, match="an unexpected"):
        read_xgboost(b"[" * 100_000)


def test_changed_bytes_are_refused_or_give_a_model_that_answers() -> None:
    valid, rng = small(), random.Random(1)
    refused = 0
    for _ in range(3000):
        changed = bytearray(valid)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        trees, reason = attempt(bytes(changed))
        refused += trees is None
        assert "\n" not in reason
        if trees is not None and trees.width == 1:
            trees.predict(np.zeros((5, 1)))
    assert 500 < refused < 3000


def attempt(data: bytes) -> tuple[Trees | None, str]:
    """The trees, or why they were refused."""
    try:
        return read_xgboost(data)[0], ""
    except ArtifactError as error:
        return None, str(error)
