"""One model for each symbol: trained on its rows alone, served to it alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.training import train
from plugins.models.artifacts.loading import load_artifact
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.pipeline.frames import batch_from_frame, feature_frame
from plugins.pipeline.pipeline import Pipeline, prepare
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.errors import ArtifactError, ConfigurationError
from schemas.wire import Signal

MINUTE = 60_000
COLUMNS = ["rsi", "momentum"]


def config(folder: Path, **training: Any) -> Config:
    strategy = {
        "interval": "1m",
        "features": [{"technical.rsi": {"period": 3}}, {"statistical.momentum": {"window": 5}}],
        "model": {"key": "ml.lightgbm", "artifact": str(folder), "params": {"n_estimators": 5, "min_child_samples": 5}},
        "training": {"horizon_bars": 2, "per_symbol": True, **training},
        "signal": {"key": "signal.threshold"}, "start": "earliest",
    }  # fmt: skip
    return Config.model_validate({"strategies": {"s": strategy}})


def bars(**counts: int) -> pd.DataFrame:
    """Random walks of so many bars, in order of time."""
    frames = []
    for seed, (symbol, count) in enumerate(counts.items()):
        rng = np.random.default_rng(seed)
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        opened = np.arange(count) * MINUTE
        frame = pd.DataFrame({"symbol": symbol, "interval": "1m", "open_time": opened, "close_time": opened + MINUTE})
        frame["open"], frame["close"], frame["volume"] = close * np.exp(rng.normal(0, 0.002, count)), close, 100.0
        frame["high"], frame["low"] = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
        frames.append(frame)
    return pd.concat(frames).sort_values(["close_time", "symbol"], kind="stable").reset_index(drop=True)


def load(folder: Path) -> PerSymbolModel:
    model = load_artifact(folder, key="ml.lightgbm", columns=COLUMNS).model
    assert isinstance(model, PerSymbolModel)
    return model


def test_each_model_is_that_of_its_symbol_alone(tmp_path: Path) -> None:
    data = bars(A=150, B=130)
    done = train("s", config(tmp_path / "m"), data, holdout=0.2)
    assert list(done.manifest.models) == ["A", "B"]
    assert len(set(done.manifest.files)) == 4
    features = feature_frame("s", config(tmp_path / "m").strategies["s"], data)
    whole = load(tmp_path / "m")
    end = done.holdout.first_time
    for symbol in "AB":
        own = data[data["symbol"] == symbol].reset_index(drop=True)
        train("s", config(tmp_path / symbol), own, end=end + MINUTE)  # targets known before the holdout begins
        single = load(tmp_path / symbol).models[symbol]
        rows = features.loc[[symbol]].dropna()
        assert whole.models[symbol].predict(rows).equals(single.predict(rows))
        assert whole.predict(features.dropna())[symbol].tolist() == single.predict(rows).tolist()


def test_a_worker_can_start_with_it(tmp_path: Path) -> None:
    """It ended with "there is one model for each symbol; ask predict_symbols"."""
    train("s", config(tmp_path / "m"), bars(A=150, B=130))
    prepare([ready_strategy("s", config(tmp_path / "m").strategies["s"])])


def served(folder: Path, data: pd.DataFrame) -> list[Signal]:
    strategy = ready_strategy("s", config(folder).strategies["s"])
    return Pipeline([strategy], Source("bars", 0, "")).feed({"1m": batch_from_frame(data)}).signals


def test_live_each_symbol_gets_its_own_and_one_without_gets_a_reason(tmp_path: Path) -> None:
    """C came too late to have rows enough."""
    data = bars(A=150, B=130, C=40)
    done = train("s", config(tmp_path / "m"), data)
    assert done.without_model == ["C"]
    model, features = load(tmp_path / "m"), feature_frame("s", config(tmp_path / "m").strategies["s"], data)
    signals = [signal.content for signal in served(tmp_path / "m", data)]
    assert len(signals) == len(data)
    for symbol in "AB":
        mine = [content for content in signals if content.symbol == symbol]
        wanted = model.models[symbol].predict(features.loc[[symbol]].dropna()).tolist()
        assert [content.prediction for content in mine] == [None] * 5 + wanted
        assert mine[0].reason == "warming up: bar 1 of 6"
        assert "no model" not in mine[-1].reason
    others = [content for content in signals if content.symbol == "C"]
    assert {(content.signal, content.prediction) for content in others} == {("HOLD", None)}
    assert others[-1].reason == "there is no model for C"
    assert others[0].reason == "warming up: bar 1 of 6"


def test_any_batch_gives_the_same_signals(tmp_path: Path) -> None:
    data = bars(A=120, B=120)
    train("s", config(tmp_path / "m"), data)
    strategy = ready_strategy("s", config(tmp_path / "m").strategies["s"])
    pipeline = Pipeline([strategy], Source("bars", 0, ""))
    pieces = [data.iloc[at : at + 7].reset_index(drop=True) for at in range(0, len(data), 7)]
    found = [signal for piece in pieces for signal in pipeline.feed({"1m": batch_from_frame(piece)}).signals]
    whole = served(tmp_path / "m", data)
    assert [each.content for each in found][:7] == [each.content for each in whole][:7]
    assert {each.content.id: each.content for each in found} == {each.content.id: each.content for each in whole}


def test_a_pooled_model_is_no_model_for_each_symbol(tmp_path: Path) -> None:
    train("s", config(tmp_path / "m", per_symbol=False), bars(A=120))
    with pytest.raises(ArtifactError, match="trained with per_symbol False, and the strategy says True; train again"):
        ready_strategy("s", config(tmp_path / "m").strategies["s"])


def test_no_symbol_with_enough_rows(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"nothing to learn for any symbol \(A: 32 rows .*; give more|A: 32 rows"
    ):
        train("s", config(tmp_path / "m"), bars(A=40, B=40))
    assert not (tmp_path / "m").exists()
