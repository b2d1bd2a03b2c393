"""`signal.portfolio` against scipy, against bisection for the caps, and the properties of every portfolio.

Sources: ``scipy.special.softmax``, ``scipy.stats.rankdata``; capped weights are ``min(cap, c * share)``, whose ``c`` a
bisection finds (`scipy.optimize.brentq`).
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import rankdata

from plugins.signals import signal_registry

NAN = float("nan")
SYMBOLS = [f"S{n:02}" for n in range(40)]
WEIGHTINGS = ["softmax", "rank", "equal"]


def portfolio(values, **params):
    rows = pd.DataFrame({"prediction": values}, index=SYMBOLS[: len(values)])
    return signal_registry.create("signal.portfolio", **params).generate(rows)


def scores_of(values, weighting, temperature, long_only):
    if weighting == "softmax":
        return softmax(np.asarray(values) / temperature)
    if weighting == "rank":
        return rankdata(values)
    return np.ones(len(values)) if long_only else np.sign(values)


def water(scores, total, cap):
    """``min(cap, c * score)`` with a sum of `total`, or all at the cap."""
    if cap * len(scores) <= total:
        return np.full(len(scores), cap)

    def over(log_c):
        return np.minimum(cap, np.exp(log_c) * scores).sum() - total

    return np.minimum(cap, np.exp(brentq(over, -60.0, 120.0, xtol=1e-14)) * scores)


def expected(values, weighting="softmax", temperature=1.0, gross=1.0, max_weight=1.0, long_only=False):
    scores = scores_of(values, weighting, temperature, long_only)
    if long_only:
        return water(scores, gross, max_weight)
    apart = scores - scores.mean()
    weights = np.zeros(len(scores))
    for sign in (1, -1):
        side = sign * apart > 1e-15
        if side.any():
            weights[side] = sign * water(np.abs(apart[side]), gross / 2, max_weight)
    return weights


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("long_only", [True, False])
@pytest.mark.parametrize("max_weight", [1.0, 0.07, 0.03, 0.01])
@pytest.mark.parametrize("gross", [1.0, 0.6])
def test_weights_equal_the_formula(weighting, long_only, max_weight, gross):
    values = np.random.default_rng(7).normal(0.1, 1.0, 37).round(1)
    settings = dict(weighting=weighting, long_only=long_only, max_weight=max_weight, gross=gross)  # noqa: C408
    found = portfolio(values, temperature=0.5, **settings)
    np.testing.assert_allclose(found["weight"], expected(values, temperature=0.5, **settings), rtol=1e-9, atol=1e-13)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)) | st.just(NAN), min_size=1, max_size=25),
    st.sampled_from(WEIGHTINGS),
    st.booleans(),
    st.floats(0.01, 1.0),
    st.floats(0.1, 3.0),
    st.floats(0.05, 5.0),
    st.randoms(),
)
def test_every_portfolio(values, weighting, long_only, max_weight, gross, temperature, random):
    """Sums, caps, the meaning of words, and that the order of rows says nothing, to the last bit."""
    settings = {"weighting": weighting, "long_only": long_only, "max_weight": max_weight}
    settings |= {"gross": gross, "temperature": temperature}
    found = portfolio(values, **settings)
    weights = found["weight"].to_numpy()
    known = ~np.isnan(values)
    assert (found["signal"][~known] == "HOLD").all()
    assert np.isnan(weights[~known]).all()
    assert np.isnan(found["rank"].to_numpy()[~known]).all()
    mine = weights[known]
    assert (np.abs(mine) <= max_weight).all()
    words = {1: "BUY", -1: "SELL", 0: "FLAT"}
    assert found["signal"][known].tolist() == [words[int(sign)] for sign in np.sign(mine)]
    for sign in (1,) if long_only else (1, -1):
        side = sign * mine[sign * mine > 0]
        share = gross if long_only else gross / 2
        assert side.sum() <= share * (1 + 1e-12)
        short = side.sum() < share * (1 - 1e-9)
        if short and len(side):
            np.testing.assert_allclose(side, max_weight)
            told = found["reason"][found["signal"] == words[sign]]
            assert told.str.contains("side reaches .* all at max_weight").all()
    if long_only:
        assert (mine >= 0).all()
    elif len(mine) and not mine.any():
        assert len(set(scores_of(np.asarray(values)[known], weighting, temperature, False))) == 1
    order = list(range(len(values)))
    random.shuffle(order)
    rows = pd.DataFrame({"prediction": values}, index=SYMBOLS[: len(values)])
    shuffled = signal_registry.create("signal.portfolio", **settings).generate(rows.iloc[order])
    pd.testing.assert_frame_equal(shuffled.loc[rows.index], found)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_equal_predictions_long_short_are_nothing(weighting):
    for count in range(1, 40):
        found = portfolio([0.1 + 0.2] * count, weighting=weighting)
        assert found["weight"].tolist() == [0.0] * count
        assert set(found["signal"]) == {"FLAT"}
        assert found["reason"].str.endswith("all predictions are equal").all()


def test_far_below_the_highest_still_counts_among_themselves():
    """exp(-1000) is 0 in float64, but once the highest is capped, the others share the rest by their own softmax."""
    found = portfolio([1000.0, 1.0, 0.0], long_only=True, max_weight=0.5)
    np.testing.assert_allclose(found["weight"], [0.5, *0.5 * softmax([1.0, 0.0])])


def test_low_temperature_is_all_for_the_highest():
    assert portfolio([0.1, 0.3, 0.2], long_only=True, temperature=1e-300)["weight"].tolist() == [0.0, 1.0, 0.0]


def test_weights_are_used_as_they_are():
    assert not signal_registry.get("signal.portfolio").scaled


@pytest.mark.parametrize(
    ("params", "size", "least"),
    [
        ({"max_weight": 0.1}, 9, 10),
        ({"max_weight": 0.1, "long_only": True}, 9, 10),
        ({"max_weight": 0.15}, 7, 8),
        ({"max_weight": 0.15, "long_only": True}, 6, 7),
        ({}, 1, 2),
        ({"gross": 3.0, "long_only": True}, 2, 3),
    ],
)
def test_a_universe_too_small_for_max_weight_is_told(params, size, least):
    plugin = signal_registry.create("signal.portfolio", **params)
    assert plugin.universe_fault(least) is None
    fault = plugin.universe_fault(size)
    assert f"need {least} symbols, and the universe has {size}; raise max_weight" in fault
