"""A sweep over what a model was trained on trains it again at each point, or is refused; bars before --from warm up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.replay.replay import replay
from backtest.sources.bars import file_bars
from backtest.sweep.grid import parse_grid
from backtest.sweep.sweep import sweep
from backtest.training import make_samples, train
from backtest.training.retraining import Retraining, retraining_of
from backtest.training.splits import known_before
from plugins.features import feature_registry
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError, ConfigurationError, PluginError
from tests.support.moody import Mood, MoodyFeature
from tests.support.registries import untouched_registries

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

DAILY = Path(__file__).parents[2] / "examples" / "data" / "equities_daily.parquet"


def ms(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value // 10**6


def strategy(folder: Path, **change: Any) -> Strategy:
    plain = {
        "interval": "1d",
        "universe": ["AAPL", "JNJ"],
        "features": [{"statistical.momentum": {"window": 20}}, "technical.rsi"],
        "model": {"key": "ml.lightgbm", "artifact": str(folder), "params": {"n_estimators": 5}},
        "training": {"horizon_bars": 3},
        "signal": {"key": "signal.threshold", "buy_threshold": 0.001, "sell_threshold": -0.001},
        "execution": {"weight": 0.4},
    }
    return Strategy.model_validate(plain | change)


def config(folder: Path, **change: Any) -> Config:
    return Config(strategies={"s": strategy(folder, **change)})


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame = file_bars(str(DAILY), "1d")
    mine = frame[frame["symbol"].isin(["AAPL", "JNJ"])]
    return mine[mine["close_time"] < ms("2015-01-01")].reset_index(drop=True)


@pytest.fixture(scope="module")
def artifact(bars: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "m"
    train("s", config(folder), bars, end=ms("2014-01-01"))
    return folder


def run(folder: Path, bars: pd.DataFrame, grid: list[str], out: Path, **options: Any) -> Any:
    return sweep(config(folder), "s", bars, parse_grid(grid), out, backend="threading", jobs=1, **options)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ("features.momentum.window=20,40", r"window 20, and the strategy says 40"),
        ("features.rsi.period=14,7", r"period 14, and the strategy says 7"),
        ("training.horizon_bars=3,5", r"horizon_bars 3, and the strategy says 5"),
        ("model.n_estimators=5,6", r"n_estimators 5, and the strategy says 6"),
    ],
)
def test_what_the_model_was_trained_on_is_not_swept_under_it(
    artifact: Path, bars: pd.DataFrame, tmp_path: Path, grid: str, told: str
) -> None:
    with pytest.raises(ArtifactError, match=rf"{told}; train again; --retrain trains at each point"):
        run(artifact, bars, [grid], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_comes_after_the_model_is_swept_as_before(artifact: Path, bars: pd.DataFrame, tmp_path: Path) -> None:
    done = run(artifact, bars, ["signal.buy_threshold=0.0001,0.002"], tmp_path / "out")
    assert len({point.metrics["final_equity"] for point in done.points}) == 2


def test_each_point_trades_models_of_its_own_that_knew_nothing_of_it(bars: pd.DataFrame, tmp_path: Path) -> None:
    """The oracle trains an artifact for each stretch on the bars that are there when it begins, and replays it."""
    start, blocks, window = ms("2014-01-01"), 3, 40
    retraining = retraining_of(config(tmp_path / "none"), "s", bars, start, blocks)
    done = run(
        tmp_path / "none", bars, [f"features.momentum.window=20,{window}"], tmp_path / "out",
        start=start, retraining=retraining,
    )  # fmt: skip
    assert len({point.metrics["final_equity"] for point in done.points}) == 2
    at = strategy(tmp_path / "none", features=[{"statistical.momentum": {"window": window}}, "technical.rsi"])
    planned = retraining.planned("s", at)
    times = np.unique(bars["close_time"])
    begins = [int(block[0]) for block in np.array_split(times[times >= start], blocks)]
    schedule = retraining.schedule(at, planned)
    assert [begin for begin, _ in schedule] == begins
    bars.to_parquet(tmp_path / "bars.parquet", index=False)
    signals = _signals(retraining, at, bars, tmp_path)
    for number, begin in enumerate(begins):
        end = [*begins, times[-1] + 1][number + 1]
        folder = tmp_path / f"m{number}"
        own = at.model_copy(update={"model": at.model and at.model.model_copy(update={"artifact": folder})})
        train("s", Config(strategies={"s": own}), _known_at(bars, begin), out=folder)
        expected = replay(Config(strategies={"s": own}), "s", str(tmp_path / "bars.parquet"), begin, end).signals
        found = signals[(signals["time"] >= begin) & (signals["time"] < end)].reset_index(drop=True)
        assert found["prediction"].notna().all()
        pd.testing.assert_frame_equal(found.drop(columns="id"), expected.drop(columns="id"))


def _known_at(bars: pd.DataFrame, time: int) -> pd.DataFrame:
    """What is there when the bars of `time` close: their open may be a target, their close a feature only."""
    return bars[bars["close_time"] <= time]


def _signals(retraining: Retraining, at: Strategy, bars: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    from backtest.replay.shared_features import signals_of
    from backtest.sources.bars import file_steps

    planned = retraining.planned("s", at)
    [signals] = signals_of([planned], file_steps(bars, "1d"), None, [retraining.schedule(at, planned)])
    before = signals[signals["time"] < retraining.start]
    assert before["prediction"].isna().all()
    return signals


def test_rows_whose_target_is_not_known_yet_are_left_out(bars: pd.DataFrame, tmp_path: Path) -> None:
    samples = make_samples("s", strategy(tmp_path), bars)
    time = int(np.unique(samples.times)[100])
    for embargo in (0, 4):
        kept = known_before(samples, time, embargo)
        last = np.unique(samples.times)[100 - embargo]
        assert (samples.known.to_numpy()[kept] < last).all()
        assert (samples.known.to_numpy()[~kept] >= last).all()


def test_too_little_before_the_first_block_is_told(bars: pd.DataFrame, tmp_path: Path) -> None:
    retraining = retraining_of(config(tmp_path / "none"), "s", bars, int(bars["close_time"].iloc[60]), 2)
    with pytest.raises(ConfigurationError, match="rows to train on, at least 50 are needed"):
        run(tmp_path / "none", bars, ["signal.buy_threshold=0.1"], tmp_path / "out", retraining=retraining)


def test_a_sweep_that_died_goes_on_and_another_retraining_is_another_sweep(bars: pd.DataFrame, tmp_path: Path) -> None:
    grid, folder = ["features.momentum.window=20,40"], tmp_path / "none"
    two = retraining_of(config(folder), "s", bars, None, 2)
    first = run(folder, bars, grid, tmp_path / "out", start=two.start, retraining=two)
    again = run(folder, bars, grid, tmp_path / "out", start=two.start, retraining=two)
    assert (again.resumed, again.best.metrics) == (2, first.best.metrics)
    three = retraining_of(config(folder), "s", bars, None, 3)
    with pytest.raises(ConfigurationError, match="holds another sweep"):
        run(folder, bars, grid, tmp_path / "out", start=three.start, retraining=three)


def test_a_sequence_model_is_retrained_too(bars: pd.DataFrame, tmp_path: Path) -> None:
    """Its windows reach back over the begin of a block."""
    change = {"model": {"key": "dl.lstm", "artifact": str(tmp_path), "params": {"seq_len": 4, "epochs": 1}}}
    given = strategy(tmp_path, **change)
    retraining = Retraining(bars, ms("2014-06-01"), 2)
    signals = _signals(retraining, given, bars, tmp_path)
    assert signals.loc[signals["time"] >= retraining.start, "prediction"].notna().all()


def command(tmp_path: Path, name: str, plain: dict[str, Any], *options: str) -> dict[str, Any]:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"strategies": {"s": plain}}))
    out = tmp_path / f"out-{name}"
    given = [name, "s", "--source", str(DAILY), "--out", str(out), "-c", str(path), "--json", *options]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_sweep_of_one_point_is_the_backtest_of_that_range(tmp_path: Path) -> None:
    """Bars before --from warm the features up in both: momentum of 120 days would be mute for most of the year."""
    plain = strategy(tmp_path, features=[{"statistical.momentum": {"window": 120}}]).model_dump(mode="json")
    plain |= {"model": None, "prediction": "momentum", "universe": "*"}
    plain["signal"] = {"key": "signal.threshold", "params": {"buy_threshold": 0.06, "sell_threshold": 0.05}}
    span = ("--from", "2014-03-01", "--to", "2014-12-01")
    whole = command(tmp_path, "backtest", plain, *span)["engines"]["ledger"]["metrics"]
    grid = ("--grid", "execution.weight=0.4", "--backend", "threading", "--jobs", "1")
    [point] = command(tmp_path, "sweep", plain, *span, *grid)["points"]
    assert whole["trades"] > 4
    assert (point["trades"], point["fills"]) == (whole["trades"], whole["fills"])
    assert point["final_equity"] == pytest.approx(whole["final_equity"], rel=1e-12)


def test_the_command_retrains(tmp_path: Path) -> None:
    plain = strategy(tmp_path / "none").model_dump(mode="json")
    options = ("--grid", "features.momentum.window=20,40", "--retrain", "2", "--to", "2015-01-01")
    told = command(tmp_path, "sweep", plain, *options, "--backend", "threading", "--jobs", "1")
    assert len({point["final_equity"] for point in told["points"]}) == 2


def test_a_planned_point_has_the_hash_of_what_it_says(bars: pd.DataFrame, tmp_path: Path) -> None:
    retraining = Retraining(bars, ms("2014-01-01"), 2)
    hashes = {
        retraining.planned("s", strategy(tmp_path, training={"horizon_bars": horizon})).config_hash
        for horizon in (1, 2, 3)
    }
    assert len(hashes) == 3
    alone = strategy(tmp_path).model_copy(update={"model": None, "prediction": "rsi"})
    assert ready_strategy("s", alone).config_hash not in hashes
    with pytest.raises(ConfigurationError, match="there is nothing to train"):
        retraining.planned("s", alone)


def test_a_point_that_fails_on_a_bar_ends_the_sweep(
    bars: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: it went on without the signals from that bar on, as a worker's strategies go on without one another."""
    monkeypatch.setattr(Mood, "broken", True)
    plain = strategy(tmp_path).model_dump() | {"features": ["test.moody"], "model": None, "prediction": "moody"}
    with untouched_registries():
        feature_registry.register("test.moody")(MoodyFeature)
        moody = Config.model_validate({"strategies": {"s": plain}})
        with pytest.raises(PluginError, match=r"test.moody: compute failed on .* bars: LookupError"):
            sweep(moody, "s", bars, {"execution.weight": [0.1]}, tmp_path / "out", backend="threading")
