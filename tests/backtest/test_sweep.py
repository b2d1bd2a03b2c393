"""A sweep gives what single backtests give, in the grid's order, whatever ran it and however often it died."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay
from backtest.replay.shared_features import _Run, groups, signals_of
from backtest.sources.bars import file_bars, file_steps
from backtest.sweep.grid import parse_grid, points, strategy_at
from backtest.sweep.points import Sweep
from backtest.sweep.sweep import sweep
from backtest.sweep.walk_forward import walk_forward
from backtest.trials.overfitting import backtest_overfitting
from backtest.trials.trials import Ledger
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

DAILY = Path(__file__).parents[2] / "examples" / "data" / "equities_daily.parquet"
TREND: dict[str, Any] = {
    "interval": "1d",
    "universe": ["AAPL", "JNJ"],
    "features": [{"statistical.momentum": {"window": 20}}, "technical.rsi"],
    "prediction": "momentum",
    "signal": {"key": "signal.threshold", "buy_threshold": 0.02, "sell_threshold": -0.04},
    "execution": {"weight": 0.4, "long_only": True},
}
CONFIG = Config(strategies={"trend": Strategy.model_validate(TREND)})
GRID = parse_grid(["signal.buy_threshold=0.01,0.03", "features.momentum.window=10,20", "execution.weight=0.2,0.4"])


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame = file_bars(str(DAILY), "1d")
    return frame[frame["close_time"] < pd.Timestamp("2015-01-01", tz="UTC").value // 10**6].reset_index(drop=True)


def run(bars: pd.DataFrame, out: Path, grid: Any = GRID, **options: Any) -> Sweep:
    return sweep(CONFIG, "trend", bars, grid, out, **{"backend": "threading", "jobs": 1, **options})


@pytest.fixture(scope="module")
def done(bars: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    folder = tmp_path_factory.mktemp("sweep")
    return run(bars, folder / "out", ledger=Ledger(folder)), folder


def test_features_are_computed_once_and_signals_are_a_replays(
    bars: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars.to_parquet(tmp_path / "bars.parquet", index=False)
    at = [strategy_at(CONFIG.strategy("trend"), values) for values in points(GRID)]
    ready = [ready_strategy("trend", strategy) for strategy in at]
    assert [numbers.tolist() for numbers in groups(ready)] == [[0, 1, 4, 5], [2, 3, 6, 7]]
    runs: list[_Run] = []
    made = _Run.__init__
    monkeypatch.setattr(_Run, "__init__", lambda self, *a: (made(self, *a), runs.append(self))[0])
    for numbers in groups(ready):
        members = [ready[number] for number in numbers]
        found = signals_of(members, file_steps(bars, "1d"))
        for number, signals in zip(numbers, found, strict=True):
            config = Config(strategies={"trend": at[number]})
            expected = replay(config, "trend", str(tmp_path / "bars.parquet")).signals
            pd.testing.assert_frame_equal(signals, expected)
    lineages = [run.lineage for run in runs]
    assert [lineages.index(lineage) for lineage in lineages] == [0, 0, 0, 0, 4, 4, 4, 4]


def test_each_point_is_a_backtest(bars: pd.DataFrame, done: tuple[Sweep, Path], tmp_path: Path) -> None:
    bars.to_parquet(tmp_path / "bars.parquet", index=False)
    result, folder = done
    assert [point.parameters for point in result.points] == points(GRID)
    for number in (0, 3, 6):
        strategy = strategy_at(CONFIG.strategy("trend"), points(GRID)[number])
        signals = replay(Config(strategies={"trend": strategy}), "trend", str(tmp_path / "bars.parquet")).signals
        found = run_backtest(strategy, bars, signals, ["backtrader"], tmp_path / f"run{number}")["backtrader"]
        assert result.points[number].metrics == found["metrics"]
    assert result.best.metrics["sharpe"] == max(point.metrics["sharpe"] for point in result.points)
    assert len({point.metrics["final_equity"] for point in result.points}) == 8
    assert result.verdict.overfitting == backtest_overfitting(result.matrix)
    assert (result.verdict.trials, result.verdict.runs) == (8, 8)
    table = pd.read_csv(folder / "out" / "sweep.csv")
    assert table["signal.buy_threshold"].tolist() == [0.01] * 4 + [0.03] * 4
    told = json.loads((folder / "out" / "sweep.json").read_text())
    assert told["best"]["point"] == result.best.number
    page = (folder / "out" / "report.html").read_text()
    assert page.count(' style="background') == 4  # two keys; the best over the third
    assert "http" not in page


def lines(folder: Path) -> bytes:
    return (folder / "points.jsonl").read_bytes()


@pytest.mark.parametrize("cut", [0, 1, 5, 8])
def test_a_crash_costs_no_finished_point(
    bars: pd.DataFrame, done: tuple[Sweep, Path], tmp_path: Path, cut: int
) -> None:
    """It died within the line after `cut` points."""
    whole = lines(done[1] / "out")
    kept = whole.splitlines(keepends=True)[: cut + 1]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "points.jsonl").write_bytes(b"".join(kept) + whole[len(b"".join(kept)) :][:100])
    result = run(bars, tmp_path / "out", ledger=Ledger(tmp_path))
    assert lines(tmp_path / "out") == whole
    assert (result.resumed, result.verdict.runs) == (cut, 8 - cut)
    assert (tmp_path / "out" / "sweep.json").read_text().split('"overfitting"')[0] == (
        done[1] / "out" / "sweep.json"
    ).read_text().split('"overfitting"')[0]


@pytest.mark.slow
def test_the_backend_makes_no_difference(bars: pd.DataFrame, done: tuple[Sweep, Path], tmp_path: Path) -> None:
    run(bars, tmp_path / "out", backend="loky", jobs=2)
    assert sorted(lines(tmp_path / "out").splitlines()) == sorted(lines(done[1] / "out").splitlines())
    assert (tmp_path / "out" / "sweep.csv").read_bytes() == (done[1] / "out" / "sweep.csv").read_bytes()


def test_symbols_one_by_one(bars: pd.DataFrame, tmp_path: Path) -> None:
    result = run(bars, tmp_path / "out", parse_grid(["execution.weight=0.4,0.8"]), per_symbol=True)
    assert [(p.symbol, p.parameters["execution.weight"]) for p in result.points] == [
        ("AAPL", 0.4), ("JNJ", 0.4), ("AAPL", 0.8), ("JNJ", 0.8),
    ]  # fmt: skip
    alone = Config(strategies={"trend": Strategy.model_validate(TREND | {"universe": ["JNJ"]})})
    single = sweep(alone, "trend", bars, {"execution.weight": [0.4]}, tmp_path / "one", backend="threading")
    assert result.points[1].metrics == single.points[0].metrics


def test_walk_forward_by_hand() -> None:
    returns = np.array([[1, 3], [2, 3.5], [5, 1], [6, 0.5], [4, 2], [3, -1.0]])
    found = walk_forward(returns, np.arange(6) * 10, 3)
    assert [(w.begin, w.end, w.point) for w in found] == [(20, 30, 1), (40, 50, 0)]
    assert found[0].after == pytest.approx(0.75 / np.sqrt(0.125))
    assert found[1].chosen == pytest.approx(5.5 / np.sqrt(0.5))
    with pytest.raises(ConfigurationError, match="6 bars cannot be cut into 4 windows"):
        walk_forward(returns, np.arange(6), 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("signal.buy_threshold", "write KEY=VALUE,VALUE"),
        ("nonsense.x=1", "no such setting"),
        ("execution.wait=1", "no such setting"),
        ("features.macd.window=1", "no feature is called macd; there are: statistical.momentum, technical.rsi"),
        ("execution.weight=-1", "execution.weight: Input should be greater than 0"),
        ("features.momentum.window=-3", "window"),
    ],
)
def test_what_cannot_be_swept_is_told_before_anything_runs(
    bars: pd.DataFrame, tmp_path: Path, given: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(bars, tmp_path / "out", parse_grid([given]))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("aliases", "mend"),
    [
        (("fast", "slow"), "write features.fast.window or features.slow.window"),
        (
            ("fast", None),
            "write features.fast.window, or give the one without an alias one (`as:`), by which it can be",
        ),
    ],
)
def test_a_feature_that_is_there_twice_is_named_by_its_alias(aliases: tuple[str | None, ...], mend: str) -> None:
    uses = [{"statistical.momentum": {"window": 5} | ({"as": alias} if alias else {})} for alias in aliases]
    twice = Strategy.model_validate(TREND | {"features": uses, "prediction": "momentum"})
    with pytest.raises(ConfigurationError) as refused:
        strategy_at(twice, {"features.momentum.window": 3})
    assert str(refused.value).startswith(f"--grid features.momentum.window: 2 features are called momentum; {mend}")
    named = strategy_at(twice, {"features.fast.window": 3})
    assert [use.params["window"] for use in named.features] == [3, 5]


def test_folders_that_will_not_do(bars: pd.DataFrame, done: tuple[Sweep, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds another sweep"):
        run(bars, done[1] / "out", parse_grid(["execution.weight=0.1,0.2"]))
    with pytest.raises(ConfigurationError, match="holds another sweep"):
        run(bars.assign(open=bars["open"] * 1.0001), done[1] / "out")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds files that no sweep wrote"):
        run(bars, tmp_path)
    with pytest.raises(ConfigurationError, match="there are no bars in this range"):
        run(bars.iloc[:0], tmp_path / "out")


def test_the_command(tmp_path: Path) -> None:
    import yaml

    config = tmp_path / "a.yaml"
    config.write_text(yaml.safe_dump({"strategies": {"trend": TREND}}))
    arguments = ["sweep", "trend", "--grid", "execution.weight=0.2,0.4", "--source", str(DAILY), "--to", "2014-06-01"]
    arguments += ["--walk-forward", "3", "--backend", "threading", "--out", str(tmp_path / "out"), "-c", str(config)]
    first = CliRunner().invoke(cli, arguments)
    assert first.exit_code == 0, first.output
    assert "2 configurations tried in 2 runs" in first.output
    told = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert [point["point"] for point in told["points"]] == [0, 1]
    assert len(told["walk_forward"]) == 2
    assert told["overfitting"]["runs"] == 2
    assert "2 points were there from an earlier run" in CliRunner().invoke(cli, arguments).output


@pytest.mark.slow
def test_the_other_engine_gives_the_same_over_many_symbols(bars: pd.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")
    config = Config(strategies={"trend": Strategy.model_validate(TREND | {"universe": "*"})})
    assert bars["symbol"].nunique() > 2
    grid = parse_grid(["signal.buy_threshold=0.01,0.03", "execution.long_only=true,false"])
    one, other = (
        sweep(config, "trend", bars, grid, tmp_path / engine, engine=engine, backend="threading", jobs=1)
        for engine in ("backtrader", "vectorbt")
    )
    assert len({point.metrics["final_equity"] for point in one.points}) == 4
    for mine, theirs in zip(one.points, other.points, strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-9, nan_ok=True)
    np.testing.assert_allclose(one.matrix, other.matrix, rtol=0, atol=1e-9)
