"""Targets against hand-computed cases, and against a plain loop over each symbol's bars that is written apart."""

import statistics
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from backtest.training.targets import last_return, target_of
from schemas.configuration import Training

MINUTE = 60_000


def frame(rows: list[tuple[float, float, float, float]], symbol: str = "A", first: int = 0) -> pd.DataFrame:
    """Bars of open, high, low, close."""
    opened = (first + np.arange(len(rows))) * MINUTE
    prices = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    return pd.DataFrame({"symbol": symbol, "open_time": opened, "close_time": opened + MINUTE}).join(prices)


def index_of(bars: pd.DataFrame) -> pd.MultiIndex:
    times = pd.to_datetime(bars["close_time"], unit="ms", utc=True)
    return pd.MultiIndex.from_arrays([bars["symbol"], times], names=["symbol", "time"])


def labels(rows: list[tuple[float, float, float, float]], **change: object) -> tuple[list[float], list[int]]:
    """Label of each bar, and the number of bars closed when it is known."""
    training = Training(target="triple_barrier", **{"horizon_bars": 2, "volatility_bars": 2, **change})
    bars = frame(rows)
    target, known = target_of(bars, index_of(bars), training)
    return target.tolist(), [at // MINUTE if at >= 0 else -1 for at in known.tolist()]


# Closes 100, 110, 99: returns 0.1 and -0.1, whose sample standard deviation is 0.2 / sqrt(2) = 0.1414…; entered at 100,
# the barriers for 2 of it are 128.28… and 71.71….
START = [(100.0, 100.0, 100.0, 100.0), (110.0, 110.0, 110.0, 110.0), (99.0, 99.0, 99.0, 99.0)]
QUIET = (100.0, 110.0, 90.0, 100.0)
UP, DOWN, BOTH = (100.0, 128.3, 90.0, 100.0), (100.0, 110.0, 71.7, 100.0), (100.0, 129.0, 71.0, 100.0)


@pytest.mark.parametrize(
    ("after", "label", "known", "change"),
    [
        ([QUIET, QUIET], 0.0, 5, {}),
        ([UP, QUIET], 1.0, 4, {}),
        ([QUIET, UP], 1.0, 5, {}),
        ([DOWN, UP], -1.0, 4, {}),
        ([UP, DOWN], 1.0, 4, {}),
        ([BOTH, QUIET], -1.0, 4, {}),  # the order within a bar is not known: the worse is assumed
        ([QUIET, QUIET, UP], 0.0, 5, {}),  # after the horizon
        ([(100.0, 128.2, 71.8, 100.0), QUIET], 0.0, 5, {}),  # just not
        ([UP, QUIET], 0.0, 5, {"profit_taking": 0.0}),
        ([BOTH, QUIET], 1.0, 4, {"stop_loss": 0.0}),
        ([DOWN, QUIET], 0.0, 5, {"stop_loss": 3.0}),
    ],
)
def test_triple_barrier_by_hand(after, label, known, change):
    got, at = labels([*START, *after], **change)
    assert np.isnan(got[:2]).all()  # the volatility of two returns needs three closes
    assert (got[2], at[2]) == (label, known)


def test_a_touch_at_the_end_of_the_bars_is_not_known_alone():
    """Fewer bars than the horizon: rows that were touched would be kept, and those like them would not."""
    assert np.isnan(labels([*START, UP])[0][2])
    assert labels([*START, UP])[1][2] == -1


def test_prices_that_do_not_move_have_no_barriers():
    assert np.isnan(labels([(5.0, 5.0, 5.0, 5.0)] * 8)[0]).all()


def plain_barrier(
    bars: list[tuple[float, float, float, float]], at: int, training: Training
) -> tuple[float, int] | None:
    """Label and number of the deciding bar, by a loop; None: not known."""
    h, n = training.horizon_bars, training.volatility_bars
    if at < n or at + h >= len(bars):
        return None
    closes = [bar[3] for bar in bars[at - n : at + 1]]
    spread = statistics.stdev(after / before - 1 for before, after in pairwise(closes))
    if spread == 0:
        return None
    entry = bars[at + 1][0]
    for ahead in range(at + 1, at + h + 1):
        _, high, low, _ = bars[ahead]
        if training.stop_loss and low <= entry * (1 - training.stop_loss * spread):
            return -1.0, ahead
        if training.profit_taking and high >= entry * (1 + training.profit_taking * spread):
            return 1.0, ahead
    return 0.0, at + h


def walk(seed: int, count: int = 150) -> list[tuple[float, float, float, float]]:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opened = close * np.exp(rng.normal(0, 0.003, count))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.006, count)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.006, count)))
    return list(zip(opened.tolist(), high.tolist(), low.tolist(), close.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_triple_barrier_against_a_plain_loop(seed):
    training = Training(
        target="triple_barrier", horizon_bars=4 + seed, volatility_bars=5 + seed, profit_taking=1.5, stop_loss=1.0
    )
    own = {"A": walk(seed), "B": walk(seed + 100)}
    mixed = pd.concat([frame(own["A"]), frame(own["B"], "B", 3)]).sort_values(["close_time", "symbol"])
    target, known = target_of(mixed.reset_index(drop=True), index_of(mixed), training)
    seen = set()
    for symbol, bars in own.items():
        closed = mixed.loc[mixed["symbol"] == symbol, "close_time"].tolist()
        for at, (label, time) in enumerate(zip(target[symbol], known[symbol], strict=True)):
            wanted = plain_barrier(bars, at, training)
            seen.add(wanted and wanted[0])
            assert np.isnan(label) if wanted is None else label == wanted[0]
            assert time == (-1 if wanted is None else closed[wanted[1]])
    assert seen == {None, -1.0, 0.0, 1.0}


def test_direction_is_the_sign_of_the_return():
    bars = frame([(price, price, price, price) for price in (1.0, 10.0, 11.0, 11.0, 9.0, 9.0)])
    target, known = target_of(bars, index_of(bars), Training(target="forward_direction", horizon_bars=1))
    assert target.tolist()[:4] == [1.0, 0.0, -1.0, 0.0]
    assert np.isnan(target.tolist()[4:]).all()
    assert known.tolist() == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE, 5 * MINUTE, -1, -1]


def test_the_last_return_is_known_at_the_decision():
    bars = frame([(1.0, 1.0, 1.0, price) for price in (10.0, 12.0, 15.0, 6.0)])
    found = last_return(bars, index_of(bars), Training(horizon_bars=2))
    assert found.tolist() == [0.0, 0.0, 15 / 10 - 1, 6 / 12 - 1]
    assert last_return(bars, index_of(bars), Training(target="triple_barrier")).tolist() == [0.0] * 4
