"""A plugin of others that raises in a batch is one line: the strategy, the bar, the plugin, and what it said."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from alphawire.cli import main
from tests.support.live import minute_bars
from tests.support.registries import untouched_registries

PLUGINS = """
from plugins.base import BaseFeature, BaseModel, BaseSignalGenerator
from plugins.features import feature_registry
from plugins.models import model_registry
from plugins.signals import signal_registry

BAD = {bad}

@feature_registry.register("fails.frame")
class Frame(BaseFeature):
    lookback = 2

    def compute(self, data):
        if data.index[-1].timestamp() * 1000 == BAD:
            raise LookupError("no such\\nthing")
        return data[["close"]].rename(columns={{"close": "frame"}})


@model_registry.register("fails.model")
class Model(BaseModel):
    def train(self, X, y):
        raise ZeroDivisionError("nothing to divide by")

    def predict(self, X):
        return X.iloc[:, 0]


@signal_registry.register("fails.signal")
class Signal(BaseSignalGenerator):
    def generate(self, predictions):
        return predictions

    def decide(self, columns):
        raise KeyError("weight")
"""
BARS = minute_bars(160)
BAD = BARS[BARS["close_time"] == BARS["close_time"].iloc[90]].iloc[0]
AT = f"{BAD['symbol']} at time {BAD['close_time']}"
FIRST = f"{BARS['symbol'].iloc[0]} at time {BARS['close_time'].iloc[0]}"
HOLD = {"key": "signal.threshold", "buy_threshold": 1.0, "sell_threshold": -1.0}
MOMENTUM = [{"statistical.momentum": {"window": 20}}]


def strategy(**changes: Any) -> dict[str, Any]:
    return {"interval": "1m", "features": MOMENTUM, "prediction": "momentum", "signal": HOLD} | changes


STRATEGIES = {
    "feature": strategy(features=["fails.frame"], prediction="frame"),
    "signal": strategy(signal={"key": "fails.signal"}),
    "learned": strategy(
        features=["fails.frame"], model={"key": "ml.lightgbm", "artifact": "models/x"}, prediction=None
    ),
    "model": strategy(model={"key": "fails.model", "artifact": "models/y"}, prediction=None),
}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["replay", "feature", "--source", "bars.parquet", "--out", "s.jsonl"],
            f"strategy feature fails at {AT}: fails.frame: compute failed on 2 bars: LookupError: no such thing",
        ),
        (
            ["backtest", "signal", "--source", "bars.parquet", "--out", "run"],
            f"strategy signal fails at {FIRST}: fails.signal: decide failed: KeyError: 'weight'",
        ),
        (
            ["train", "learned", "--bars", "bars.parquet"],
            f"strategy learned fails at {AT}: fails.frame: compute failed on 2 bars: LookupError: no such thing",
        ),
        (
            ["train", "model", "--bars", "bars.parquet"],
            "fails.model: train failed: ZeroDivisionError: nothing to divide by",
        ),
    ],
    ids=["a feature in a replay", "a signal in a backtest", "a feature in a training", "a model's training"],
)
def test_one_line(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PLUGINS.format(bad=BAD["close_time"]))
    Path("a.yaml").write_text(yaml.safe_dump({"strategies": STRATEGIES}))
    BARS.drop(columns=["close_time"]).to_parquet("bars.parquet")
    monkeypatch.setattr(sys, "argv", ["alphawire", *arguments, "-c", "a.yaml", "--plugins", "mine.py"])
    with untouched_registries(), pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    *before, last = told.err.splitlines()
    assert last == f"alphawire: {line}"
    assert all(" bars are missing in 2 gaps of 2 symbols: " in other for other in before)
    assert not Path("s.jsonl").exists()
