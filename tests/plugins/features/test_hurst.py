"""`statistical.hurst_exponent` against nolds on real bars, and on fractional Gaussian noise of known H.

Sources: nolds 0.6.2, ``hurst_rs(fit="poly")`` on the same lengths; the noise is drawn from its exact covariance
(Mandelbrot and Van Ness 1968) by the method of Davies and Harte (1987), so its H is known and not estimated.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

from plugins.features import feature_registry
from schemas.errors import PluginError
from tests.support.feature_bars import SHARED, SHIPPED, bars_in, flat, needs_shared

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nolds imports pkg_resources
    import nolds

CASES = [
    ({}, [8, 16, 32]),
    ({"corrected": False}, [8, 16, 32]),
    ({"min_lags": 10, "max_lags": 100}, [10, 20, 40, 80]),
    ({"window": 61, "min_lag": 5, "max_lag": 39}, [5, 10, 20]),
]


def hurst(data: pd.DataFrame, **params: object) -> np.ndarray:
    return feature_registry.create("statistical.hurst_exponent", **params).compute(data)["hurst_exponent"].to_numpy()


def expect(closes: np.ndarray, lengths: list[int], window: int = 100, corrected: bool = True, **_: object) -> float:
    returns = np.log(closes[1:] / closes[:-1])[-window:]
    with np.errstate(all="ignore"):
        return float(nolds.hurst_rs(returns, nvals=lengths, fit="poly", corrected=corrected))


def check(params: dict[str, object], lengths: list[int], data: pd.DataFrame, ends: list[int]) -> None:
    """The value at each of `ends`. Where nolds has less than two lengths there is no slope: it returns NaN, or what a
    line through one point happens to be.
    """
    ours, closes = hurst(data, **params), data["close"].to_numpy()
    theirs = [expect(closes[: end + 1], lengths, **params) for end in ends]
    np.testing.assert_allclose(ours[ends], theirs, rtol=1e-9, atol=1e-12)
    assert np.isfinite(theirs).all()


@pytest.mark.parametrize(("params", "lengths"), CASES)
def test_equals_nolds_on_real_bars(params, lengths):
    for data in bars_in(SHIPPED):
        check(params, lengths, data, list(range(100, len(data), 29)))


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(("params", "lengths"), CASES)
def test_equals_nolds_on_all_shared_bars(params, lengths):
    for data in bars_in(SHARED):
        check(params, lengths, data, list(range(100, len(data), 211)))


@pytest.mark.parametrize(("params", "first"), [({}, 101), ({"window": 20, "min_lag": 3}, 21)])
def test_first_value_and_warmup(params, first):
    values = hurst(bars_in(SHIPPED)[0].iloc[:200], **params)
    assert int(np.flatnonzero(~np.isnan(values))[0]) + 1 == first
    assert feature_registry.create("statistical.hurst_exponent", **params).warmup == first - 1


def noise(exponent: float, count: int, random: np.random.Generator) -> np.ndarray:
    """Fractional Gaussian noise, exactly: its covariance, made circulant, is diagonal under Fourier's transform."""
    lag = np.arange(count + 1.0)
    covariance = 0.5 * ((lag + 1) ** (2 * exponent) - 2 * lag ** (2 * exponent) + np.abs(lag - 1) ** (2 * exponent))
    variances = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real
    assert variances.min() > 0.0
    drawn = random.normal(size=(2, 2 * count)) * np.sqrt(variances / (2 * count))
    return np.fft.fft(drawn[0] + 1j * drawn[1]).real[:count]


def test_the_noise_has_the_covariance_of_its_exponent():
    random = np.random.default_rng(3)
    paths = np.array([noise(0.8, 64, random) for _ in range(20_000)])
    measured = (paths[:, :1] * paths[:, :4]).mean(axis=0)
    np.testing.assert_allclose(measured, [1.0, 0.5 * (2**1.6 - 2), 0.368340, 0.310964], atol=0.03)


@pytest.mark.parametrize(("exponent", "within"), [(0.3, 0.05), (0.5, 0.02), (0.7, 0.05), (0.9, 0.1)])
def test_reads_the_exponent_of_fractional_noise(exponent, within):
    """The mean over 100 paths. R/S itself leans towards 0.5, the more the farther H is from it and the shorter the
    blocks are (hence long ones here): a block's mean takes a part of a persistent drift for itself.
    """
    random = np.random.default_rng(1)
    params = {"window": 2**12, "min_lag": 64, "max_lag": 2**10}
    read = []
    for _ in range(100):
        closes = np.exp(np.cumsum(np.r_[0.0, noise(exponent, 2**12, random)]) * 1e-3)
        read.append(hurst(pd.DataFrame({"close": closes}), **params)[-1])
    assert abs(np.mean(read) - exponent) < within


def test_a_random_walk_reads_a_half_and_more_when_not_corrected():
    closes = pd.DataFrame({"close": np.exp(np.cumsum(np.random.default_rng(2).normal(0, 1e-3, 60_000)))})
    assert abs(np.nanmean(hurst(closes)) - 0.5) < 0.01
    assert abs(np.nanmean(hurst(closes, corrected=False)) - 0.63) < 0.02


def test_constant_prices_have_no_exponent():
    assert np.isnan(hurst(flat(150))).all()


def test_blocks_that_never_moved_are_left_out():
    """As nolds leaves them out; and with one length left there is no slope."""
    data = bars_in(SHIPPED)[0].iloc[:140].copy()
    data.iloc[20:60] = data.iloc[20].to_numpy()
    check({}, [8, 16, 32], data, list(range(100, 140)))
    still = flat(140)
    still.loc[138:, "close"] = 101.0  # moves in the part that is left over, for lengths that leave one
    assert np.isnan(hurst(still, window=137, min_lag=8, max_lag=16)[-2:]).all()


def test_a_close_that_is_not_positive_has_no_logarithm():
    data = bars_in(SHIPPED)[0].iloc[:300].copy()
    data.iloc[150, data.columns.get_loc("close")] = 0.0
    values = hurst(data)
    assert np.isfinite(values[100:150]).all()
    # the return of bar 150 leaves the part that is cut into blocks (96 of 100) when 101 more came
    assert np.isnan(values[154:250]).all()
    assert np.isfinite(values[251:]).all()


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"window": 20}, "one block length"),
        ({"max_lag": 101}, "max_lag 101 is above window 100"),
        ({"min_lag": 2}, "parameter min_lag"),
        ({"column": "open"}, "parameter column"),
    ],
)
def test_impossible_parameters_are_named(params, told):
    with pytest.raises(PluginError, match=rf"^statistical\.hurst_exponent: .*{told}"):
        hurst(flat(3), **params)


def test_the_default_of_max_lag_is_half_the_window_and_told():
    feature = feature_registry.create("statistical.hurst_exponent", min_lags=4, window=50)
    assert feature.params == {"window": 50, "min_lag": 4, "max_lag": 25, "corrected": True}
