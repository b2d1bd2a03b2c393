"""Years without a trade: averages that only shrink must neither lose their digits nor end."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from plugins.base.bars import bars_from_frame
from plugins.features import feature_registry

WALK = (100 + np.cumsum(np.random.default_rng(5).choice([-0.25, 0.25, 0.5, -0.5], 40))).tolist()
"""Prices that binary numbers hold exactly."""


def rsi(closes: list[float], period: int) -> np.ndarray:
    return (
        feature_registry.create("technical.rsi", period=period)
        .compute(pd.DataFrame({"close": closes}))["rsi"]
        .to_numpy()
    )


def exact(closes: list[float], n: int) -> list[float]:
    """Wilder's index in fractions, without any rounding."""
    gain, loss, values = Fraction(0), Fraction(0), []
    for number, (before, now) in enumerate(pairwise(closes), 1):
        change = Fraction(now) - Fraction(before)
        up, down = max(change, Fraction(0)), max(-change, Fraction(0))
        if number <= n:
            gain, loss = gain + up / n, loss + down / n
        else:
            gain, loss = (gain * (n - 1) + up) / n, (loss * (n - 1) + down) / n
        values.append(float(100 * gain / (gain + loss)) if number >= n and gain + loss else float("nan"))
    return [float("nan"), *values]


@pytest.mark.parametrize(("period", "halt"), [(14, 12_000), (2, 1_500), (3, 2_500), (50, 40_000)])
def test_the_index_stays_while_the_close_does(period: int, halt: int) -> None:
    """Gain and loss shrink alike: their ratio is that of the last change, however many equal closes follow."""
    closes = WALK * (2 if period == 50 else 1)
    expected = exact(closes, period)[-1]
    found = rsi([*closes, *[closes[-1]] * halt], period)[len(closes) :]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_trading_goes_on_as_if_the_averages_were_nothing() -> None:
    """After 1,500 equal closes of period 2 what was before weighs 2 ** -1500: against exact fractions."""
    closes = [*WALK, *[WALK[-1]] * 1_500, WALK[-1] + 0.5, WALK[-1], WALK[-1] + 0.25]
    np.testing.assert_allclose(rsi(closes, 2)[-3:], exact(closes, 2)[-3:], rtol=1e-12)


def test_a_halt_that_is_not_long_has_the_bytes_that_it_had() -> None:
    """Only averages below 1e-280 stay: until then the recursion is what it was."""
    closes = np.array([*WALK, *[WALK[-1]] * 5_000])
    gain = loss = 0.0
    expected = []
    for number, change in enumerate(np.diff(closes), 1):
        up, down = max(change, 0.0), max(-change, 0.0)
        if number <= 14:
            gain, loss = gain + up / 14, loss + down / 14
        else:
            gain, loss = (gain * 13 + up) / 14, (loss * 13 + down) / 14
        if number >= 14:
            expected.append(100.0 * gain / (gain + loss))
    assert rsi(closes.tolist(), 14)[14:].tobytes() == np.array(expected).tobytes()


def test_compiled_and_plain_agree_in_a_long_halt() -> None:
    feature = feature_registry.create("technical.rsi", period=3)
    bars = bars_from_frame(pd.DataFrame({"close": [*WALK, *[WALK[-1]] * 2_500]}))
    outs = np.empty((2, len(bars), 1))
    feature.run(feature.new_states(1), np.zeros(len(bars), np.int64), bars, outs[0])
    feature.run_plain(feature.new_states(1), np.zeros(len(bars), np.int64), bars, outs[1])
    assert outs[0].tobytes() == outs[1].tobytes()


@pytest.mark.parametrize("key", ["technical.atr", "statistical.z_score", "statistical.mean_reversion"])
def test_other_features_of_a_long_halt_are_what_they_are_of_no_movement(key: str) -> None:
    """A range that shrinks to 0, and scores that are undefined; nothing is infinite or negative."""
    closes = [*WALK, *[WALK[-1]] * 12_000]
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), closes)).assign(volume=0.0)
    last = feature_registry.create(key).compute(frame).iloc[-1, 0]
    if key == "technical.atr":
        assert 0.0 <= last < 1e-200
    else:
        assert np.isnan(last)
