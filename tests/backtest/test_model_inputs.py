"""A model remembers what it was trained on, and is refused by a strategy whose features are others."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.sources.news import file_news
from backtest.training import train
from plugins.base.loading.discovery import discover
from plugins.features import BaseFeature, feature_registry
from plugins.models.artifacts.manifest import read_manifest
from plugins.pipeline.prediction.shadow import ready_shadow
from plugins.side_inputs.news.join import Joining
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError
from tests.support.registries import untouched_registries
from tests.support.scores import scored

MINUTE = 60_000
RSI, MOMENTUM = {"technical.rsi": {"period": 3}}, {"statistical.momentum": {"window": 20}}


def strategy(folder: Path, **change: Any) -> Strategy:
    plain = {
        "interval": "1m",
        "features": [RSI, MOMENTUM],
        "model": {"key": "ml.lightgbm", "artifact": str(folder), "params": {"n_estimators": 5}},
        "training": {"horizon_bars": 2},
        "signal": "signal.threshold",
    }
    return Strategy.model_validate(plain | change)


def bars() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    opened = 1_380_000_000_000 // MINUTE * MINUTE + np.arange(200) * MINUTE
    frame = pd.DataFrame({"symbol": "A", "open_time": opened, "close_time": opened + MINUTE, "close": close})
    return frame.assign(open=close, high=close * 1.001, low=close * 0.999, volume=100.0)


def trained(folder: Path, **change: Any) -> Path:
    train("s", Config(strategies={"s": strategy(folder, **change)}), bars())
    return folder


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("models") / "m")


def refusal(folder: Path, **change: Any) -> str:
    with pytest.raises(ArtifactError) as refused:
        ready_strategy("s", strategy(folder, **change))
    return str(refused.value).removeprefix(f"{folder}: ")


def test_the_manifest_holds_the_features(artifact: Path) -> None:
    written = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))["training"]
    keep = ("key", "version", "params", "columns")
    rsi, momentum = ({name: use[name] for name in keep} for use in written["features"])
    assert rsi == {"key": "technical.rsi", "version": "1", "params": {"period": 3}, "columns": ["rsi"]}
    assert momentum["key"] == "statistical.momentum"
    assert momentum["params"]["window"] == 20
    assert written["interval"] == "1m"
    ready_strategy("s", strategy(artifact))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"features": [RSI, {"statistical.momentum": {"window": 500}}]},
            "trained with statistical.momentum (momentum) window 20, and the strategy says 500; train again",
        ),
        (
            {"features": [{"technical.rsi": {"period": 50}}, MOMENTUM]},
            "trained with technical.rsi (rsi) period 3, and the strategy says 50; train again",
        ),
        (  # both differ: the first is named
            {"features": [{"technical.rsi": {"period": 50}}, {"statistical.momentum": {"window": 500}}]},
            "trained with technical.rsi (rsi) period 3, and the strategy says 50; train again",
        ),
        (  # another feature under the old one's name
            {"features": [{"statistical.momentum": {"window": 3, "as": "rsi"}}, MOMENTUM]},
            "trained with technical.rsi (rsi), and the strategy says statistical.momentum (rsi); train again",
        ),
        (  # the default of another column is a parameter, too
            {"features": [RSI, {"statistical.z_score": {"window": 20, "as": "momentum"}}]},
            "trained with statistical.momentum (momentum), and the strategy says statistical.z_score (momentum);"
            " train again",
        ),
        ({"interval": "5m"}, "trained with interval 1m, and the strategy says 5m; train again"),
    ],
)
def test_another_feature_is_refused_by_its_first_difference(artifact: Path, change: dict[str, Any], told: str) -> None:
    assert refusal(artifact, **change) == told


def test_a_default_written_out_is_no_difference(tmp_path: Path) -> None:
    folder = trained(tmp_path / "m", features=["technical.rsi"])
    ready_strategy("s", strategy(folder, features=[{"technical.rsi": {"period": 14}}]))


def test_another_version_of_a_feature_is_refused(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_registry.get("technical.rsi"), "version", "2")
    assert refusal(artifact) == "trained with technical.rsi (rsi) of version 1, and 2 is installed; train again"


def test_a_feature_without_declared_parameters_is_compared_as_written(tmp_path: Path) -> None:
    with untouched_registries():

        @feature_registry.register("test.scaled")
        class Scaled(BaseFeature):
            outputs = ("scaled",)
            lookback = 1

            def compute(self, data: pd.DataFrame) -> pd.DataFrame:
                factors = self.params.get("factors", (1.0,))
                return pd.DataFrame({"scaled": data["close"] * factors[0]})

        folder = trained(tmp_path / "m", features=[{"test.scaled": {"factors": [2.0, 3.0]}}])
        ready_strategy("s", strategy(folder, features=[{"test.scaled": {"factors": [2.0, 3.0]}}]))
        told = refusal(folder, features=[{"test.scaled": {"factors": [2.0, 4.0]}}])
        assert told == (
            "trained with test.scaled (scaled) factors [2.0, 3.0], and the strategy says [2.0, 4.0]; train again"
        )
        told = refusal(folder, features=["test.scaled"])
        assert (
            told == "trained with test.scaled (scaled) factors [2.0, 3.0], and the strategy says nothing; train again"
        )


def test_news_that_counted_otherwise_are_refused(tmp_path: Path) -> None:
    def config(scorer: str) -> Config:
        plain = strategy(tmp_path / "m", features=[RSI, "news.finbert_sentiment"])
        return Config.model_validate({"strategies": {"s": plain.model_dump()}, "news": {"scorer": scorer}})

    data, given = bars(), config("lexicon")
    scored(data).to_csv(tmp_path / "scores.csv", index=False)
    joining = Joining("lexicon", "once", 604_800_000)
    join = file_news(tmp_path / "scores.csv", given.news, joining)
    train("s", given, data, news=lambda bars: join)
    assert ready_strategy("s", given.strategy("s")).uses_news
    with pytest.raises(ArtifactError) as refused:
        ready_strategy("s", config("finbert").strategy("s"))
    assert "trained with news.scorer 'lexicon', and the strategy says 'finbert'; train again" in str(refused.value)


def test_the_models_beside_it_are_held_to_the_same(artifact: Path, tmp_path: Path) -> None:
    """A shadow sees the strategy's features, not those of its own training."""
    other = [RSI, {"statistical.momentum": {"window": 10}}]
    folder = trained(tmp_path / "m", features=other)
    given = strategy(artifact, shadow={"key": "ml.lightgbm", "artifact": str(folder)})
    with pytest.raises(ArtifactError, match="window 10, and the strategy says 20"):
        ready_shadow(ready_strategy("s", given), given)


def test_an_artifact_of_before_is_used_with_one_warning(
    artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the fields that came later: its hash is that of its own file, and what cannot be checked is told once."""
    folder = tmp_path / "m"
    folder.mkdir()
    for path in artifact.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    plain = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in ("features", "news"):
        plain["training"].pop(name, None)
    del plain["source"]
    (folder / "manifest.json").write_text(json.dumps(plain), encoding="utf-8")
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert read_manifest(folder).sha256 == hashlib.sha256(canonical).hexdigest()
    other = strategy(folder, features=[RSI, {"statistical.momentum": {"window": 500}}])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert ready_strategy("s", other).model is not None
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "its manifest names columns only: the features' keys, parameters, versions and sources of its training cannot"
        " be checked; train again, and they are"
    ]


EDITED = """
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("test.edited")
class Edited(BaseFeature):
    lookback = 2
    outputs = ("edited",)

    def compute(self, data):
        return data[["close"]].pct_change().set_axis(["edited"], axis=1) * 1.0
"""
FOREIGN = '''
import pandas as pd
from plugins.models import BaseModel, model_registry

@model_registry.register("test.foreign")
class Foreign(BaseModel):
    """One number for all."""

    def train(self, X, y):
        self.mean = float(y.mean())

    def predict(self, X):
        return pd.Series(self.mean, X.index)

    def save(self, path):
        open(path, "w").write(repr(self.mean))

    def load(self, path):
        self.mean = float(open(path).read())
'''


def plugins(folder: Path, feature: str = EDITED, model: str = FOREIGN) -> None:
    (folder / "feature.py").write_text(feature)
    (folder / "model.py").write_text(model)
    discover([folder / "feature.py", folder / "model.py"])


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"feature": EDITED.replace("* 1.0", "* -1.0")}, "trained with test.edited (edited) of source "),
        ({"model": FOREIGN.replace("y.mean()", "y.max()")}, "trained by test.foreign version 1 of source "),
        ({"feature": EDITED.replace("lookback = 2", "lookback = 2  # bars")}, ""),
    ],
)
def test_code_that_was_edited_under_its_version(tmp_path: Path, edit: dict[str, str], told: str) -> None:
    """The self-test cannot tell either: it holds feature values, and the model predicts what it did."""
    folder = tmp_path / "m"
    given = strategy(folder, features=["test.edited"], model={"key": "test.foreign", "artifact": str(folder)})
    with untouched_registries():
        plugins(tmp_path)
        train("s", Config(strategies={"s": given}), bars())
        ready_strategy("s", given)
    with untouched_registries():
        plugins(tmp_path, **edit)
        if not told:
            ready_strategy("s", given)
            return
        with pytest.raises(ArtifactError) as refused:
            ready_strategy("s", given)
    assert str(refused.value).startswith(f"{folder}: {told}")
    assert str(refused.value).endswith("its code was edited under its version; train again")
