"""The built-in features against independent sources, on real bars and at the edges.

Sources: TA-Lib (`RSI`, `ATR`), pandas (`pct_change`), numpy (mean and sample standard deviation of each window).
"""

import numpy as np
import pandas as pd
import pytest
import talib

from plugins.features import feature_registry
from schemas.errors import PluginError
from tests.support.feature_bars import SHARED, SHIPPED, bars_in, flat, needs_shared

KEYS = [
    "technical.rsi",
    "technical.atr",
    "statistical.momentum",
    "statistical.z_score",
    "statistical.mean_reversion",
    "statistical.hurst_exponent",
]


@pytest.fixture(scope="module")
def real_bars() -> list[pd.DataFrame]:
    return bars_in(SHIPPED)


def compute(key: str, data: pd.DataFrame, **params: object) -> np.ndarray:
    result = feature_registry.create(key, **params).compute(data)
    assert result.index.equals(data.index)
    assert len(result.columns) == 1
    return result.iloc[:, 0].to_numpy()


def expect_rsi(data: pd.DataFrame, period: int) -> np.ndarray:
    """TA-Lib's, but undefined rather than 0 as long as nothing ever moved."""
    closes = data["close"].to_numpy()
    values = talib.RSI(closes, period)
    moved = np.maximum.accumulate(np.abs(np.diff(closes, prepend=closes[0]))) > 0
    return np.where(moved, values, np.nan)


def expect_atr(data: pd.DataFrame, period: int) -> np.ndarray:
    return talib.ATR(*(data[name].to_numpy() for name in ("high", "low", "close")), period)


def expect_momentum(data: pd.DataFrame, window: int, column: str = "close") -> np.ndarray:
    return data[column].pct_change(window, fill_method=None).to_numpy()


def expect_z_score(data: pd.DataFrame, window: int, column: str = "close") -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(data[column].to_numpy(), window)
    constant = windows.min(axis=1) == windows.max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (windows[:, -1] - windows.mean(axis=1)) / windows.std(axis=1, ddof=1)
    return np.concatenate([np.full(window - 1, np.nan), np.where(constant, np.nan, values)])


CASES = [
    ("technical.rsi", expect_rsi, {"period": 14}, 15),
    ("technical.rsi", expect_rsi, {"period": 2}, 3),
    ("technical.atr", expect_atr, {"period": 14}, 15),
    ("technical.atr", expect_atr, {"period": 2}, 3),
    ("statistical.momentum", expect_momentum, {"window": 20}, 21),
    ("statistical.momentum", expect_momentum, {"window": 1, "column": "open"}, 2),
    ("statistical.z_score", expect_z_score, {"window": 20}, 20),
    ("statistical.z_score", expect_z_score, {"window": 5, "column": "volume"}, 5),
    ("statistical.z_score", expect_z_score, {"window": 2, "column": "high"}, 2),
    ("statistical.mean_reversion", expect_z_score, {"window": 20}, 20),
    ("statistical.mean_reversion", expect_z_score, {"window": 3}, 3),
]


@pytest.mark.parametrize(("key", "expect", "params", "first"), CASES)
def test_equals_the_independent_source_on_real_bars(key, expect, params, first, real_bars):
    for data in real_bars:
        ours, theirs = compute(key, data, **params), expect(data, **params)
        # A z-score near 0 is a difference of nearly equal numbers: there numpy's own sums carry an error of 1e-9 of a
        # deviation, which the absolute part allows.
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 if expect is expect_z_score else 0)
        assert np.isnan(ours[: first - 1]).all()


@pytest.mark.parametrize(("key", "expect", "params", "first"), CASES)
def test_first_value_and_warmup(key, expect, params, first, real_bars):
    data = real_bars[-1].iloc[:200]
    values = compute(key, data, **params)
    assert int(np.flatnonzero(~np.isnan(values))[0]) + 1 == first
    assert feature_registry.create(key, **params).warmup == first - 1
    assert np.isnan(compute(key, data.iloc[: first - 1], **params)).all()


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(("key", "expect", "params", "first"), CASES)
def test_equals_the_independent_source_on_all_shared_bars(key, expect, params, first):
    test_equals_the_independent_source_on_real_bars(key, expect, params, first, bars_in(SHARED))


@pytest.mark.parametrize("price", [100.1, 0.1, 1e-9, 3.3e7])
def test_constant_prices(price):
    data = flat(60, price)
    assert np.isnan(compute("technical.rsi", data)).all()
    assert np.isnan(compute("statistical.z_score", data)).all()
    assert np.isnan(compute("statistical.mean_reversion", data)).all()
    assert (compute("technical.atr", data)[14:] == 0.0).all()
    assert (compute("statistical.momentum", data)[20:] == 0.0).all()


def test_prices_that_only_rise_or_only_fall():
    data = flat(40)
    data["close"] = np.arange(1.0, 41.0)
    assert (compute("technical.rsi", data)[14:] == 100.0).all()
    data["close"] = np.arange(40.0, 0.0, -1)
    assert (compute("technical.rsi", data)[14:] == 0.0).all()


def test_a_z_score_does_not_depend_on_what_came_before_its_window(real_bars):
    data = real_bars[0].iloc[:300]
    whole = compute("statistical.z_score", data)
    for start in (1, 7, 19, 250):
        later = compute("statistical.z_score", data.iloc[start:])
        assert later[19:].tobytes() == whole[start + 19 :].tobytes()


def test_volume_of_zero_is_as_in_pandas_but_never_infinite():
    data = flat(6)
    data["volume"] = [0.0, 0.0, 5.0, 0.0, 0.0, 0.0]
    ours = compute("statistical.momentum", data, window=1, column="volume")
    np.testing.assert_array_equal(ours, data["volume"].pct_change().replace(np.inf, np.nan).to_numpy())


@pytest.mark.parametrize("key", KEYS)
def test_a_row_with_a_hole_gives_nan_and_leaves_the_state_as_it_was(key, real_bars):
    whole = real_bars[0].iloc[:100]
    holes = [0, 3, 50, 51, 99]
    data = whole.copy()
    data.iloc[holes] = np.nan
    values = compute(key, data)
    assert np.isnan(values[holes]).all()
    rest = whole.drop(whole.index[holes])
    assert np.delete(values, holes).tobytes() == compute(key, rest).tobytes()


def test_a_hole_in_a_column_that_is_not_read_does_not_matter(real_bars):
    data = real_bars[0].iloc[:100].copy()
    expected = compute("technical.rsi", data)
    data.loc[data.index[::3], ["open", "high", "low", "volume"]] = np.nan
    assert compute("technical.rsi", data).tobytes() == expected.tobytes()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_bars(key, count, real_bars):
    values = compute(key, real_bars[0].iloc[:count])
    assert len(values) == count
    assert np.isnan(values).all()


@pytest.mark.parametrize("key", KEYS)
def test_each_symbol_of_a_frame_is_folded_alone(key, real_bars):
    parts = {f"S{i}": bars.iloc[:120] for i, bars in enumerate(real_bars[:3])}
    pooled = pd.concat(parts, names=["symbol", "time"]).sort_index(level="time")
    together = feature_registry.create(key).compute(pooled)
    assert together.index.equals(pooled.index)
    for symbol, bars in parts.items():
        alone = feature_registry.create(key).compute(bars)
        assert together.xs(symbol, level="symbol").to_numpy().tobytes() == alone.to_numpy().tobytes()


def test_col_is_accepted_for_column():
    for key in ("statistical.z_score", "statistical.momentum"):
        assert feature_registry.create(key, col="open").params == {"window": 20, "column": "open"}


@pytest.mark.parametrize(
    ("key", "params", "told"),
    [
        ("technical.rsi", {"period": 1}, "period"),
        ("technical.rsi", {"window": 14}, "window"),
        ("technical.atr", {"period": 0}, "period"),
        ("statistical.z_score", {"window": 1}, "window"),
        ("statistical.z_score", {"column": "vwap"}, "column"),
        ("statistical.momentum", {"window": 2.5}, "window"),
        ("statistical.mean_reversion", {"window": 1}, "window"),
        ("statistical.mean_reversion", {"column": "open"}, "column"),
    ],
)
def test_impossible_parameters_are_named(key, params, told):
    with pytest.raises(PluginError, match=rf"^{key}: parameter {told}: "):
        feature_registry.create(key, **params)


def test_a_missing_column_is_named():
    with pytest.raises(
        PluginError, match=r"technical\.atr: the data has no column high, low; it needs high, low, close"
    ):
        compute("technical.atr", pd.DataFrame({"close": [1.0, 2.0]}))
