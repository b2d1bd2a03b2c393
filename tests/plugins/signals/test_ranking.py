"""`signal.ranking` against pandas, and its edges by the table of the plugin.

Source: ``groupby("time")["prediction"].rank(method="first")`` over rows sorted by symbol, then counting from both ends.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.signals import signal_registry
from schemas.errors import PluginError

NAN = float("nan")
DECIDED = ["signal", "weight", "rank", "reason"]


def ranking(predictions, **params):
    if not isinstance(predictions, pd.DataFrame):
        predictions = pd.DataFrame({"prediction": predictions}, index=list("ABCDEFGHIJKL")[: len(predictions)])
    return signal_registry.create("signal.ranking", **params).generate(predictions)


@pytest.fixture(scope="module")
def frame():
    """Thirty symbols at forty times, with ties and holes; the rows in no order."""
    random = np.random.default_rng(5)
    symbols = [f"S{n:02}" for n in range(30)]
    times = pd.date_range("2024-01-02", periods=40, tz="UTC")
    index = pd.MultiIndex.from_product([symbols, times], names=["symbol", "time"])
    predictions = random.normal(0, 0.5, len(index)).round(1)
    predictions[random.random(len(index)) < 0.1] = NAN
    return pd.DataFrame({"prediction": predictions}, index).sample(frac=1.0, random_state=1)


def test_ranks_and_sides_equal_pandas(frame):
    found = ranking(frame, top_n=4, bottom_n=3)
    assert found.index.equals(frame.index)
    known = frame.dropna().sort_index(level="symbol")
    by_time = known.groupby("time")["prediction"]
    rank, present = by_time.rank(method="first"), by_time.transform("size")
    side = pd.Series("FLAT", known.index).mask(rank > present - 4, "BUY").mask(rank <= 3, "SELL")
    same = found.loc[known.index]
    assert same["rank"].tolist() == rank.tolist()
    assert same["signal"].tolist() == side.tolist()
    assert same["weight"].tolist() == side.map({"BUY": 1.0, "SELL": -1.0, "FLAT": 0.0}).tolist()
    holes = found[frame["prediction"].isna()]
    assert len(holes) > 50
    assert set(holes["signal"]) == {"HOLD"}
    assert holes[["weight", "rank"]].isna().all(axis=None)
    assert set(holes["reason"]) == {"no prediction"}


def test_symbol_and_time_may_be_columns_in_either_order_of_levels(frame):
    expected = ranking(frame)[DECIDED]
    pd.testing.assert_frame_equal(ranking(frame.swaplevel())[DECIDED].swaplevel(), expected)
    columns = ranking(frame.reset_index())
    pd.testing.assert_frame_equal(columns.set_index(["symbol", "time"])[DECIDED], expected)
    unnamed = frame.copy()
    unnamed.index.names = [None, None]
    assert ranking(unnamed)["signal"].tolist() == expected["signal"].tolist()


def test_long_only_sells_none_and_the_rest_may_hold():
    assert ranking([1.0, 2.0, 3.0], top_n=1, position_mode="long_only")["signal"].tolist() == ["FLAT", "FLAT", "BUY"]
    held = ranking([1.0, 2.0, 3.0], top_n=1, bottom_n=1, rest="hold")
    assert held["signal"].tolist() == ["SELL", "HOLD", "BUY"]
    assert np.isnan(held["weight"].iloc[1])
    assert held["rank"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("present", range(1, 11))
@pytest.mark.parametrize(("top", "bottom"), [(5, 5), (6, 2), (1, 9)])
def test_few_predictions_shrink_both_sides(present, top, bottom):
    found = ranking(np.arange(float(present)), top_n=top, bottom_n=bottom)
    few = present < top + bottom
    buys, sells = (int(present * n / (top + bottom)) if few else n for n in (top, bottom))
    assert (found["signal"] == "BUY").sum() == buys
    assert (found["signal"] == "SELL").sum() == sells
    assert found["reason"].str.contains(f"of {top + bottom} wanted: {present} predictions").all() == few


def test_infinite_is_no_prediction():
    found = ranking([float("inf"), 1.0, 2.0, -float("inf")], top_n=1, bottom_n=1)
    assert found["signal"].tolist() == ["HOLD", "SELL", "BUY", "HOLD"]


def test_nothing_known_and_no_rows():
    assert ranking([NAN, NAN])["signal"].tolist() == ["HOLD", "HOLD"]
    empty = ranking(pd.DataFrame({"prediction": np.zeros(0)}))
    assert list(empty.columns) == ["prediction", *DECIDED]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-2, 2) | st.sampled_from([0.0, -0.0, NAN]), min_size=1, max_size=12), st.randoms())
def test_the_order_of_rows_says_nothing(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    rows = pd.DataFrame({"prediction": values}, index=list("ABCDEFGHIJKL")[: len(values)])
    pd.testing.assert_frame_equal(ranking(rows.iloc[order]).loc[rows.index], ranking(rows))


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (pd.DataFrame({"x": [1.0]}), "there is no column prediction"),
        (pd.DataFrame({"prediction": [1.0]}), "the rows have no `symbol`"),
        (pd.DataFrame({"prediction": [1.0, 2.0]}, index=["A", "A"]), "A is there twice at one time"),
    ],
)
def test_what_cannot_be_ranked_says_why(rows, fault):
    with pytest.raises(PluginError, match=f"signal.ranking: {fault}"):
        ranking(rows)


@pytest.mark.parametrize("params", [{"top_n": 0, "bottom_n": 0}, {"top_n": 0, "position_mode": "long_only"}])
def test_a_ranking_that_never_trades_is_refused(params):
    with pytest.raises(PluginError, match="nothing would ever be traded; give a top_n"):
        signal_registry.create("signal.ranking", **params)


def test_a_universe_too_small_is_told():
    make = signal_registry.create
    assert make("signal.ranking").universe_fault(10) is None
    assert make("signal.ranking").universe_fault(9) == (
        "top_n 5 and bottom_n 5 need 10 symbols, and the universe has 9; rank fewer, or add symbols"
    )
    assert make("signal.ranking", position_mode="long_only").universe_fault(5) is None
    assert "top_n is 6" in make("signal.ranking", position_mode="long_only", top_n=6).universe_fault(5)
