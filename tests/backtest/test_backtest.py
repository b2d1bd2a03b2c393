"""Running a backtest to a folder: what is in it, and what happens to it when something goes wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backtest.engines.backtest import buy_and_hold, check_engines, run_backtest
from plugins.engines import BaseBacktestEngine, engine_registry
from schemas.configuration import Execution, Strategy
from schemas.errors import AlphawireError, ConfigurationError, PluginError

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

DAY = 86_400_000
START = 1_709_510_400_000


def strategy(universe: Any = "*", **rules: Any) -> Strategy:
    return Strategy(
        interval="1d", universe=universe, features=["technical.rsi"], prediction="rsi", signal="signal.threshold",
        execution=Execution(**{"commission": 0.0, "slippage": 0.0, "capital": 1000.0, **rules}),
    )  # fmt: skip


def bars(**prices: list[tuple[float, float]]) -> pd.DataFrame:
    """``bars(A=[(open, close), …])``, a bar a day."""
    rows = [
        (symbol, START + day * DAY, START + (day + 1) * DAY, first, max(first, last), min(first, last), last, 10.0)
        for symbol, some in prices.items()
        for day, (first, last) in enumerate(some)
    ]
    return pd.DataFrame(rows, columns=["symbol", "open_time", "close_time", "open", "high", "low", "close", "volume"])


def says(**weights: dict[int, float]) -> pd.DataFrame:
    """``says(A={day: weight})``, as a replay gives signals."""
    rows = [
        (symbol, START + (day + 1) * DAY, "BUY" if weight > 0 else "SELL", weight, 0.1, "because", f"{symbol}{day}")
        for symbol, some in weights.items()
        for day, weight in some.items()
    ]
    columns = ["symbol", "time", "signal", "weight", "prediction", "reason", "id"]
    return pd.DataFrame(rows, columns=columns).astype({"time": "int64", "weight": "float64"})


BARS = bars(A=[(10, 10), (10, 12), (12, 15), (15, 15)], B=[(5, 5), (5, 5), (5, 4), (4, 4)])
SIGNALS = says(A={0: 0.8, 2: -0.5}, B={0: 0.4, 3: 0.1})


@pytest.fixture
def broken() -> Iterator[str]:
    """An engine that fails."""

    @engine_registry.register("house.engines.broken")
    class Broken(BaseBacktestEngine):
        def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
            return {"trades": 1 / 0}

    yield Broken.key
    engine_registry.forget(__name__)


def test_folder_holds_what_the_engine_said(tmp_path: Path) -> None:
    out = tmp_path / "run"
    results = run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], out, name="mine", config_hash="abc123")
    assert sorted(path.name for path in out.iterdir()) == ["backtrader", "metrics.json", "report.html"]
    for name, table in (("trades", "trades"), ("fills", "fills"), ("cuts", "cuts"), ("pending", "pending")):
        pd.testing.assert_frame_equal(
            pd.read_parquet(out / "backtrader" / f"{name}.parquet"), results["backtrader"][table]
        )
        text = pd.read_csv(out / "backtrader" / f"{name}.csv")
        assert list(text.columns) == list(results["backtrader"][table].columns)
        assert len(text) == len(results["backtrader"][table]) > 0, name
    equity = pd.read_csv(out / "backtrader" / "equity.csv", parse_dates=["time"])
    assert equity["equity"].tolist() == results["backtrader"]["equity_curve"]["equity"].tolist()
    assert equity["time"].tolist() == results["backtrader"]["equity_curve"].index.tolist()
    told = json.loads((out / "metrics.json").read_text())
    assert told["engines"]["backtrader"]["metrics"] == results["backtrader"]["metrics"]
    assert (told["strategy"], told["config_hash"], told["bars"], told["signals"]) == ("mine", "abc123", 8, 4)
    assert (told["first_open"], told["last_close"]) == ("2024-03-04T00:00:00+00:00", "2024-03-08T00:00:00+00:00")


def test_fills_carry_the_open_time_of_their_bar(tmp_path: Path) -> None:
    fills = run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], tmp_path / "run")["backtrader"]["fills"]
    assert fills["time"].iloc[0] == pd.Timestamp(START + DAY, unit="ms", tz="UTC")
    assert fills["signal_time"].iloc[0] == fills["time"].iloc[0], (
        "decided at the close, filled at the open that follows"
    )


def test_universe_limits_the_bars(tmp_path: Path) -> None:
    results = run_backtest(strategy(["A"]), BARS, says(A={0: 0.5}), ["backtrader"], tmp_path / "run")
    assert list(results["backtrader"]["positions"].columns) == ["A"]


def test_earlier_result_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], out)
    (out / "backtrader" / "stale.csv").touch()
    run_backtest(strategy(), BARS, says(A={0: 0.1}), ["backtrader"], out)
    assert not (out / "backtrader" / "stale.csv").exists()
    assert json.loads((out / "metrics.json").read_text())["signals"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_fails_leaves_the_earlier_result(tmp_path: Path, broken: str) -> None:
    out = tmp_path / "run"
    run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(PluginError, match=r"the engine house\.engines\.broken failed: ZeroDivisionError"):
        run_backtest(strategy(), BARS, SIGNALS, ["backtrader", broken], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="holds files that no backtest wrote"):
        run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], tmp_path)
    with pytest.raises(ConfigurationError, match=r"thesis\.txt is a file"):
        run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], tmp_path / "thesis.txt")
    with pytest.raises(ConfigurationError, match="there is no folder"):
        run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], tmp_path / "no" / "run")


def test_a_folder_beside_which_nothing_can_be_written(tmp_path: Path) -> None:
    """A name at the limit of the file system: the folder that is written aside has a longer one."""
    with pytest.raises(AlphawireError, match=r"cannot write .*: File name too long; nothing was changed"):
        run_backtest(strategy(), BARS, SIGNALS, ["backtrader"], tmp_path / ("x" * 250))
    assert not list(tmp_path.iterdir())


def test_nothing_in_the_range(tmp_path: Path) -> None:
    for some in (BARS.iloc[:0], BARS[BARS["symbol"] == "B"]):
        with pytest.raises(ConfigurationError, match="there are no bars in this range"):
            run_backtest(strategy(["A"]), some, SIGNALS, ["backtrader"], tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_unknown_engine_names_near_ones() -> None:
    with pytest.raises(ConfigurationError, match="no plugin 'backtradr' in engines; did you mean backtrader"):
        check_engines(["backtradr"])


def test_engine_whose_library_is_missing_says_how_to_install_it() -> None:
    @engine_registry.register("house.engines.absent")
    class Absent(BaseBacktestEngine):
        packages = {"no_such_library": "alphawire[moon]"}

        def run(self, prices: pd.DataFrame, signals: pd.DataFrame) -> dict[str, Any]:
            raise AssertionError("it must not get so far")

    try:
        with pytest.raises(
            ConfigurationError, match=r"house.engines.absent is not installed: pip install 'alphawire\[moon\]'"
        ):
            check_engines([Absent.key])
    finally:
        engine_registry.forget(__name__)


def test_buy_and_hold_by_hand() -> None:
    """500 for A at 10 and 500 for B at 4, 1 % each of slippage and commission; B starts late, its half waits."""
    late = BARS[(BARS["symbol"] == "A") | (BARS["open_time"] >= START + 2 * DAY)]
    prices = late.assign(time=pd.to_datetime(late["close_time"], unit="ms", utc=True)).set_index(["time", "symbol"])
    held = buy_and_hold(prices.sort_index(), Execution(capital=1000.0, commission=0.01, slippage=0.01))
    shares_a, shares_b = 500 / (10 * 1.01 * 1.01), 500 / (4 * 1.01 * 1.01)
    assert held.tolist() == pytest.approx(
        [1000, shares_a * 12 + 500, shares_a * 15 + 500, shares_a * 15 + shares_b * 4]
    )
