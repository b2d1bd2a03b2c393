"""`statistical.volatility_regime` against pandas (volatility) and `numpy.percentile` (regime)."""

import numpy as np
import pandas as pd
import pytest

from plugins.features import feature_registry
from schemas.errors import PluginError
from tests.support.feature_bars import SHARED, SHIPPED, bars_in, flat, needs_shared

CASES = [
    {},
    {"window": 5, "rank_window": 5},
    {"window": 10, "rank_window": 60, "low_threshold": 10.0, "high_threshold": 95.0, "periods_per_year": 98_280},
]


def compute(data: pd.DataFrame, **params: object) -> pd.DataFrame:
    return feature_registry.create("statistical.volatility_regime", **params).compute(data)


def expect_volatility(data: pd.DataFrame, window: int = 20, periods_per_year: float = 252, **_: object) -> np.ndarray:
    """Each window by itself: pandas' running sums would carry their error on."""
    returns = data["close"].pct_change(fill_method=None)
    return (returns.rolling(window).apply(np.std, raw=True, kwargs={"ddof": 1}) * np.sqrt(periods_per_year)).to_numpy()


def expect_regime(
    volatility: np.ndarray, window: int = 20, rank_window: int = 252,
    low_threshold: float = 33, high_threshold: float = 67, **_: object,
) -> np.ndarray:  # fmt: skip
    """By the definition, from volatilities as we compute them: a tie must be a tie in both."""
    found = np.full(len(volatility), np.nan)
    for i in range(len(volatility)):
        values = volatility[: i + 1]
        values = values[~np.isnan(values)][-rank_window:]
        if np.isnan(volatility[i]) or len(values) < window:
            continue
        low, high = np.percentile(values, [low_threshold, high_threshold])
        found[i] = 0.0 if volatility[i] <= low else 2.0 if volatility[i] >= high else 1.0
    return found


def check(data: pd.DataFrame, **params: object) -> None:
    result = compute(data, **params)
    assert list(result.columns) == ["realised_vol", "volatility_regime"]
    volatility = result["realised_vol"].to_numpy()
    # where nothing moves ours is 0 and numpy's is 1e-18, the error of its mean
    np.testing.assert_allclose(volatility, expect_volatility(data, **params), rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(result["volatility_regime"].to_numpy(), expect_regime(volatility, **params))


@pytest.mark.parametrize("params", CASES)
def test_equals_pandas_and_numpy_on_real_bars(params):
    for data in bars_in(SHIPPED):
        check(data, **params)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("params", CASES)
def test_equals_pandas_and_numpy_on_shared_bars(params):
    for data in bars_in(SHARED)[::7]:
        check(data.iloc[:2000], **params)


def test_first_values_and_warmup():
    data = bars_in(SHIPPED)[0].iloc[:80]
    result = compute(data)
    assert [int(np.flatnonzero(result[name].notna())[0]) + 1 for name in result] == [21, 40]
    assert feature_registry.create("statistical.volatility_regime").warmup == 39


def test_all_three_regimes_occur():
    regimes = compute(bars_in(SHIPPED)[0], window=5, rank_window=50)["volatility_regime"]
    assert set(regimes.dropna()) == {0.0, 1.0, 2.0}


def test_prices_that_never_move_are_in_the_low_regime():
    result = compute(flat(100))
    assert (result["realised_vol"].iloc[20:] == 0.0).all()
    assert (result["volatility_regime"].iloc[39:] == 0.0).all()


def test_an_undefined_return_gives_nan_and_is_not_ranked():
    data = bars_in(SHIPPED)[0].iloc[:300].copy()
    data.iloc[100, data.columns.get_loc("close")] = 0.0  # bar 101 has no return
    result = compute(data, window=10, rank_window=30)
    assert result["realised_vol"].iloc[101:111].isna().all()
    assert result["realised_vol"].iloc[111:].notna().all()
    check_regime = expect_regime(result["realised_vol"].to_numpy(), window=10, rank_window=30)
    np.testing.assert_array_equal(result["volatility_regime"].to_numpy(), check_regime)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"window": 1}, "parameter window"),
        ({"window": 30, "rank_window": 29}, "rank_window 29 is below window 30"),
        ({"low_threshold": 70}, "low_threshold is above high_threshold"),
        ({"high_threshold": 101}, "parameter high_threshold"),
        ({"periods_per_year": 0}, "parameter periods_per_year"),
    ],
)
def test_impossible_parameters_are_named(params, told):
    with pytest.raises(PluginError, match=rf"^statistical\.volatility_regime: .*{told}"):
        compute(flat(3), **params)


def test_the_regimes_have_names():
    cls = feature_registry.get("statistical.volatility_regime")
    assert cls.labels == {"volatility_regime": {0: "low", 1: "mid", 2: "high"}}
