"""Frames that cannot be used are refused in one line that says where and what to do."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from plugins.engines.market import prepare, target_weights
from schemas.configuration import Execution
from schemas.errors import ConfigurationError

TIMES = pd.date_range("2024-03-04", periods=4, freq="1D", tz="UTC")
INDEX = pd.MultiIndex.from_product([TIMES, ["AAA", "BBB"]], names=["time", "symbol"])


def prices() -> pd.DataFrame:
    return pd.DataFrame({"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5.0}, index=INDEX)


def signals() -> pd.DataFrame:
    return pd.DataFrame({"signal": "BUY"}, index=INDEX)


def _set(column: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[(TIMES[2], "BBB"), column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.iloc[:0], "prices: there are no bars; is the range empty"),
        (lambda p: p.drop(columns="close"), "prices: there is no column 'close'"),
        (lambda p: p.reset_index(drop=True).rename(str), "prices: the index holds no times; use a DatetimeIndex"),
        (lambda p: p.swaplevel(), "prices: the index holds no times; .* MultiIndex \\(time, symbol\\)"),
        (lambda p: p.iloc[[0, 1, 4, 5, 2, 3]], "prices: 2024-03-05 .* of AAA comes after a later time; sort"),
        (lambda p: pd.concat([p, p.iloc[-1:]]), "prices: 2024-03-07 .* of BBB comes twice"),
        (
            _set("close", np.nan),
            "prices: close is nan at 2024-03-06 .* of BBB; a bar that is missing needs no row: drop it",
        ),
        (_set("high", np.nan), "prices: high is nan"),
        (_set("open", 0.0), "prices: open is 0 at 2024-03-06 .* of BBB; prices are positive"),
        (_set("open", np.inf), "prices: open is inf"),
        (_set("volume", -1.0), "prices: volume is -1"),
        (lambda p: p.assign(close="ten"), "prices: the column 'close' holds something else than numbers"),
        (_set("close", 1e-4), "execution.lot: 0.0001 of BBB at 0.0001 is too little .* use more than 0.466"),
        (_set("close", 1.2e-7), r"of BBB at 1.2e-07 .* use more than 388, as in lot: {default: 0.0001, BBB: 1000}"),
    ],
)
def test_bad_prices(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        prepare(change(prices()), signals(), Execution())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.rename(index={"BBB": "BBC"}), "signals: there are no prices of 'BBC'; did you mean BBB"),
        (lambda s: s.rename(index={"BBB": "XYZ"}), "signals: there are no prices of 'XYZ'; there is: AAA, BBB"),
        (lambda s: s.iloc[[2, 0]], "signals: 2024-03-04 .* of AAA comes after a later time"),
        (lambda s: s.iloc[[2, 2]], "signals: 2024-03-05 .* of AAA comes twice"),
        (
            lambda s: s.rename(index={TIMES[3]: TIMES[3] + pd.Timedelta("1D")}),
            "there is a signal at 2024-03-08 .* of AAA but no bar",
        ),
        (
            lambda s: s.rename(index={TIMES[0]: TIMES[0] - pd.Timedelta("1D")}),
            "there is a signal at 2024-03-03 .* of AAA but no bar",
        ),
        (
            lambda s: s.rename(index={TIMES[0]: TIMES[0] + pd.Timedelta("1s")}),
            "there is a signal at 2024-03-04 00:00:01.* but no bar",
        ),
        (lambda s: s.replace("BUY", "buy"), "signals: 'buy' is not a signal; use BUY, SELL, FLAT, HOLD or a number"),
        (lambda s: s.rename(columns={"signal": "x"}), "signals: there is neither a `signal` nor a `weight` column"),
        (lambda s: s.assign(weight="much"), "signals: the column 'weight' holds something else than numbers"),
        (lambda s: s.assign(weight=np.inf), "signals: the weight at 2024-03-04 .* of AAA is infinite"),
        (lambda s: s.reset_index(drop=True).rename(str), "signals: the index holds no times"),
    ],
)
def test_bad_signals(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        prepare(prices(), change(signals()), Execution())


def test_signal_of_a_symbol_that_has_no_bar_then() -> None:
    with pytest.raises(ConfigurationError, match=r"signal at 2024-03-05 .* of BBB but no bar"):
        prepare(prices().drop((TIMES[1], "BBB")), signals(), Execution())


def test_keeping_needs_no_bar() -> None:
    market = prepare(prices().drop((TIMES[1], "BBB")), signals().assign(weight=np.nan), Execution())
    assert len(market.decision_row) == 0


def test_order_of_the_rows_does_not_matter_and_neither_does_the_zone() -> None:
    by_symbol = prices().sort_index(level="symbol")
    elsewhere = signals()
    elsewhere.index = elsewhere.index.set_levels(TIMES.tz_convert("America/New_York"), level=0)
    one, other = prepare(prices(), signals(), Execution()), prepare(by_symbol, elsewhere, Execution())
    assert one.times.equals(other.times)
    for name in ("first", "symbol", "open", "close", "decision_row", "decision_symbol", "decision_weight"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_integer_times_are_milliseconds() -> None:
    frame = prices().xs("AAA", level="symbol")
    stamps = frame.set_axis([1_709_510_400_000 + day * 86_400_000 for day in range(4)])
    market = prepare(stamps, stamps.assign(signal="BUY"), Execution())
    assert market.times.equals(pd.DatetimeIndex(TIMES.as_unit("ms"), name="time"))


def test_weights() -> None:
    said = pd.DataFrame({"signal": ["BUY", "SELL", "FLAT", "HOLD", None, 0.5, -2, np.nan]})
    nan = np.nan
    np.testing.assert_array_equal(
        target_weights(said, Execution(weight=0.2)), [0.2, -0.2, 0.0, nan, nan, 0.1, -0.4, nan]
    )
    np.testing.assert_array_equal(
        target_weights(said, Execution(weight=0.2, long_only=True)), [0.2, 0.0, 0.0, nan, nan, 0.1, 0.0, nan]
    )
    given = said.assign(weight=[0.7, None, -0.3, 0.0, nan, 1.0, 2.0, nan])
    np.testing.assert_array_equal(
        target_weights(given, Execution(long_only=True)), [0.7, nan, -0.3, 0.0, nan, 1.0, 2.0, nan]
    )


def test_decisions_are_the_changed_targets() -> None:
    frame = pd.DataFrame({"weight": [0.0, 0.5, 0.1, 0.5, np.nan, 0.5, 0.1, 0.0]}, index=INDEX)
    market = prepare(prices(), frame, Execution())
    assert list(zip(market.decision_row, market.decision_symbol, market.decision_weight, strict=True)) == [
        (0, 1, 0.5), (1, 0, 0.1), (3, 1, 0.0)
    ]  # fmt: skip
    always = prepare(prices(), frame, Execution(rebalance="always"))
    assert len(always.decision_row) == 7
