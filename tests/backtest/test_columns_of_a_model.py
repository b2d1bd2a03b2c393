"""`model.columns`: what only the signal needs is no input of the model, at training, live and in the manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.replay.replay import replay_file
from backtest.training import train
from plugins.models.artifacts.manifest import read_manifest
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError, ConfigurationError
from tests.backtest.test_columns_left_out import bars
from tests.support.continued import is_made_again

FEATURES: list[Any] = [
    {"technical.rsi": {"period": 5, "lags": [1]}},
    {"technical.atr": {"period": 4}},
    {"statistical.momentum": {"window": 3}},
]
SIGNAL = {
    "key": "signal.threshold", "buy_threshold": 0.0, "sell_threshold": 0.0,
    "conditions": {"all": [{"column": "atr", "op": ">", "value": 0.0}]},
}  # fmt: skip


def strategy(folder: Path, columns: list[str] | None, features: list[Any] = FEATURES, **expr: str) -> Strategy:
    model = {"key": "ml.lightgbm", "params": {"n_estimators": 5, "min_child_samples": 5}, "artifact": str(folder)}
    return Strategy.model_validate(
        {
            "interval": "1m", "features": features, "training": {"horizon_bars": 2}, "signal": SIGNAL, "expr": expr,
            "model": model | ({} if columns is None else {"columns": columns}), "start": "earliest",
        }
    )  # fmt: skip


def trained(given: Strategy, data: pd.DataFrame) -> None:
    train("demo", Config(strategies={"demo": given}), data)


def predictions(given: Strategy, data: pd.DataFrame, folder: Path) -> list[float | None]:
    data.drop(columns="close_time").to_parquet(folder / "bars.parquet")
    replayed = replay_file(ready_strategy("demo", given), str(folder / "bars.parquet"))
    return replayed.signals["prediction"].tolist()


def test_the_model_sees_these_alone_whatever_else_the_strategy_has(tmp_path: Path) -> None:
    data = bars()
    plain = {"technical.rsi": {"period": 5}}
    chosen = strategy(tmp_path / "model", ["momentum", "rsi"], [plain, *FEATURES[1:]])
    trained(chosen, data)
    manifest = read_manifest(tmp_path / "model")
    assert manifest.columns == ["rsi", "momentum"]  # in the strategy's order
    assert [use.key for use in manifest.training.features or []] == ["technical.rsi", "statistical.momentum"]
    alone = strategy(tmp_path / "alone", None, [plain, FEATURES[2]])
    alone = alone.model_copy(update={"signal": alone.signal.model_copy(update={"params": {}})})
    trained(alone, data)
    one, other = (np.array(predictions(given, data, tmp_path), float) for given in (chosen, alone))
    assert np.isfinite(one).sum() == len(data) - 5
    np.testing.assert_array_equal(one, other)


def test_it_is_a_part_of_the_configuration_and_of_nothing_without_it(tmp_path: Path) -> None:
    data = bars()
    chosen = strategy(tmp_path / "model", ["rsi"])
    trained(chosen, data)
    ready = ready_strategy("one", chosen)
    assert ready.config["model"]["columns"] == ["rsi"]
    is_made_again(ready, chosen)
    whole = strategy(tmp_path / "whole", None)
    trained(whole, data)
    assert "columns" not in ready_strategy("one", whole).config["model"]


def test_a_feature_that_only_the_signal_needs_may_change_under_the_model(tmp_path: Path) -> None:
    data = bars()
    trained(strategy(tmp_path / "model", ["rsi"]), data)
    other = [FEATURES[0], {"technical.atr": {"period": 9}}, FEATURES[2]]
    assert ready_strategy("one", strategy(tmp_path / "model", ["rsi"], other)).warmup == 9
    changed = [{"technical.rsi": {"period": 6, "lags": [1]}}, *FEATURES[1:]]
    with pytest.raises(ArtifactError, match=r"trained with technical.rsi period 5, and the strategy says 6"):
        ready_strategy("one", strategy(tmp_path / "model", ["rsi"], changed))


def test_what_an_expression_needs_is_an_input(tmp_path: Path) -> None:
    data = bars()
    trained(strategy(tmp_path / "model", ["x"], x="rsi.lag1 / 100"), data)
    manifest = read_manifest(tmp_path / "model")
    assert [use.key for use in manifest.training.features or []] == ["technical.rsi", "expr.x"]
    with pytest.raises(ArtifactError, match=r"text 'rsi.lag1 / 100', and the strategy says 'rsi.lag1 / 50'"):
        ready_strategy("one", strategy(tmp_path / "model", ["x"], x="rsi.lag1 / 50"))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["rsi", "nothing"], "model.columns: there is no column 'nothing'; there are rsi, rsi.lag1, atr, momentum"),
        (["rsi", "rsi"], "model.columns: rsi is there twice"),
    ],
)
def test_columns_that_there_are_not_are_refused(columns: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=told):
        trained(strategy(tmp_path / "model", columns), bars())
    with pytest.raises(ConfigurationError, match=told):
        ready_strategy("demo", strategy(tmp_path / "model", columns))
    with pytest.raises(ValueError, match="at least 1 item"):
        strategy(tmp_path / "model", [])


def test_other_columns_than_those_of_the_training_are_refused(tmp_path: Path) -> None:
    trained(strategy(tmp_path / "model", ["rsi"]), bars())
    for columns, told in ((["rsi", "atr"], "unknown atr"), (None, "unknown rsi.lag1, atr, momentum")):
        with pytest.raises(ArtifactError, match=told):
            ready_strategy("demo", strategy(tmp_path / "model", columns))
