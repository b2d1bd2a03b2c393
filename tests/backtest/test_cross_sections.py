"""Cross-sectional strategies over files: ranked as pandas ranks them, members only, without a look ahead, both engines.

Source: momentum and ranks by pandas over a table of closes (rows times, columns symbols).
"""

import shutil

import numpy as np
import pandas as pd
import pytest

from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay_file
from backtest.replay.shared_features import signals_of
from backtest.replay.stretches import recreated
from backtest.sources.bars import file_steps
from backtest.sweep.sweep import sweep
from backtest.training import make_samples
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError
from schemas.wire import Applied, Origin

DAY = 86_400_000
SYMBOLS = [f"S{n}" for n in range(9)]
WINDOW = 3
COUNT = 40
FIRST = 19_000


def strategy(universe="*", signal=None, **execution) -> Strategy:
    return Strategy.model_validate({
        "interval": "1d", "universe": universe, "features": [{"statistical.momentum": {"window": WINDOW}}],
        "prediction": "momentum", "signal": signal or {"signal.ranking": {"top_n": 2, "bottom_n": 2}},
        "execution": {"weight": 0.25, "lot": 0.001} | execution,
    })  # fmt: skip


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Forty days of nine symbols; S8 comes late, and one bar in twenty is missing."""
    random = np.random.default_rng(11)
    closes = 100.0 * np.exp(np.cumsum(random.normal(0, 0.02, (COUNT, len(SYMBOLS))), axis=0))
    rows = []
    for day in range(COUNT):
        for number, symbol in enumerate(SYMBOLS):
            if random.random() < 0.05 or (symbol == "S8" and day < 20):
                continue
            close = closes[day, number]
            opened = closes[day - 1, number] if day else close
            rows.append((symbol, (FIRST + day) * DAY, (FIRST + day + 1) * DAY, opened, max(opened, close) + 1,
                         min(opened, close) - 1, close, 1000.0))  # fmt: skip
    names = ["symbol", "open_time", "close_time", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=names).sort_values(["close_time", "symbol"], ignore_index=True)


@pytest.fixture(scope="module")
def file(bars, tmp_path_factory):
    """As a file of bars: named by the start of each."""
    path = tmp_path_factory.mktemp("bars") / "daily.parquet"
    write(bars, path)
    return path


def write(bars, path):
    plain = bars.assign(timestamp=pd.to_datetime(bars["open_time"], unit="ms", utc=True))
    plain.drop(columns=["open_time", "close_time"]).to_parquet(path)


def expected_sides(bars, member=lambda symbol, time: True, top=2, bottom=2):
    """Signal by (symbol, time): momentum over each symbol's own bars, ranks within each time."""
    momentum = bars.groupby("symbol")["close"].pct_change(WINDOW, fill_method=None)
    table = bars.assign(momentum=momentum)[["symbol", "close_time", "momentum"]]
    mine = [member(symbol, time) for symbol, time in zip(table["symbol"], table["close_time"], strict=True)]
    found = {}
    for time, some in table[mine].groupby("close_time"):
        known = some.dropna().sort_values(["momentum", "symbol"])
        count = len(known)
        buys, sells = (min(n, count * n // (top + bottom)) for n in (top, bottom))
        for place, symbol in enumerate(known["symbol"]):
            found[symbol, time] = "BUY" if place >= count - buys else "SELL" if place < sells else "FLAT"
        found |= {(symbol, time): "HOLD" for symbol in set(some["symbol"]) - set(known["symbol"])}
    return found


def decided(result):
    return {(row.symbol, row.time): row.signal for row in result.signals.itertuples()}


def test_a_replay_ranks_as_pandas_does(bars, file):
    result = replay_file(ready_strategy("demo", strategy()), str(file))
    assert decided(result) == expected_sides(bars)
    assert len(result.raw) == len(bars)
    keys = [(signal.content.time, signal.content.symbol) for signal in result.raw]
    assert keys == sorted(keys)
    reasons = result.signals.set_index(["symbol", "time"])["reason"]
    assert reasons["S8", (FIRST + 21) * DAY] == "no prediction"
    assert "rank" in reasons["S0", (FIRST + 30) * DAY]


@pytest.fixture
def history(tmp_path):
    """S0 leaves after day 15, S1 comes on day 10, the others are always there; S7 is never a member."""
    rows = [f"{symbol},2000-01-01," for symbol in SYMBOLS if symbol not in ("S0", "S1", "S7")]
    day = [str(pd.Timestamp((FIRST + n) * DAY, unit="ms").date()) for n in range(COUNT)]
    path = tmp_path / "members.csv"
    path.write_text("\n".join(["symbol,from,to", f"S0,2000-01-01,{day[15]}", f"S1,{day[10]},", *rows]))
    return {"history": path}


def test_only_those_who_were_members_then_are_ranked(bars, file, history):
    def member(symbol, time):
        day = time // DAY - FIRST
        return symbol != "S7" and (symbol != "S0" or day < 15) and (symbol != "S1" or day >= 10)

    result = replay_file(ready_strategy("demo", strategy(history)), str(file))
    found = decided(result)
    ended = {key for key in found if key[0] == "S0" and key[1] // DAY - FIRST >= 15}
    assert {key: side for key, side in found.items() if key not in ended} == expected_sides(bars, member)
    assert len(ended) > 15
    gone = result.signals[[key in ended for key in zip(result.signals["symbol"], result.signals["time"], strict=True)]]
    assert set(gone["signal"]) == {"FLAT"}
    assert set(gone["weight"]) == {0.0}
    assert set(gone["reason"]) == {"left the universe"}
    assert expected_sides(bars) != expected_sides(bars, member)


def test_a_strategy_that_decides_alone_ends_cleanly_too(file, history):
    alone = strategy(history, signal={"signal.threshold": {"buy_threshold": 0.0, "sell_threshold": -1.0}})
    signals = replay_file(ready_strategy("demo", alone), str(file)).signals
    day = signals["time"] // DAY - FIRST
    assert set(signals["symbol"]) == set(SYMBOLS) - {"S7"}
    assert day[signals["symbol"] == "S1"].min() >= 10
    late = signals[(signals["symbol"] == "S0") & (day >= 15)]
    assert set(late["signal"]) == {"FLAT"}
    assert set(late["reason"]) == {"left the universe"}


def test_training_has_the_rows_of_members_only(bars, history):
    samples = make_samples("demo", strategy(history), bars)
    day = samples.times // DAY - FIRST
    assert "S7" not in set(samples.symbols)
    assert day[samples.symbols == "S0"].max() < 15
    assert day[samples.symbols == "S1"].min() == 10  # warm already: earlier bars were folded


@pytest.mark.parametrize("signal", [None, {"signal.portfolio": {"weighting": "softmax", "temperature": 0.01}}])
def test_what_comes_later_changes_nothing_before(bars, file, tmp_path, signal):
    """Closes after a time are multiplied, cut off, or moved one bar early: signals up to then stay as they were."""
    ready = ready_strategy("demo", strategy(signal=signal))
    last = (FIRST + 25) * DAY
    before = [s for s in replay_file(ready, str(file)).raw if s.content.time <= last]
    later = bars["close_time"] > last
    changed = bars.copy()
    changed.loc[later, ["open", "high", "low", "close"]] *= 3.0
    for number, other in enumerate((changed, bars[~later])):
        write(other, tmp_path / f"{number}.parquet")
        found = replay_file(ready, str(tmp_path / f"{number}.parquet")).raw
        assert [s.content for s in found if s.content.time <= last] == [s.content for s in before]


def test_a_feature_shifted_by_one_bar_is_seen(bars, file, tmp_path):
    """The other way round: where tomorrow's close stands in today's bar, the ranks are others, and far too good."""
    ahead = bars.copy()
    prices = ["open", "high", "low", "close"]
    ahead[prices] = bars.groupby("symbol")[prices].shift(-1)
    ahead = ahead.dropna()
    write(ahead, tmp_path / "ahead.parquet")
    ready = ready_strategy("demo", strategy())
    honest, cheating = (replay_file(ready, str(path)).signals for path in (file, tmp_path / "ahead.parquet"))
    tomorrow = bars.groupby("symbol")["close"].pct_change(fill_method=None).groupby(bars["symbol"]).shift(-1)
    gains = pd.Series(tomorrow.to_numpy(), pd.MultiIndex.from_frame(bars[["symbol", "close_time"]]))

    def gain(signals):
        """The mean gain of a row, in its standard errors."""
        weights = signals.set_index(["symbol", "time"])["weight"]
        each = (weights * gains.reindex(weights.index)).dropna()
        return float(each.mean() / (each.std() / np.sqrt(len(each))))

    assert gain(cheating) > 5.0
    assert abs(gain(honest)) < 3.0


def test_both_engines_fill_alike(bars, file, history, tmp_path):
    chosen = strategy(history, signal={"signal.portfolio": {"weighting": "rank", "max_weight": 0.2}})
    result = replay_file(ready_strategy("demo", chosen), str(file))
    found = run_backtest(chosen, bars, result.signals, ["backtrader", "vectorbt"], tmp_path / "out")
    fills = [engine["fills"].reset_index(drop=True) for engine in found.values()]
    pd.testing.assert_frame_equal(*fills, check_exact=False, rtol=1e-12)
    assert len(fills[0]) > 100
    curves = [engine["equity_curve"]["equity"] for engine in found.values()]
    np.testing.assert_allclose(*curves, rtol=1e-8)
    left = fills[0][fills[0]["symbol"] == "S0"]
    assert abs(left["size"].sum()) < 1e-9  # what was held of the one that left is sold


def test_points_of_a_sweep_are_replays(bars, file, tmp_path):
    grid = {"signal.top_n": [1, 2], "signal.bottom_n": [0, 2]}
    config = Config(strategies={"demo": strategy()})
    found = sweep(config, "demo", bars, grid, tmp_path / "sweep", engine="vectorbt", backend="threading", jobs=1)
    ready = [
        ready_strategy("demo", strategy(signal={"signal.ranking": {"top_n": top, "bottom_n": bottom}}))
        for top in (1, 2)
        for bottom in (0, 2)
    ]
    assert [point.config_hash for point in found.points] == [each.config_hash for each in ready]
    for each, shared in zip(ready, signals_of(ready, file_steps(bars, "1d")), strict=True):
        pd.testing.assert_frame_equal(shared, replay_file(each, str(file)).signals)
    with pytest.raises(ConfigurationError, match=r"signal\.ranking decides on all symbols at once; leave out --per-s"):
        sweep(config, "demo", bars, grid, tmp_path / "other", per_symbol=True)
    shutil.rmtree(tmp_path / "sweep")


@pytest.mark.parametrize("form", ["list", "rule", "every", "history"])
def test_what_was_in_force_can_be_made_again(form, history):
    """`verify` makes the strategy from the record of what was in force; of a history that has the digest alone."""
    universe = {"list": SYMBOLS, "rule": {"rule": {"match": "S*"}}, "every": "*", "history": history}[form]
    ready = ready_strategy("demo", strategy(universe))
    entry = Applied("demo", "bars", 0, 0, Origin(0, 0), 0, ready.config_hash, ready.config, layout=ready.layout)
    config = Config(strategies={"demo": strategy(universe, weight=0.5)})
    again = recreated(entry, config)
    assert again is not None
    assert again.config == ready.config
    history["history"].write_text("symbol,from,to\nS0,2000-01-01,\nS1,2000-01-01,\nS2,2000-01-01,\nS3,2000-01-01,\n")
    assert (recreated(entry, config) is None) == (form == "history")
