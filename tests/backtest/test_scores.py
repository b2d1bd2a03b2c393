"""Scores against scipy and scikit-learn, on rows that are really repeated; the bootstrap against theory."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import r2_score

from backtest.training.bootstrap import block_length, estimates, resampled
from backtest.training.samples import Samples
from backtest.training.scores import Comparison, out_of_sample

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("decimals", [0, 6])  # with many ties, and without
def test_weights_are_repetitions(decimals: int) -> None:
    y, prediction = RNG.normal(size=80).round(decimals), RNG.normal(size=80).round(decimals)
    prediction[3] = np.nan
    for weights in (np.ones(80), RNG.integers(0, 4, 80).astype(float)):
        rows = np.repeat(np.arange(80), weights.astype(int))
        rows = rows[rows != 3]
        a, b = y[rows], prediction[rows]
        sided = (a != 0) & (b != 0)
        ic, r2, hit_rate = Comparison(y, prediction, float(a.mean()))(weights)
        assert ic == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
        assert r2 == pytest.approx(r2_score(a, b), abs=1e-12)
        assert hit_rate == pytest.approx(np.mean(np.sign(a[sided]) == np.sign(b[sided])), abs=1e-12)


def test_what_does_not_vary_has_no_score() -> None:
    y = np.array([1.0, -1.0, 2.0])
    ic, r2, hit_rate = Comparison(y, np.zeros(3), 0.5)(np.ones(3))
    assert np.isnan([ic, hit_rate]).all()
    assert r2 == pytest.approx(1 - 6 / (0.25 + 2.25 + 2.25))
    assert np.isnan(Comparison(y, np.full(3, np.nan), 0.5)(np.ones(3))).all()


def test_a_resample_is_as_long_and_made_of_blocks() -> None:
    """The mean length of a block is what is asked for: neighbours are drawn together that much more often."""
    for length in (1.0, 8.0):
        draws = list(resampled(400, length, 200))
        assert all(draw.sum() == 400 for draw in draws)
        together = np.mean([np.mean(draw * np.roll(draw, -1)) for draw in draws])
        # E[n_i n_(i+1)] is about 1 for independent draws, and more by the share of steps that stay in a block
        assert together == pytest.approx(1.0 + (1 - 1 / length), abs=0.06)


def test_the_interval_of_independent_rows_is_that_of_theory() -> None:
    """Spearman's standard error without correlation is 1 / sqrt(n - 1)."""
    y, prediction = RNG.normal(size=1500), RNG.normal(size=1500)
    compare = Comparison(y, prediction, 0.0)
    found = estimates(np.arange(1500), 1, lambda weights: compare(weights)[:1])[0]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / np.sqrt(1499), rel=0.12)
    assert found.low < found.value < found.high


def test_rows_of_one_time_stay_together() -> None:
    """Fifty equal rows at each time say no more than one: the interval is as wide."""
    y, prediction = RNG.normal(size=300), RNG.normal(size=300)
    alone = Comparison(y, prediction, 0.0)
    pooled = Comparison(np.repeat(y, 50), np.repeat(prediction, 50), 0.0)
    first = estimates(np.arange(300), 1, lambda weights: alone(weights)[:1])[0]
    second = estimates(np.repeat(np.arange(300), 50), 1, lambda weights: pooled(weights)[:1])[0]
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-9)


@pytest.mark.parametrize(("times", "horizon", "length"), [(1000, 1, 10), (1000, 20, 21), (1, 1, 2)])
def test_blocks_are_as_long_as_targets_overlap(times: int, horizon: int, length: int) -> None:
    assert block_length(times, horizon) == length


def scored(prediction: np.ndarray, y: np.ndarray, last: np.ndarray):
    index = pd.MultiIndex.from_arrays(
        [["A"] * len(y), pd.to_datetime(np.arange(len(y)) * 60_000, unit="ms", utc=True)], names=["symbol", "time"]
    )
    series = pd.Series(y, index)
    data = Samples(series.to_frame(), series, series.astype(int), pd.Series(last, index), {})
    return out_of_sample(data, prediction, 0.0, 1, resamples=200)


def test_better_is_said_of_what_is() -> None:
    y, noise, more = RNG.normal(size=(3, 600))
    assert scored(y + noise, y, more).better_than_baselines
    assert not scored(noise, y, more).better_than_baselines
    assert not scored(-y + noise, y, more).better_than_baselines
    assert not scored(y + noise, y, y + noise / 2).better_than_baselines  # the last return is better still
    assert not scored(np.zeros(600), y, more).better_than_baselines


def test_the_baselines_are_scored_on_the_same_rows() -> None:
    y, prediction, last = RNG.normal(size=(3, 400))
    prediction[:100] = np.nan
    found = scored(prediction, y, last)
    assert found.last_return.ic.value == pytest.approx(spearmanr(y[100:], last[100:]).statistic)
    assert found.ic_lead.value == pytest.approx(found.model.ic.value - found.last_return.ic.value)
    assert found.zero.ic.value is None
    assert found.zero.r2.value == pytest.approx(0.0)
