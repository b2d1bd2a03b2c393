"""Targets end at gaps: what lies beyond one is no outcome of a trade of so many bars."""

import numpy as np
import pandas as pd
import pytest

from backtest.training.samples import check_learnable, make_samples
from backtest.training.targets import target_of, targets_of
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from tests.backtest.test_targets import index_of

MINUTE, DAY = 60_000, 86_400_000
START = 1_380_000_000_000 // DAY * DAY


def strategy(interval: str = "1d", calendar: str = "24/7", **training: object) -> Strategy:
    return Strategy.model_validate({
        "interval": interval, "features": [{"statistical.momentum": {"window": 2}}], "prediction": "momentum",
        "signal": "signal.threshold", "training": training, "execution": {"calendar": calendar},
    })  # fmt: skip


def bars(numbers: list[int], length: int = DAY, symbol: str = "A", level: float = 100.0) -> pd.DataFrame:
    """Bars that open at these numbers of intervals; the price is 5 times as high after number 1,000."""
    opened = START + np.array(numbers) * length
    price = level * (1.0 + 0.01 * (np.array(numbers) % 3)) * np.where(np.array(numbers) >= 1000, 5.0, 1.0)
    frame = pd.DataFrame({"symbol": symbol, "open_time": opened, "close_time": opened + length, "open": price})
    return frame.assign(high=price * 1.001, low=price * 0.999, close=price, volume=10.0)


HOLED = [*range(30), *range(1000, 1030)]


@pytest.mark.parametrize(("target", "ahead"), [("forward_return", 4), ("forward_direction", 4), ("triple_barrier", 3)])
def test_no_target_reaches_across_years(target: str, ahead: int) -> None:
    """Of 3 bars ahead, entered at the next open: the last 4 rows before the gap count bars beyond it; the barriers'
    window is 3 bars.
    """
    data = bars(HOLED)
    chosen = strategy(target=target, horizon_bars=3, volatility_bars=5)
    (found, known), across = targets_of(data, index_of(data), chosen)
    assert np.flatnonzero(across).tolist() == list(range(30 - ahead, 30))
    assert found[across].isna().all()
    assert (known[across] == -1).all()
    whole, _ = target_of(data, index_of(data), chosen.training)
    pd.testing.assert_series_equal(found[~across], whole[~across])
    if target == "forward_return":
        assert found.abs().max() < 0.05 < whole.abs().max()


@pytest.mark.parametrize(("missing", "limit", "dropped"), [(4, None, 0), (5, None, 4), (5, 9, 0), (1, 4, 4), (0, 4, 0)])
def test_how_long_a_target_may_span(missing: int, limit: int | None, dropped: int) -> None:
    """It counts 4 bars; 4 missing ones make 8, twice as many, which is the default's limit."""
    data = bars([*range(20), *range(20 + missing, 40 + missing)])
    _, across = targets_of(data, index_of(data), strategy(horizon_bars=3, max_span_bars=limit))
    assert int(across.sum()) == dropped


def test_a_gap_of_one_symbol_is_none_of_another() -> None:
    mixed = pd.concat([bars(HOLED), bars(list(range(1030)), symbol="B")]).sort_values(["close_time", "symbol"])
    mixed = mixed.reset_index(drop=True)
    _, across = targets_of(mixed, index_of(mixed), strategy(horizon_bars=3))
    assert set(mixed["symbol"][across]) == {"A"}
    assert int(across.sum()) == 4


def test_nights_and_weekends_are_no_gaps_by_the_markets_calendar() -> None:
    """Minutes of New York over a weekend and the change to summer time; by 24/7 every evening is one."""
    days = ["2024-03-06", "2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"]
    parts = [pd.date_range(f"{day} 09:30", f"{day} 15:59", freq="min", tz="America/New_York") for day in days]
    opened = parts[0].append(parts[1:]).as_unit("ms").asi8
    data = bars(list(range(len(opened))), MINUTE).assign(open_time=opened, close_time=opened + MINUTE)
    for calendar, expected in (("auto", 0), ("XNYS", 0), ("24/7", 4 * 6)):
        _, across = targets_of(data, index_of(data), strategy("1m", calendar, horizon_bars=5))
        assert int(across.sum()) == expected, calendar


def test_samples_count_what_they_leave_out() -> None:
    samples = make_samples("s", strategy(horizon_bars=3), bars(HOLED))
    assert samples.dropped == {"warming_up": 2, "without_target": 4, "across_gaps": 4}
    assert samples.y.abs().max() < 0.05
    few = make_samples("s", strategy(horizon_bars=3), bars([*range(9), *range(1000, 1009)]))
    with pytest.raises(ConfigurationError, match="the targets of 4 reach across gaps in the data"):
        check_learnable("s", strategy(horizon_bars=3), few)


def test_a_configuration_of_before_has_its_hash() -> None:
    assert "max_span_bars" not in ready_strategy("s", strategy()).config["training"]
    assert ready_strategy("s", strategy(max_span_bars=9)).config["training"]["max_span_bars"] == 9


@pytest.mark.parametrize("jump", [1.5, 1e6])
def test_a_halt_after_a_jump_has_no_barriers(jump: float) -> None:
    """Equal closes have no volatility, whatever came before: no label, instead of one for barriers that nothing can
    miss. Each jump is in the windows of 20 returns.
    """
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 100)))
    price = np.array([*walk, walk[-1] * jump, *[walk[-1]] * 600])
    data = bars(list(range(len(price)))).assign(open=price, high=price, low=price, close=price)
    target, _ = target_of(data, index_of(data), strategy(target="triple_barrier", horizon_bars=5).training)
    assert np.flatnonzero(target.notna()).tolist() == list(range(20, 101 + 20))
