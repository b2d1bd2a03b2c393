"""Splits: no training row knows what a test row is about, by a slow comparison of every pair of intervals."""

from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.training.samples import Samples
from backtest.training.splits import Split, combinatorial, hold_out, paths_of, rolling, walk_forward
from schemas.errors import ConfigurationError


def samples(times: list[int], reach: list[int]) -> Samples:
    """A row at each of `times` (sorted), its target known `reach` later; times need not be equally spaced."""
    index = pd.MultiIndex.from_arrays(
        [["A"] * len(times), pd.to_datetime(times, unit="ms", utc=True)], names=["symbol", "time"]
    )
    X = pd.DataFrame({"x": np.arange(float(len(times)))}, index)  # noqa: N806
    known = pd.Series(np.array(times) + np.array(reach), index)
    return Samples(X, X["x"], known, X["x"], {})


@st.composite
def some_samples(draw: st.DrawFn) -> Samples:
    count = draw(st.integers(30, 44))
    steps = draw(st.lists(st.sampled_from([0, 1, 1, 1, 7]), min_size=count, max_size=count))
    steps[::2] = [max(step, 1) for step in steps[::2]]  # two symbols at one time
    reach = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    return samples(np.cumsum(steps).tolist(), reach)


def blocks_of(split: Split, times: np.ndarray) -> list[np.ndarray]:
    """Rows of each stretch of time that is tested: one that no row outside of it interrupts."""
    grid = np.unique(times)
    tested = np.isin(grid, times[split.test])
    changes = np.flatnonzero(np.diff(tested.astype(int))) + 1
    return [
        np.flatnonzero(np.isin(times, part))
        for part in np.split(grid, changes)
        if np.isin(part, times[split.test]).all()
    ]


def assert_apart(data: Samples, split: Split, embargo: int) -> None:
    times, known = data.times, data.known.to_numpy()
    grid = np.unique(times).tolist()
    assert not (split.train & split.test).any()
    for block in blocks_of(split, times):
        begin, end = times[block].min(), known[block].max()
        for row in np.flatnonzero(split.train):
            assert known[row] < begin or times[row] > end
            between = (
                [time for time in grid if known[row] < time < begin]
                if times[row] < begin
                else [time for time in grid if end < time < times[row]]
            )
            assert len(between) >= embargo


@settings(max_examples=60, deadline=None)
@given(some_samples(), st.integers(0, 3))
def test_no_interval_of_a_training_row_overlaps_a_test_block(data: Samples, embargo: int) -> None:
    for split in [
        hold_out(data, 0.3, embargo),
        *walk_forward(data, 3, embargo),
        *rolling(data, 3, embargo),
        *combinatorial(data, 4, 2, embargo),
    ]:
        assert_apart(data, split, embargo)
        assert split.test.any()


def test_only_what_overlaps_is_left_out() -> None:
    """Rows at 0, 1, … 29 with targets known 2 later; blocks of 10: by hand."""
    data = samples(list(range(30)), [2] * 30)
    first, second, third = combinatorial(data, 3, 1, 0)
    assert np.flatnonzero(first.train).tolist() == list(range(12, 30))  # the last target of block 0 is known at 11
    assert np.flatnonzero(second.train).tolist() == [*range(8), *range(22, 30)]
    assert np.flatnonzero(third.train).tolist() == list(range(18))
    assert [split.purged for split in (first, second, third)] == [2, 4, 2]
    embargoed = next(split for split in combinatorial(data, 3, 1, 3) if split.groups == (1,))
    assert np.flatnonzero(embargoed.train).tolist() == [*range(5), *range(25, 30)]


def test_walking_forward_by_hand() -> None:
    """The second half in two blocks; each training is on what was known before."""
    data = samples(list(range(20)), [1] * 20)
    ranges = [
        [(rows.min(), rows.max()) for rows in (np.flatnonzero(split.train), np.flatnonzero(split.test))]
        for method in (walk_forward, rolling)
        for split in method(data, 2, 0)
    ]
    assert ranges == [[(0, 8), (10, 14)], [(0, 13), (15, 19)], [(0, 8), (10, 14)], [(5, 13), (15, 19)]]


@pytest.mark.parametrize(("groups", "tested"), [(6, 2), (6, 1), (5, 3), (10, 2), (8, 4)])
def test_paths(groups: int, tested: int) -> None:
    """López de Prado 2018, section 12.4: C(N, k) · k / N paths; each predicts each group once, no prediction is used
    twice. His example: N = 6, k = 2 gives 15 splits and 5 paths.
    """
    data = samples(list(range(3 * groups)), [1] * 3 * groups)
    splits = list(combinatorial(data, groups, tested, 0))
    paths = paths_of(groups, tested)
    assert len(splits) == comb(groups, tested)
    assert len(paths) == comb(groups, tested) * tested / groups
    used = [(split, group) for path in paths for group, split in enumerate(path)]
    assert len(set(used)) == len(used) == len(splits) * tested
    assert all(group in splits[split].groups for split, group in used)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: list(walk_forward(data, 6, 0)), "6 blocks of 10 bar times: each needs at least 2"),
        (lambda data: list(combinatorial(data, 4, 4, 0)), "4 test groups of 4"),
        (lambda data: hold_out(data, 1.0, 0), "holdout 1.0 is not between 0 and 1"),
    ],
)
def test_mistakes(call, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        call(samples(list(range(20)), [1] * 20))
