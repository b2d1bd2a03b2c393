"""The formulas against their papers' examples, and against scipy and plain loops.

The figures of the two papers are as others who read them print them: all of those below, as "paper", in the table
"Validation" of https://github.com/DaruFinance/deflated-sharpe (README). The papers themselves were not at hand.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from backtest.trials.overfitting import (
    Moments,
    backtest_overfitting,
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)

DAILY = 2.5 / math.sqrt(250)
"""The example of Bailey and López de Prado 2014: Sharpe ratio 2.5 a year, five years of 250 days."""


def test_example_of_the_deflated_sharpe_ratio() -> None:
    """The paper's own section "A numerical example": variance of the yearly ratios 1/2, 100 trials, skewness -3,
    kurtosis 10 give 0.1132 and 0.9004; 46 trials would give 0.9505, and 88 with normal returns the same.
    """
    luck = expected_maximum(1 / 2 / 250, 100)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(Moments(DAILY, -3.0, 10.0, 1250), luck)
    assert found == pytest.approx(0.9004, abs=5e-5)
    fewer = expected_maximum(1 / 2 / 250, 46)
    assert probabilistic_sharpe(Moments(DAILY, -3.0, 10.0, 1250), fewer) == pytest.approx(0.9505, abs=5e-5)
    normal = expected_maximum(1 / 2 / 250, 88)
    assert probabilistic_sharpe(Moments(DAILY, 0.0, 3.0, 1250), normal) == pytest.approx(0.9505, abs=5e-5)


def test_example_of_the_probabilistic_sharpe_ratio() -> None:
    """Bailey and López de Prado 2012: two years of months, 0.458 a month, as if normal and as it was; with three years
    of what it was it passes.
    """
    assert probabilistic_sharpe(Moments(0.458, 0.0, 3.0, 24)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(Moments(0.458, -2.448, 10.164, 24)) == pytest.approx(0.913, abs=5e-4)
    assert probabilistic_sharpe(Moments(0.458, -2.448, 10.164, 36)) == pytest.approx(0.953, abs=1e-3)


@pytest.mark.parametrize(
    ("periods", "skewness", "kurtosis", "years"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_examples_of_the_minimum_track_record(periods: int, skewness: float, kurtosis: float, years: float) -> None:
    """Of the same paper, equation 13 and after: a yearly 2 against 1, with 95 %, by days, weeks and months; and with
    skewness and kurtosis of hedge funds, which the code of its appendix A.3 puts at 59.895 months.
    """
    root = math.sqrt(periods)
    bars = minimum_track_record(Moments(2 / root, skewness, kurtosis, 1), 1 / root)
    assert bars is not None
    assert bars / periods == pytest.approx(years, abs=5e-3)


def test_moments_are_scipys() -> None:
    returns = np.random.default_rng(1).standard_t(4, 500) * 0.01
    found = moments(returns)
    assert found is not None
    assert found.skewness == pytest.approx(stats.skew(returns), rel=1e-12)
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-12)
    assert found.sharpe == pytest.approx(returns.mean() / np.std(returns, ddof=1), rel=1e-12)
    assert moments(np.zeros(50)) is None
    assert moments(np.array([0.1, 0.2, 0.3])) is None
    assert moments(np.array([0.1, np.nan, 0.3, 0.4])) is None


def test_luck_is_what_the_best_of_many_shows() -> None:
    """The mean of the largest of 50 normal numbers with standard deviation 0.1, by simulation; the paper's formula is
    a limit for many trials, at 50 some 1.2 % too high.
    """
    best = np.random.default_rng(2).normal(0.0, 0.1, (40_000, 50)).max(axis=1).mean()
    assert expected_maximum(0.01, 50) == pytest.approx(best, rel=0.02)
    assert expected_maximum(0.01, 1) == 0.0


def test_the_more_trials_the_less_is_believed() -> None:
    found = Moments(DAILY, -3.0, 10.0, 1250)
    assert deflated_sharpe(found, [DAILY], 1) == probabilistic_sharpe(found)
    sharpes = [DAILY, 0.02, -0.03, 0.05]
    chances = [deflated_sharpe(found, sharpes, trials) or 0.0 for trials in (1, 4, 20, 100, 1_000)]
    assert chances == sorted(chances, reverse=True)
    assert minimum_track_record(Moments(-0.1, 0.0, 3.0, 100)) is None


def by_loops(returns: np.ndarray, blocks: int) -> float:
    """Combinatorially symmetric cross-validation as the paper's five steps say, with scipy's ranks."""
    parts = np.array_split(returns, blocks)
    below, total = 0, 0
    for choice in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in choice])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in choice])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1))
        ranks = stats.rankdata(outside.mean(axis=0) / outside.std(axis=0, ddof=1))
        share = ranks[best] / (returns.shape[1] + 1)
        below += math.log(share / (1 - share)) <= 0
        total += 1
    return below / total


@pytest.mark.parametrize("seed", range(5))
def test_overfitting_by_loops(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0.0002 * seed, 0.01, (240, 7 + seed))
    assert backtest_overfitting(returns, 8) == by_loops(returns, 8)
    assert backtest_overfitting(np.vstack([np.full((5, 7 + seed), 9.0), returns]), 8) == by_loops(returns, 8)


def test_what_is_best_for_good_reason_and_what_is_best_by_chance() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 0.01, (1_600, 20))
    skill = noise.copy()
    skill[:, 4] += 0.004
    assert backtest_overfitting(skill) == 0.0
    chance = backtest_overfitting(noise)
    assert chance is not None
    assert chance > 0.3
    assert backtest_overfitting(noise[:, :1]) is None
    assert backtest_overfitting(noise[:20]) is None


@pytest.mark.parametrize(
    "columns",
    [
        lambda one: [one, one, one],
        lambda one: [one, 2.0 * one, 0.5 * one],
        lambda one: [0.0 * one, 0.0 * one],
        lambda one: [one, 0.0 * one, 0.0 * one],
        lambda one: [one, one * (1.0 + 1e-5 * np.sign(one))],
    ],
    ids=["equal", "scaled", "idle", "one that trades beside idle ones", "equal but for rounding"],
)
def test_between_runs_that_do_not_differ_nothing_is_chosen(columns: Callable[[np.ndarray], list[np.ndarray]]) -> None:
    one = np.random.default_rng(5).normal(0.001, 0.01, 320)
    assert backtest_overfitting(np.column_stack(columns(one))) is None


def test_copies_and_idle_runs_change_nothing_of_the_others() -> None:
    """Ten copies of the best are no ten candidates."""
    rng = np.random.default_rng(6)
    returns = rng.normal(0.0, 0.01, (320, 6))
    more = np.column_stack([returns, returns[:, :3], 3.0 * returns[:, 1], np.zeros(320)])
    assert backtest_overfitting(more, 8) == backtest_overfitting(returns, 8) == by_loops(returns, 8)


def test_opposite_runs_are_two() -> None:
    one = np.random.default_rng(7).normal(0.002, 0.01, 320)
    assert backtest_overfitting(np.column_stack([one, -one])) is not None
