"""Columns of a set that are NaN in all rows of a training are left out by name, then and live."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.replay.replay import replay_file
from backtest.training import train
from backtest.training.cross_validation import cross_validate
from backtest.training.retraining import Retraining
from plugins.features import BaseFeature, feature_registry
from plugins.models.artifacts.manifest import read_manifest
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError, ConfigurationError
from tests.support.registries import untouched_registries

MINUTE = 60_000
START = 1_380_000_000_000 // MINUTE * MINUTE
BEFORE, AFTER = START + 130 * MINUTE, START + 131 * MINUTE


def set_of(*columns: str) -> type[BaseFeature]:
    """The close's return over 1 and 2 bars, and columns that are NaN always, or up to `BEFORE`."""

    class Columns(BaseFeature):
        outputs = columns
        lookback = 3

        def compute(self, data: pd.DataFrame) -> pd.DataFrame:
            one, two = data["close"].pct_change(1), data["close"].pct_change(2)
            values = {"one": one, "two": two, "never": one * np.nan, "late": one.where(data.index >= _time(AFTER))}
            return pd.DataFrame({name: values[name] for name in columns})

    return Columns


def _time(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")


@pytest.fixture(autouse=True)
def sets() -> Iterator[None]:
    with untouched_registries():
        feature_registry.register("test.whole")(set_of("one", "never", "two", "late"))
        feature_registry.register("test.known")(set_of("one", "two"))
        feature_registry.register("test.late")(set_of("one", "two", "late"))
        feature_registry.register("test.empty")(set_of("never"))
        yield


def strategy(folder: Path, feature: str, model: dict[str, Any] | None = None, **training: Any) -> Strategy:
    model = model or {"key": "ml.lightgbm", "params": {"n_estimators": 5, "min_child_samples": 5}}
    plain = {
        "interval": "1m",
        "features": [feature],
        "model": model | {"artifact": str(folder)},
        "training": {"horizon_bars": 2} | training,
        "signal": "signal.threshold",
    }
    return Strategy.model_validate(plain)


def bars(symbols: str = "A", count: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frames = []
    for symbol in symbols:
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        opened = START + np.arange(count) * MINUTE
        frame = pd.DataFrame({"symbol": symbol, "open_time": opened, "close_time": opened + MINUTE, "close": close})
        frames.append(frame.assign(open=close, high=close * 1.001, low=close * 0.999, volume=100.0))
    return pd.concat(frames).sort_values(["close_time", "symbol"], kind="stable").reset_index(drop=True)


def predictions(given: Strategy, data: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    """As a replay of all bars has them."""
    times = pd.to_datetime(data["open_time"], unit="ms", utc=True)
    data.drop(columns=["open_time", "close_time"]).assign(timestamp=times).to_parquet(tmp_path / "bars.parquet")
    ready = ready_strategy("s", given)
    return replay_file(ready, str(tmp_path / "bars.parquet")).signals[["symbol", "time", "prediction"]]


MODELS: list[dict[str, Any]] = [
    {"key": "ml.lightgbm", "params": {"n_estimators": 5, "min_child_samples": 5}},
    {"key": "ml.random_forest", "params": {"n_estimators": 3}},
    {"key": "dl.lstm", "params": {"seq_len": 4, "epochs": 1}},
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model["key"]))
def test_the_model_is_that_of_the_known_columns(tmp_path: Path, model: dict[str, Any]) -> None:
    """Trained on bars up to where `late` begins: it stays out afterwards, when it has values."""
    data = bars()
    both = {}
    for name in ("test.whole", "test.known"):
        both[name] = given = strategy(tmp_path / name, name, model)
        train("s", Config(strategies={"s": given}), data, end=BEFORE)
    manifest = read_manifest(tmp_path / "test.whole")
    assert (manifest.columns, manifest.left_out) == (["one", "two"], ["never", "late"])
    assert read_manifest(tmp_path / "test.known").left_out is None
    assert list(manifest.models.values()) == list(read_manifest(tmp_path / "test.known").models.values())
    whole, known = (predictions(given, data, tmp_path) for given in both.values())
    assert known["prediction"].notna().sum() > 150
    pd.testing.assert_frame_equal(whole, known)


def test_a_model_for_each_symbol(tmp_path: Path) -> None:
    data = bars("AB")
    both = {name: strategy(tmp_path / name, name, per_symbol=True) for name in ("test.whole", "test.known")}
    for given in both.values():
        train("s", Config(strategies={"s": given}), data, end=BEFORE)
    assert read_manifest(tmp_path / "test.whole").left_out == ["never", "late"]
    whole, known = (predictions(given, data, tmp_path) for given in both.values())
    pd.testing.assert_frame_equal(whole, known)


def test_what_is_known_in_the_rows_held_out_alone_is_left_out(tmp_path: Path) -> None:
    given = Config(strategies={"s": strategy(tmp_path / "m", "test.late")})
    done = train("s", given, bars(), holdout=0.4)
    assert done.manifest.left_out == ["late"]
    assert done.holdout is not None
    again = train("s", given, bars(), out=tmp_path / "n")
    assert again.manifest.left_out is None
    assert again.manifest.columns == ["one", "two", "late"]


def test_each_split_of_a_cross_validation_leaves_out_its_own(tmp_path: Path) -> None:
    """The scores are those of the columns that each training knew: `never` and `late` change nothing before `late`."""
    scores = [
        cross_validate("s", Config(strategies={"s": strategy(tmp_path, name)}), bars(), "walk-forward", folds=2,
                       end=BEFORE, jobs=1).pooled
        for name in ("test.whole", "test.known")
    ]  # fmt: skip
    assert scores[0] == scores[1]


def test_each_training_of_a_sweep_leaves_out_its_own(tmp_path: Path) -> None:
    data, given = bars(), strategy(tmp_path, "test.late")
    retraining = Retraining(data, START + 100 * MINUTE, 2)
    models = [ready.model for _, ready in retraining.schedule(given, retraining.planned("s", given))]
    rows = np.array([[[0.01, 0.02, np.nan]], [[0.01, 0.02, 5.0]]])
    for model in models[:1]:
        first, second = model.predict_windows(rows, ["one", "two", "late"])
        assert first == second
    assert [model.columns for model in models] == [["one", "two"], ["one", "two", "late"]]


def test_a_feature_that_knows_nothing_is_still_a_mistake(tmp_path: Path) -> None:
    plain = strategy(tmp_path, "test.known").model_dump()
    plain["features"] = ["test.known", {"test.empty": {"as": "nothing"}}]
    with pytest.raises(ConfigurationError, match="the columns nothing are NaN in all"):
        train("s", Config.model_validate({"strategies": {"s": plain}}), bars())


@pytest.mark.parametrize(("feature", "told"), [("test.known", "missing never, late"), ("test.late", "missing never")])
def test_columns_that_were_left_out_belong_to_the_strategy(tmp_path: Path, feature: str, told: str) -> None:
    folder = tmp_path / "m"
    train("s", Config(strategies={"s": strategy(folder, "test.whole")}), bars(), end=BEFORE)
    with pytest.raises(ArtifactError, match=f"the strategy's columns are not those of the training: {told}"):
        ready_strategy("s", strategy(folder, feature))


def test_tsfreshs_own_columns(tmp_path: Path) -> None:
    """The 99th coefficient of a Fourier transform of 12 values is none."""
    pytest.importorskip("tsfresh", reason="the feature's library is not installed: pip install 'alphawire[tsfresh]'")
    names = ["mean", 'fft_coefficient__attr_"abs"__coeff_99', 'fft_coefficient__attr_"abs"__coeff_1']
    plain = strategy(tmp_path / "m", "test.known").model_dump()
    plain["features"] = [{"automated.tsfresh": {"window": 12, "features": names}}]
    given = Config.model_validate({"strategies": {"s": plain}})
    manifest = train("s", given, bars(count=100)).manifest
    assert manifest.left_out == ['close__fft_coefficient__attr_"abs"__coeff_99']
    assert predictions(given.strategy("s"), bars(count=100), tmp_path)["prediction"].notna().sum() == 100 - 11
