"""Sequence models in training: windows of one symbol's consecutive bars, in cross-validation and in the holdout too."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.training.fitting import fit, predictions_of
from backtest.training.run import train
from backtest.training.samples import make_samples
from plugins.models.artifacts.loading import load_artifact
from schemas.configuration import Config
from tests.support.live import minute_bars

MODEL = {"key": "dl.lstm", "artifact": "m", "params": {"seq_len": 8, "hidden_size": 4, "num_layers": 1, "epochs": 2}}
FEATURES: list[Any] = [{"technical.rsi": {"period": 5}}, {"statistical.momentum": {"window": 5}}]


def config(**training: Any) -> Config:
    strategy = {"interval": "1m", "features": FEATURES, "model": MODEL, "signal": {"key": "signal.threshold"}}
    return Config.model_validate({"strategies": {"s": strategy | {"training": {"horizon_bars": 2} | training}}})


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return minute_bars(1_200)


@pytest.mark.parametrize("per_symbol", [False, True])
def test_a_block_cut_out_of_the_middle_is_seen_and_not_learned(bars: pd.DataFrame, per_symbol: bool) -> None:
    given = config(per_symbol=per_symbol)
    samples = make_samples("s", given.strategies["s"], bars)
    first, last = np.quantile(samples.times, [0.4, 0.6])
    kept = samples.where((samples.times < first) | (samples.times >= last))
    cut = (samples.times >= first) & (samples.times < last)
    learned = predictions_of(fit("s", given.strategies["s"], kept, samples), samples) if not per_symbol else None
    models = fit("s", given.strategies["s"], kept, samples)
    poisoned = samples.y.where(~cut, 9.0)
    changed = type(samples)(samples.X, poisoned, samples.known, samples.last_return, samples.dropped)
    again = fit("s", given.strategies["s"], kept, changed)
    joined = fit("s", given.strategies["s"], kept)
    probe = samples.X.xs(samples.symbols[0], level=0, drop_level=False)
    one, other, third = (_of(model, per_symbol, samples.symbols[0]).predict(probe) for model in (models, again, joined))
    assert one.equals(other)
    assert not one.equals(third)
    if learned is not None:
        assert np.isfinite(learned).sum() == len(samples.y) - 7 * len(set(samples.symbols))


def _of(model: Any, per_symbol: bool, symbol: str) -> Any:
    return model.models[symbol] if per_symbol else model


def test_the_holdout_is_predicted_from_its_first_row_on_and_the_artifact_serves(
    bars: pd.DataFrame, tmp_path: Path
) -> None:
    done = train("s", config(), bars, holdout=0.25, out=tmp_path / "m")
    assert done.holdout is not None
    assert done.holdout.ic is not None
    loaded = load_artifact(tmp_path / "m", key="dl.lstm", columns=["rsi", "momentum"]).model
    samples = make_samples("s", config().strategies["s"], bars)
    later = samples.times >= done.holdout.first_time
    assert np.isfinite(predictions_of(loaded, samples, later)).all()
    assert done.holdout.rows == later.sum()


def test_equal_bars_give_an_equal_artifact_whether_its_epochs_are_told_or_not(
    bars: pd.DataFrame, tmp_path: Path
) -> None:
    told: list[tuple[int | None, int | None]] = []

    def stage(text: str, done: int | None = None, total: int | None = None, /) -> None:
        if text.startswith("training dl.lstm on "):
            told.append((done, total))

    one = train("s", config(), bars, out=tmp_path / "one", stage=stage)
    other = train("s", config(), bars, out=tmp_path / "other")
    assert one.manifest.sha256 == other.manifest.sha256
    assert told == [(None, None), (1, 2), (2, 2)]
