"""Bars of other symbols beside a symbol's own, in frames: which one it is, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.replay.replay import replay_frame
from backtest.training.samples import select
from plugins.base.streaming import trial_bars
from plugins.pipeline.frames import feature_frame
from plugins.side_inputs.references import Reference, ReferenceJoin, Wanted
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from schemas.wire.side_inputs import Absent, ReferenceBar

MINUTE, FIRST = 60_000, 1_380_000_000_000
SIGNAL = {"key": "signal.threshold", "buy_threshold": 0.001, "sell_threshold": -0.001}


def strategy(feature: Any, universe: Any = "*", **changes: Any) -> Strategy:
    settings = {"interval": "1m", "features": [feature], "prediction": None, "signal": SIGNAL, "universe": universe}
    return Strategy.model_validate(settings | {"prediction": "relative_return"} | changes)


def frame(**closes: list[float | None]) -> pd.DataFrame:
    """One bar a minute; None: there is none."""
    rows = [
        (symbol, FIRST + n * MINUTE, FIRST + (n + 1) * MINUTE, *(close,) * 4, 1.0)
        for symbol, own in closes.items() for n, close in enumerate(own) if close is not None
    ]  # fmt: skip
    names = ["symbol", "open_time", "close_time", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=names).sort_values(["close_time", "symbol"], ignore_index=True)


def columns(feature: Any, bars: pd.DataFrame, universe: Any = "*") -> pd.DataFrame:
    bare = strategy(feature, universe).model_copy(update={"prediction": None})
    return feature_frame("s", bare, bars, warming_up=True)


def test_the_bar_of_the_same_close_counts_and_no_other() -> None:
    bars = frame(A=[100, 110, 121, 133.1], SPY=[50, 51, None, 60])
    found = columns({"relative.return": {"window": 1, "with": "SPY"}}, bars).loc["A"]["relative_return"]
    assert found.iloc[1] == pytest.approx(0.1 - 51 / 50 + 1)
    assert found.isna().tolist() == [True, False, True, True]


def test_the_last_one_counts_where_that_is_said_and_its_age_is_told() -> None:
    bars = frame(A=[100, 110, 121, 133.1], SPY=[50, 51, None, None])
    found = columns({"relative.return": {"window": 1, "with": "SPY", "stale": "last"}}, bars).loc["A"]
    assert found["relative_return.age"].tolist() == [0.0, 0.0, 1.0, 2.0]
    assert found["relative_return"].iloc[2] == pytest.approx(0.1)


def test_each_symbol_has_its_own_by_a_file_and_none_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "sectors.csv"
    path.write_text("symbol,reference\nA,XLK\nB,SPY\n")
    bars = frame(A=[100, 110], B=[100, 120], XLK=[10, 10.5], SPY=[50, 55])
    feature = {"relative.return": {"window": 1, "with": {"file": str(path)}}}
    found = columns(feature, bars, ["A", "B"])["relative_return"].unstack(0).iloc[1]
    assert found["A"] == pytest.approx(0.05)
    assert found["B"] == pytest.approx(0.1)
    whole = columns({"relative.return": {"window": 1, "with": "SPY"}}, bars)["relative_return"].unstack(0).iloc[1]
    assert np.isnan(whole["SPY"])
    assert whole["A"] == pytest.approx(0.0)
    ready = ready_strategy("s", strategy(feature, ["A", "B"]))
    assert ready.config["features"][0]["params"]["with"] == {"A": "XLK", "B": "SPY"}  # and not where the file lies


def test_a_reference_outside_of_the_universe_stands_beside_it_and_is_in_the_training() -> None:
    bars = frame(A=[100, 110], SPY=[50, 55], Z=[1, 1])
    chosen = strategy({"relative.return": {"window": 1, "with": "SPY"}}, ["A"])
    assert set(select("s", chosen, bars, None)["symbol"]) == {"A", "SPY"}
    signals = replay_frame(ready_strategy("s", chosen), bars).signals
    assert signals["symbol"].tolist() == ["A", "A"]
    assert signals["prediction"].iloc[1] == pytest.approx(0.0)


def test_a_symbol_may_start_long_after_its_reference_and_the_reference_may_stop() -> None:
    bars = frame(A=[None] * 50 + [100, 110, 121], SPY=[50.0 + n for n in range(52)])
    found = columns({"relative.return": {"window": 1, "with": "SPY"}}, bars).loc["A"]["relative_return"]
    assert found.isna().tolist() == [True, False, True]
    assert found.iloc[1] == pytest.approx(0.1 - 101 / 100 + 1)


REFUSED = [
    ({"relative.return": {}}, "*", "requires 'with.close', a reference's; say whose, by `with: SYMBOL`"),
    ({"technical.rsi": {"with": "SPY"}}, "*", "technical.rsi looks at no reference; leave out `with`"),
    ({"relative.return": {"with": "SPY"}}, ["SPY"], "SPY is all of the universe, and nothing stands beside itself"),
    ({"relative.return": {"with": {"A": "A"}}}, ["A"], "A is to stand beside itself; name another reference"),
    ({"relative.return": {"with": {"A": "SPY"}}}, ["A", "B"], "names no reference for B; add it"),
    ({"relative.return": {"with": 5}}, "*", "write a symbol, {file: PATH}"),
    ({"relative.return": {"with": "SPY", "interval": "5m"}}, "*", "with and interval do not go together"),
    ({"relative.return": {"stale": "last"}}, "*", "stale is of a reference; say whose bars by `with`"),
    ({"relative.return": {"with": {"file": "none.csv"}}}, "*", "cannot read none.csv: No such file"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "universe", "said"), REFUSED)
def test_what_cannot_be_is_told_in_one_line(feature: Any, universe: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ready_strategy("s", strategy(feature, universe))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A,SPY\n", "the first line names A,SPY; write symbol,reference"),
        ("symbol,reference\nA,SPY\nA,XLK\n", ":3: A is there twice"),
        ("symbol,reference\nA\n", ":2: 1 fields instead of 2"),
        ("symbol,reference\n", "names no symbols"),
        ("symbol,reference\nB,B\n", "B is to stand beside itself"),
    ],
)
def test_a_mapping_that_cannot_be_used_names_the_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "of.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        ready_strategy("s", strategy({"relative.return": {"with": {"file": str(path)}}}))


def test_bars_without_the_reference_are_refused() -> None:
    chosen = strategy({"relative.return": {"with": "SPX"}}, ["A"])
    with pytest.raises(ConfigurationError, match="the bars hold none of SPX, which `with` names"):
        replay_frame(ready_strategy("s", chosen), frame(A=[100, 110]))
    with pytest.raises(ConfigurationError, match="the bars hold none of SPX"):
        columns({"relative.return": {"with": "SPX"}}, frame(A=[100, 110]))


def test_bars_of_trades_have_no_time_in_common() -> None:
    with pytest.raises(ConfigurationError, match="no time closes bars of volume:100, so two"):
        ready_strategy("s", strategy({"relative.return": {"with": "SPY"}}, interval="volume:100", valid_for="10m"))


def test_the_order_of_the_log_says_what_a_bar_may_know() -> None:
    """By hand: an absence that comes after the reference's bar says nothing, one before it stands for ever."""
    bars, beside = trial_bars(3), Reference("SPY", stale=True)
    times = bars["time"]
    wanted = Wanted(["A"], np.zeros(3, np.int64), times, np.array([10, 11, 12]))

    def copy(row: int) -> ReferenceBar:
        return ReferenceBar("SPY", "1m", int(times[row]), 1.0, 1.0, 1.0, 10.0 + row, 1.0, 0, row)

    join = ReferenceJoin()
    for record in [copy(0), Absent("SPY", "1m", 0, 11, 12), copy(1), Absent("SPY", "1m", 0, 0, 12), copy(0)]:
        join.take(record)
    assert list(join.waiting_for("1m", [beside], wanted)["SPY"]) == [2]
    found = join.columns("1m", [beside], wanted)
    assert found["with.close SPY last"].tolist()[:2] == [10.0, 10.0]
    assert found["with.age SPY last"].tolist()[:2] == [0.0, 1.0]
    assert join.copied("1m", "SPY") == 1
