"""Moments of windows against the standard library's, which takes exact fractions, on data that running sums fail on."""

import statistics

import numpy as np
import pandas as pd
import pytest

from plugins.fold.exact_windows import rolling_moments


def by_fractions(values: list[float], window: int) -> tuple[list[float], list[float]]:
    parts = [values[last - window + 1 : last + 1] for last in range(window - 1, len(values))]
    return [statistics.mean(part) for part in parts], [statistics.stdev(part) for part in parts]


SERIES = {
    "a jump, then a halt": [100.0 + 0.37 * (i % 3) for i in range(30)] + [150.0] * 60,
    "a bad tick a million times the price": [100.0 + i % 7 if i != 40 else 1e8 for i in range(100)],
    "tiny beside huge": [1e-9 * (i % 3) for i in range(40)] + [1e15] + [1e-9 * (i % 4) for i in range(60)],
    "a walk": (100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 100)))).tolist(),
}  # fmt: skip


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("window", [2, 20])
def test_against_exact_fractions(name: str, window: int) -> None:
    values = SERIES[name]
    means, deviations = rolling_moments(np.array(values), window)
    expected = by_fractions(values, window)
    assert np.isnan(means[: window - 1]).all()
    assert np.isnan(deviations[: window - 1]).all()
    np.testing.assert_allclose(means[window - 1 :], expected[0], rtol=1e-12)
    np.testing.assert_allclose(deviations[window - 1 :], expected[1], rtol=1e-12)
    quiet = np.array(expected[1]) == 0.0
    assert (deviations[window - 1 :][quiet] == 0.0).all()


def test_pandas_running_sums_do_not_come_back_to_zero() -> None:
    """Why it is not used: one bad tick, then 600 equal closes, whose returns are all 0."""
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 100)))
    closes = pd.Series([*walk, walk[-1] * 1e6, *[walk[-1]] * 600])
    returns = closes.pct_change()
    assert returns.rolling(20).std().iloc[-1] > 0.001
    assert rolling_moments(returns.to_numpy(), 20)[1][-1] == 0.0


def test_what_is_not_known_makes_its_windows_unknown() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    means, deviations = rolling_moments(values, 2)
    assert np.flatnonzero(np.isnan(means)).tolist() == [0, 2, 3]
    assert np.flatnonzero(np.isnan(deviations)).tolist() == [0, 2, 3]
    assert rolling_moments(np.array([]), 3)[0].tolist() == []
