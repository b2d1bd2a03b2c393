"""Tiny cases with every number worked out by hand, in exact fractions, in the test itself; for all engines."""

from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.engines import engine_registry
from schemas.errors import ConfigurationError, PluginError

T = pd.date_range("2024-03-04 14:31", periods=20, freq="1min", tz="UTC")
FREE = {"commission": 0.0, "slippage": 0.0, "capital": 1000.0}

Run = Callable[..., dict[str, Any]]
Bars = list[tuple[int, float, float]] | list[tuple[int, float, float, float]]


def bars(**symbols: Bars) -> pd.DataFrame:
    """``bars(A=[(minute, open, close), …])``; a fourth number is the volume."""
    rows = [
        (T[bar[0]], name, bar[1], bar[2], bar[3] if len(bar) > 3 else 100.0)
        for name, some in symbols.items()
        for bar in some
    ]
    frame = pd.DataFrame(rows, columns=["time", "symbol", "open", "close", "volume"])
    return frame.assign(high=frame[["open", "close"]].max(axis=1), low=frame[["open", "close"]].min(axis=1)).set_index(
        ["time", "symbol"]
    )


def says(column: str = "signal", **symbols: dict[int, Any]) -> pd.DataFrame:
    """``says(A={minute: signal})``."""
    rows = [(T[minute], name, value) for name, some in symbols.items() for minute, value in some.items()]
    return pd.DataFrame(rows, columns=["time", "symbol", column]).set_index(["time", "symbol"])


@pytest.fixture(params=["ledger", "backtrader", "vectorbt"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param != "ledger":
        pytest.importorskip(request.param, reason=f"the engine's library {request.param} is not installed")

    def run_engine(prices: pd.DataFrame, signals: pd.DataFrame, **rules: Any) -> dict[str, Any]:
        return engine_registry.create(request.param, **{**FREE, **rules}).run(prices, signals)

    return run_engine


def sizes(done: dict[str, Any]) -> list[tuple[int, str, float]]:
    """(minute, symbol, signed size) of the fills."""
    return [(T.get_loc(fill.bar), fill.symbol, round(fill.size, 9)) for fill in done["fills"].itertuples()]


def test_buy_and_hold_with_costs(run: Run) -> None:
    done = run(bars(A=[(0, 9, 10), (1, 11, 12), (2, 12, 13)]), says(A={0: "BUY"}), commission=0.001, slippage=0.002)
    price = 11 * Fraction("1.002")
    size = Fraction(floor(1000 / (price * Fraction("1.001")) * 10_000), 10_000)
    cash = 1000 - size * price * Fraction("1.001")
    fill = done["fills"].iloc[0]
    assert fill["size"] == pytest.approx(float(size), rel=1e-14)
    assert fill["price"] == pytest.approx(float(price), rel=1e-14)
    assert fill["commission"] == pytest.approx(float(size * price * Fraction("0.001")), rel=1e-12)
    assert fill["cash"] == pytest.approx(float(cash), abs=1e-9)
    assert done["equity_curve"]["equity"].tolist() == pytest.approx(
        [1000, float(cash + size * 12), float(cash + size * 13)], rel=1e-12
    )
    cut = done["cuts"].iloc[0]
    assert (cut["wanted"], cut["reason"]) == (100.0, "limit of exposure")
    assert cut["filled"] == pytest.approx(float(size))
    assert done["trades"].empty


def test_flip_from_long_to_short_is_two_fills_and_one_trade(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 10, 10), (2, 20, 20), (3, 16, 16)])
    done = run(prices, says(A={0: "BUY", 1: "SELL"}), weight=0.5)
    # 50 bought at 10; at 10 the target is -50, so 100 sold at 20: 50 to close, 50 to open
    assert sizes(done) == [(1, "A", 50), (2, "A", -50), (2, "A", -50)]
    assert done["fills"]["part"].tolist() == ["open", "reduce", "open"]
    assert done["equity_curve"]["equity"].tolist() == [1000, 1000, 1500, 1700]
    assert done["equity_curve"]["short"].tolist() == [0, 0, -1000, -800]
    trade = done["trades"].iloc[0]
    assert (trade["direction"], trade["size"], trade["entry_price"], trade["exit_price"], trade["pnl"]) == (
        "long",
        50,
        10,
        20,
        500,
    )
    assert done["positions"]["A"].tolist() == [0, 50, -50, -50]


def test_cut_by_cash_when_the_open_gaps_up(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10), (1, 12.5, 12.5)]), says(A={0: "BUY"}), lot=1.0)
    assert sizes(done) == [(1, "A", 80)]
    assert done["cuts"][["wanted", "filled", "part"]].to_numpy().tolist() == [[100.0, 80.0, "open"]]


def test_exact_fit_is_not_cut(run: Run) -> None:
    """1000 buys exactly 100 at 10, whatever the last bits of the cash."""
    done = run(bars(A=[(0, 10, 10), (1, 10, 10)]), says(A={0: "BUY"}), lot=1.0)
    assert sizes(done) == [(1, "A", 100)]
    assert done["cuts"].empty


def test_order_waits_for_the_symbols_next_bar_with_its_size(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (3, 5, 5)], B=[(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)])
    done = run(prices, says(A={0: "BUY"}), weight=0.5)
    assert sizes(done) == [(3, "A", 50)]
    assert done["fills"]["signal_time"].tolist() == [T[0]]


def test_bar_without_volume_fills_nothing(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10), (1, 10, 10, 0), (2, 20, 20)]), says(A={0: "BUY"}), weight=0.5)
    assert sizes(done) == [(2, "A", 50)]


def test_data_without_any_volume_fills(run: Run) -> None:
    prices = bars(A=[(0, 10, 10, 0), (1, 10, 10, 0)])
    assert sizes(run(prices, says(A={0: "BUY"}))) == [(1, "A", 100)]
    assert sizes(run(prices.drop(columns="volume"), says(A={0: "BUY"}))) == [(1, "A", 100)]


def test_volume_is_judged_by_symbol(run: Run) -> None:
    """Currencies have no volume, and fill beside a stock that has one and rests without it."""
    prices = bars(
        EURUSD=[(0, 1, 1, 0), (1, 1, 1, 0), (2, 1, 1, 0)], AAPL=[(0, 10, 10, 9), (1, 10, 10, 0), (2, 10, 10, 9)]
    )
    alone = run(prices[prices.index.get_level_values("symbol") == "EURUSD"], says(EURUSD={0: "BUY"}), weight=0.4)
    both = run(prices, says(EURUSD={0: "BUY"}, AAPL={0: "BUY"}), weight=0.4)
    assert sizes(alone) == [(1, "EURUSD", 400)]
    assert sizes(both) == [(1, "EURUSD", 400), (2, "AAPL", 40)]
    assert [text for text in both["warnings"] if "volume" in text] == [
        "no bar of EURUSD has a volume, so every bar there is taken as one that trades."
    ]


def test_lots_differ_by_symbol(run: Run) -> None:
    """A coin in thousands, a share in whole ones, the rest by default: of 1,000, a third each."""
    prices = bars(
        SHIB=[(0, 1.2e-5, 1.2e-5), (1, 1.2e-5, 1.2e-5)],
        SPY=[(0, 70, 70), (1, 70, 70)],
        BTC=[(0, 9e4, 9e4), (1, 9e4, 9e4)],
    )
    said = says("weight", SHIB={0: 0.3}, SPY={0: 0.3}, BTC={0: 0.3})
    done = run(prices, said, lot={"default": 1e-4, "SHIB": 1e6, "SPY": 1})
    assert sizes(done) == [(1, "BTC", 0.0033), (1, "SHIB", 25e6), (1, "SPY", 4)]
    assert done["positions"].iloc[-1].to_dict() == {"BTC": 0.0033, "SHIB": 25e6, "SPY": 4.0}
    assert done["equity_curve"]["equity"].tolist() == pytest.approx([1000, 1000])
    assert not done["warnings"]


def test_a_lot_that_differs_trades_there_and_back(run: Run) -> None:
    prices = bars(A=[(0, 2, 2), (1, 2, 2), (2, 3, 3)], B=[(0, 2, 2), (1, 2, 2), (2, 3, 3)])
    done = run(prices, says("weight", A={0: 0.5, 1: 0.0}, B={0: 0.5, 1: 0.0}), lot={"A": 100, "default": 10})
    assert done["trades"][["symbol", "size", "pnl"]].to_numpy().tolist() == [["A", 200.0, 200.0], ["B", 250.0, 250.0]]
    assert done["equity_curve"]["equity"].iloc[-1] == 1450.0


def test_decisions_below_a_lot_are_counted(run: Run) -> None:
    """One share of 600 is more than half of 1,000: that is told. A sale of all is none."""
    prices = bars(A=[(0, 600, 600), (1, 600, 600), (2, 600, 600)], B=[(0, 10, 10), (1, 10, 10), (2, 10, 10)])
    done = run(prices, says("weight", A={0: 0.5, 1: 0.0}, B={0: 0.5, 1: 0.004}), lot=1.0)
    assert done["below_lot"].to_dict("records") == [
        {"symbol": "A", "signal_time": T[0], "weight": 0.5},
        {"symbol": "B", "signal_time": T[1], "weight": 0.004},
    ]
    assert sizes(done) == [(1, "B", 50), (2, "B", -50)]
    assert done["warnings"] == [
        "2 decisions on A, B came to less than a lot, so to no position; give execution.lot by symbol."
    ]


def test_a_lot_of_no_symbol_is_told(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10), (1, 10, 10)]), says(A={0: "BUY"}), lot={"AA": 1.0})
    assert done["warnings"] == ["execution.lot names AA, of which there are no bars."]


def test_bars_of_a_trade_are_its_symbols(run: Run) -> None:
    """B has a bar each minute, A every other: A is held for two of its bars."""
    every = [(minute, 1.0, 1.0) for minute in range(8)]
    prices = bars(A=[(0, 10, 10), (2, 10, 10), (4, 10, 10), (6, 10, 10)], B=every)
    done = run(prices, says(A={0: "BUY", 4: "FLAT"}), weight=0.5)
    assert done["trades"][["symbol", "bars"]].to_numpy().tolist() == [["A", 2]]


def test_newer_signal_replaces_a_waiting_order_and_hold_does_not(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 10, 10, 0), (2, 10, 10), (3, 10, 10)])
    assert sizes(run(prices, says(A={0: "BUY", 1: "SELL"}), weight=0.5)) == [(2, "A", -50)]
    assert sizes(run(prices, says(A={0: "BUY", 1: "FLAT"}), weight=0.5)) == []
    assert sizes(run(prices, says(A={0: "BUY", 1: "HOLD"}), weight=0.5)) == [(2, "A", 50)]


def test_last_signal_is_pending(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10), (1, 10, 10)]), says(A={1: "SELL"}), weight=0.5)
    assert done["fills"].empty
    assert done["pending"].to_dict("records") == [{"symbol": "A", "signal_time": T[1], "weight": -0.5, "size": -50.0}]


def test_reduces_before_it_opens(run: Run) -> None:
    """All money is in Z; A comes first by name, but lives on what the sale of Z brings."""
    prices = bars(A=[(m, 10, 10) for m in range(4)], Z=[(m, 10, 10) for m in range(4)])
    done = run(prices, says(Z={0: "BUY", 1: "FLAT"}, A={1: "BUY"}))
    assert sizes(done) == [(1, "Z", 100), (2, "Z", -100), (2, "A", 100)]
    assert done["cuts"].empty


def test_one_short_replaces_another(run: Run) -> None:
    """Buying back A frees the room that the short of Z needs, though a rule of sells before buys would put Z first."""
    prices = bars(A=[(m, 10, 10) for m in range(4)], Z=[(m, 10, 10) for m in range(4)])
    done = run(prices, says(A={0: "SELL", 1: "FLAT"}, Z={1: "SELL"}))
    assert sizes(done) == [(1, "A", -100), (2, "A", 100), (2, "Z", -100)]


def test_long_only_sells_to_nothing(run: Run) -> None:
    prices = bars(A=[(m, 10, 10) for m in range(4)])
    assert sizes(run(prices, says(A={0: "BUY", 1: "SELL"}), long_only=True)) == [(1, "A", 100), (2, "A", -100)]
    assert sizes(run(prices, says(A={0: -1.0}), long_only=True)) == []
    assert sizes(run(prices, says("weight", A={0: -0.5}), long_only=True)) == [(1, "A", -50)], (
        "a weight is used as it is"
    )


def test_numbers_are_sizes_and_weights_are_taken_as_they_are(run: Run) -> None:
    prices = bars(A=[(m, 10, 10) for m in range(5)])
    assert sizes(run(prices, says(A={0: 0.5, 1: np.nan, 2: -0.25}), weight=0.8)) == [
        (1, "A", 40),
        (3, "A", -40),
        (3, "A", -20),
    ]
    assert sizes(run(prices, says("weight", A={0: 0.5, 1: None, 2: -0.25}), weight=0.8)) == [
        (1, "A", 50),
        (3, "A", -50),
        (3, "A", -25),
    ]


def test_only_a_changed_target_orders_unless_told_to_rebalance(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 10, 20), (2, 20, 20), (3, 20, 20)])
    signals = says(A={0: "BUY", 1: "BUY", 2: "BUY"})
    assert sizes(run(prices, signals, weight=0.5)) == [(1, "A", 50)]
    # at 20 the equity is 500 + 50 * 20 = 1500, half of it is 37.5 shares
    assert sizes(run(prices, signals, weight=0.5, rebalance="always")) == [(1, "A", 50), (2, "A", -12.5)]


def test_whole_shares_are_rounded_toward_zero(run: Run) -> None:
    prices = bars(A=[(m, 30, 30) for m in range(3)])
    assert sizes(run(prices, says(A={0: "BUY"}), lot=1.0)) == [(1, "A", 33)]
    assert sizes(run(prices, says(A={0: "SELL"}), lot=1.0)) == [(1, "A", -33)]


def test_next_close(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 11, 8), (2, 9, 16)])
    done = run(prices, says(A={0: "BUY"}), price="next_close", weight=0.5)
    assert done["fills"][["bar", "price"]].to_numpy().tolist() == [[T[1], 8.0]]
    assert done["equity_curve"]["equity"].tolist() == [1000, 1000, 1400]


def test_this_close_only_when_one_knows(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 20, 20)])
    with pytest.raises(PluginError, match="i_know_this_looks_ahead: true"):
        run(prices, says(A={0: "BUY"}), price="this_close")
    done = run(prices, says(A={0: "BUY"}), price="this_close", i_know_this_looks_ahead=True)
    assert done["fills"][["bar", "price", "size"]].to_numpy().tolist() == [[T[0], 10.0, 100.0]]
    assert done["equity_curve"]["equity"].tolist() == [1000, 2000]


def test_leverage_is_a_limit_on_gross_exposure(run: Run) -> None:
    prices = bars(A=[(m, 10, 10) for m in range(3)], B=[(m, 10, 10) for m in range(3)])
    done = run(prices, says("weight", A={0: 1.5}, B={0: -1.5}), leverage=2.0, lot=1.0)
    assert sizes(done) == [(1, "A", 150), (1, "B", -50)]
    assert done["equity_curve"][["equity", "cash", "long", "short"]].iloc[-1].tolist() == [1000, 0, 1500, -500]


def test_leverage_counts_what_the_costs_take_from_the_equity(run: Run) -> None:
    """With s = c = 1 % n shares at 10 cost 10.201 n and leave equity 1000 - 0.201 n; 10 n may be twice that."""
    done = run(
        bars(A=[(0, 10, 10), (1, 10, 10)]),
        says("weight", A={0: 3.0}),
        leverage=2.0,
        commission=0.01,
        slippage=0.01,
        lot=1.0,
    )
    assert sizes(done) == [(1, "A", floor(Fraction(2000) / (10 + 2 * Fraction("0.201"))))]


def test_buying_back_is_cut_by_cash(run: Run) -> None:
    """100 short at 10 leave 2000 of cash; at 40 that buys back 50, and the new long part of the flip falls away."""
    prices = bars(A=[(0, 10, 10), (1, 10, 10), (2, 40, 40)])
    done = run(prices, says(A={0: "SELL", 1: "BUY"}))
    assert sizes(done) == [(1, "A", -100), (2, "A", 50)]
    assert done["cuts"][["part", "wanted", "filled", "reason"]].to_numpy().tolist() == [
        ["reduce", 100, 50, "not enough cash to buy back"],
        ["open", 100, 0, "what it should follow was cut"],
    ]
    assert done["equity_curve"]["equity"].tolist() == [1000, 1000, -2000]


def test_without_equity_every_target_is_nothing(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 10, 10), (2, 40, 40), (3, 15, 15), (4, 15, 15)])
    done = run(prices, says(A={0: "SELL", 2: "BUY"}))
    # at 40 the equity is 2000 - 4000; the BUY means to have nothing, and at 15 that can be paid
    assert sizes(done) == [(1, "A", -100), (3, "A", 100)]


def test_trades_are_at_average_cost_and_net(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 10, 10), (2, 20, 20), (3, 20, 20), (4, 20, 20)])
    done = run(prices, says("weight", A={0: 0.1, 1: 0.3, 2: 0.2, 3: 0.0}), commission=0.01, lot=1.0)
    fills, trades = done["fills"], done["trades"]
    assert fills["size"].iloc[:2].tolist() == [10.0, 19.0]  # 0.3 * 999 / 10, less the 10 that are there
    average = Fraction(10 * 10 + 19 * 20, 29)
    first = -int(fills["size"].iloc[2])
    fee = Fraction("0.01") * (first * average + first * 20)
    assert trades["entry_price"].tolist() == pytest.approx([float(average)] * 2)
    assert trades["pnl"].iloc[0] == pytest.approx(float(first * (20 - average) - fee))
    assert trades["size"].sum() == 29
    assert trades["pnl"].sum() == pytest.approx(done["equity_curve"]["equity"].iloc[-1] - 1000)
    assert trades["entry_time"].tolist() == [T[1]] * 2
    assert trades["bars"].tolist() == [2, 3]


def test_time_of_a_fill_is_the_open_of_its_bar_when_the_interval_is_known(run: Run) -> None:
    prices, signals = bars(A=[(0, 10, 10), (1, 10, 10)]), says(A={0: "BUY"})
    assert run(prices, signals, interval="1m")["fills"]["time"].tolist() == [T[0]]
    assert run(prices, signals, interval="1m", price="next_close")["fills"]["time"].tolist() == [T[1]]
    assert run(prices, signals)["fills"]["time"].tolist() == [T[1]]


def test_one_symbol_by_time_alone(run: Run) -> None:
    prices = pd.DataFrame({"open": [10.0, 10.0, 10.0], "close": [10.0, 10.0, 20.0]}, index=T[:3])
    done = run(prices, pd.DataFrame({"signal": ["BUY", "HOLD", "HOLD"]}, index=T[:3]))
    assert done["equity_curve"]["equity"].tolist() == [1000, 1000, 2000]
    assert done["fills"]["symbol"].tolist() == ["asset"]


def test_no_signals_no_trades(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10), (1, 10, 10)]), says(A={}))
    assert done["equity_curve"]["equity"].tolist() == [1000, 1000]
    assert done["metrics"]["sharpe"] is None
    assert all(len(done[name]) == 0 for name in ("fills", "trades", "cuts", "pending"))


def test_same_columns_and_types_with_and_without_rows(run: Run) -> None:
    prices = bars(A=[(0, 10, 10), (1, 30, 30), (2, 10, 10), (3, 10, 10)])
    full = run(prices, says(A={0: "BUY", 1: "FLAT", 3: "BUY"}))
    empty = run(prices, says(A={}))
    for name in ("fills", "trades", "cuts", "pending"):
        assert len(full[name]), name
        assert full[name].dtypes.to_dict() == empty[name].dtypes.to_dict(), name


def test_one_row_is_enough(run: Run) -> None:
    done = run(bars(A=[(0, 10, 10)]), says(A={0: "BUY"}))
    assert done["equity_curve"]["equity"].tolist() == [1000]
    assert len(done["pending"]) == 1


def test_more_lots_than_a_float_counts_are_cut(run: Run) -> None:
    """A weight of 1e30 is no size; what it is cut to fits 1000 at 10."""
    done = run(bars(A=[(0, 10, 10), (1, 10, 10)]), says("weight", A={0: 1e30}), lot=1.0)
    assert done["cuts"][["wanted", "filled"]].to_numpy().tolist() == [[2.0**53, 100.0]]
    done = run(bars(A=[(0, 10, 10), (1, 1e-290, 10)]), says("weight", A={0: 0.5}), lot=1.0)
    assert sizes(done) == [(1, "A", 50)]


@pytest.mark.parametrize(
    ("prices", "signals", "message"),
    [
        (bars(A=[]), says(A={0: "BUY"}), "there are no bars"),
        (bars(A=[(0, 10, 10), (1, 10, np.nan)]), says(A={0: "BUY"}), "close is nan at .* of A; .* drop it"),
        (bars(A=[(1, 10, 10), (0, 10, 10)]), says(A={0: "BUY"}), "of A comes after a later time; sort"),
        (bars(A=[(0, 10, 10), (0, 10, 10)]), says(A={0: "BUY"}), "prices: .* of A comes twice"),
        (bars(A=[(0, 10, 10)]), says(B={0: "BUY"}), "there are no prices of 'B'"),
        (bars(A=[(0, 10, 10)]), says(A={5: "BUY"}), "there is a signal at .* of A but no bar"),
    ],
)
def test_bad_frames_are_one_clear_line(prices: pd.DataFrame, signals: pd.DataFrame, message: str, run: Run) -> None:
    with pytest.raises(ConfigurationError, match=message) as told:
        run(prices, signals)
    assert "\n" not in str(told.value)


def test_unknown_calendar_is_one_clear_line(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="there is no calendar 'NYSEE'; auto, 24/7, or a name"):
        run(bars(A=[(0, 10, 10)]), says(A={0: "BUY"}), calendar="NYSEE")
