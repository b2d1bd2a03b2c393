"""`relative.*` against numpy on each window, the reference's bars joined by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base.bars import bars_from_frame
from plugins.features.relative import Beta, Correlation, RelativeReturn, Spread
from plugins.fold.windowed import streaming

N = 400


def pairs(holes: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    common = rng.normal(0, 0.01, N)
    close = 100 * np.exp(np.cumsum(1.4 * common + rng.normal(0, 0.004, N)))
    other = 50 * np.exp(np.cumsum(common))
    if holes:
        other[rng.uniform(size=N) < 0.1] = np.nan
    return pd.DataFrame({"close": close, "with.close": other})


def returns(data: pd.DataFrame) -> tuple[Any, Any]:
    logs = np.log(data.to_numpy())
    made = np.vstack([[np.nan, np.nan], np.diff(logs, axis=0)])
    return made[:, 1], made[:, 0]


def close_to(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("window", "least", "holes"), [(20, None, False), (20, 10, True), (3, None, False), (60, None, True)]
)
def test_beta_is_least_squares_of_each_window(window: int, least: int | None, holes: bool) -> None:
    data = pairs(holes)
    x, y = returns(data)
    expected = np.full((N, 3), np.nan)
    for t in range(window, N):
        rows = np.arange(t - window + 1, t + 1)
        known = rows[~np.isnan(x[rows]) & ~np.isnan(y[rows])]
        if len(known) < (least or window) or np.isnan(x[t]):
            continue
        design = np.column_stack([np.ones(len(known)), x[known]])
        line, *_ = np.linalg.lstsq(design, y[known], rcond=None)
        left = y[known] - design @ line
        spread = y[known] - y[known].mean()
        expected[t] = line[1], y[t] - line[0] - line[1] * x[t], 1 - (left @ left) / (spread @ spread)
    found = Beta(window=window, min_periods=least).compute(data).to_numpy()
    close_to(found[window:], expected[window:])
    assert np.isnan(found[: least or window]).all()


def test_correlation_is_numpys() -> None:
    data = pairs()
    x, y = returns(data)
    expected = [np.corrcoef(x[t - 29 : t + 1], y[t - 29 : t + 1])[0, 1] for t in range(30, N)]
    close_to(Correlation(window=30).compute(data)["correlation"][30:], expected)


@pytest.mark.parametrize("given", [None, 0.75])
def test_spread_and_its_score_over_each_window(given: float | None) -> None:
    data, window = pairs(), 40
    y, x = np.log(data["close"].to_numpy()), np.log(data["with.close"].to_numpy())
    expected = []
    for t in range(window - 1, N):
        rows = slice(t - window + 1, t + 1)
        design = np.column_stack([np.ones(window), x[rows]])
        ratio = np.linalg.lstsq(design, y[rows], rcond=None)[0][1] if given is None else given
        spreads = y[rows] - ratio * x[rows]
        expected.append((spreads[-1], (spreads[-1] - spreads.mean()) / spreads.std(ddof=1), ratio))
    found = Spread(window=window, hedge_ratio=given).compute(data)
    assert found.iloc[: window - 1].isna().all(axis=None)
    close_to(found.iloc[window - 1 :], expected)


def test_relative_return_is_the_difference_of_two() -> None:
    data = pairs(holes=True)
    expected = data["close"].pct_change(7) - data["with.close"].pct_change(7, fill_method=None)
    close_to(RelativeReturn(window=7).compute(data)["relative_return"], expected)


def test_what_is_not_known_is_never_a_number() -> None:
    flat = pd.DataFrame({"close": [100.0] * 30, "with.close": [50.0] * 30})
    assert Beta(window=5).compute(flat).isna().all(axis=None)
    assert Correlation(window=5).compute(flat).isna().all(axis=None)
    assert Spread(window=5, hedge_ratio=1.0).compute(flat)["spread_z"].isna().all()
    still = flat.assign(**{"with.close": 50.0 * np.exp(np.arange(30) ** 2 / 1e4)})
    assert (Beta(window=5).compute(still)["beta"].dropna() == 0.0).all()
    assert Beta(window=5).compute(still)["r2"].isna().all()
    absent = flat.assign(**{"with.close": math.nan})
    for feature in (RelativeReturn(window=2), Beta(window=5), Correlation(window=5), Spread(window=5)):
        assert feature.compute(absent).isna().all(axis=None)


@pytest.mark.parametrize(
    "feature", [RelativeReturn(window=7), Beta(window=20), Correlation(window=20), Spread(window=20)]
)
def test_a_saved_state_goes_on_and_plain_python_says_the_same(feature: Any) -> None:
    data, stream = pairs(holes=True), streaming(feature)
    bars, slots = bars_from_frame(data, feature.requires), np.zeros(N, np.int64)
    whole, plain = np.empty((N, len(feature.outputs))), np.empty((N, len(feature.outputs)))
    stream.run(stream.new_states(1), slots, bars, whole)
    feature.run_plain(stream.new_states(1), slots, bars, plain)
    parts, states = np.empty_like(whole), stream.new_states(1)
    for first in range(0, N, 37):
        states = np.frombuffer(states.tobytes(), states.dtype).copy()
        part = slice(first, first + 37)
        stream.run(states, slots[part], bars[part], parts[part])
    assert whole.tobytes() == parts.tobytes()
    np.testing.assert_array_equal(whole, plain)
