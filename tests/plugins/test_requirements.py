"""Features that read other features' columns: found by name, run in order, refused in one line."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.features import feature_registry
from plugins.fold import FoldFeature
from plugins.fold.windowed import batch
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from schemas.errors import ConfigurationError, PluginError
from streams.consuming.intake import Intake
from tests.support.memory import bar, fetched, ready, stepped
from tests.support.registries import untouched_registries


class Change(FoldFeature):
    """What another feature's column changed by: NaN where it is, or was, unknown."""

    outputs = ("rsi_change",)
    requires = ("rsi",)
    reads = ()
    warmup = 1

    def state(self):
        return [("rsi", "f8"), ("count", "i8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            out.rsi_change = bar.rsi - state.rsi
        state.rsi = bar.rsi
        state.count += 1


class Mean(BaseFeature):
    """A mean over three values of a column that is two requirements away."""

    outputs = ("mean",)
    requires = ("rsi_change",)
    lookback = 3

    def compute(self, data):
        return data["rsi_change"].rolling(3).mean().to_frame("mean")


class Egg(Change):
    outputs = ("egg",)
    requires = ("hen",)


class Hen(Change):
    outputs = ("hen",)
    requires = ("egg",)


class Own(Change):
    outputs = ("own",)
    requires = ("own",)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with untouched_registries():
        for cls in (Change, Mean, Egg, Hen, Own):
            feature_registry.register(f"test.{cls.__name__.lower()}")(cls)
        yield


def test_what_is_required_runs_first_and_columns_stay_as_configured():
    given = stepped(["test.mean", "test.change", {"technical.rsi": {"period": 3}}])
    assert list(given.columns) == ["mean", "rsi_change", "rsi"]
    change = given["rsi"].diff()
    np.testing.assert_array_equal(given["rsi_change"], change)
    np.testing.assert_allclose(given["mean"], change.rolling(3).mean(), rtol=1e-9)
    assert given["mean"].notna().sum() == 40 - 6


def test_a_strategy_warms_up_as_long_as_its_chain():
    strategy = ready("one", features=["test.mean", "test.change", {"technical.rsi": {"period": 3}}])
    assert [bound.warmup for bound in strategy.features] == [6, 4, 3]
    assert strategy.warmup == 6
    assert strategy.order == (2, 1, 0)


def test_an_alias_is_found_by_the_name_that_its_plugin_gives():
    plain = stepped(["test.change", {"technical.rsi": {"period": 3}}])
    renamed = stepped(["test.change", {"technical.rsi": {"period": 3, "as": "fast"}}, "technical.atr"])
    np.testing.assert_array_equal(plain["rsi_change"], renamed["rsi_change"])


def test_a_column_of_the_very_name_comes_before_an_alias():
    both = stepped(["test.change", {"technical.rsi": {"period": 3, "as": "fast"}}, {"technical.rsi": {"period": 5}}])
    np.testing.assert_array_equal(both["rsi_change"], both["rsi"].diff())


def test_compute_reads_it_from_its_data():
    data = pd.DataFrame({"rsi": [1.0, 3.0, np.nan, 4.0]})
    assert Change().compute(data)["rsi_change"].tolist()[:2] == [pytest.approx(np.nan, nan_ok=True), 2.0]
    with pytest.raises(PluginError, match=r"^test\.change: the data has no column rsi; it needs rsi$"):
        Change().compute(pd.DataFrame({"close": [1.0]}))
    frame = pd.DataFrame(np.ones((5, 5)), columns=["open", "high", "low", "close", "volume"])
    assert batch(Mean(), frame.assign(rsi_change=[1.0, 2.0, 3.0, 4.0, 5.0]))["mean"].tolist()[2:] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (
            ["test.change", "technical.atr"],
            r"features\.0: test\.change requires the column 'rsi', which no feature gives; add (ta\.RSI or )?tec",
        ),
        (
            ["technical.rsi", "test.hen"],
            r"features\.1: test\.hen requires the column 'egg', which no feature gives; add test\.egg to the features",
        ),
        (
            ["technical.rsi", "test.hen", "test.egg"],
            r"features: test\.hen requires test\.egg, which requires test\.hen; leave one of them out",
        ),
        (["technical.rsi", "test.own"], r"features: test\.own requires test\.own; leave one of them out"),
        (["technical.rsi", "test.mean", "test.change", "test.hen", "test.egg"], r"test\.hen requires test\.egg, which"),
        (
            ["test.change", {"technical.rsi": {"as": "a"}}, {"technical.rsi": {"as": "b"}}],
            r"features\.0: test\.change requires the column 'rsi', and a and b are such columns; leave out `as:`",
        ),
        (
            ["technical.rsi", "news.sentiment_momentum"],
            r"news\.sentiment_momentum requires the column 'positive_score', which no feature gives; "
            r"add news\.finbert_sentiment to the features",
        ),
    ],
)
def test_a_requirement_that_cannot_be_met_is_one_line_at_the_start(features, told):
    with pytest.raises(ConfigurationError, match=rf"^strategies\.one\..*{told}") as error:
        ready("one", features=features)
    assert "\n" not in str(error.value)


def test_nobody_else_may_require_the_prediction():
    class Clairvoyant(Change):
        requires = ("prediction",)

    feature_registry.register("test.clairvoyant")(Clairvoyant)
    with pytest.raises(ConfigurationError, match="requires the column 'prediction', which no feature gives"):
        ready("one", features=["technical.rsi", "test.clairvoyant"])


def test_a_required_column_of_another_feature_is_another_layout():
    def layout(**params: object) -> str:
        return ready("one", features=["test.change", {"technical.rsi": params}]).layout

    def of(*features: Any) -> str:
        return ready("one", features=list(features), prediction="rsi_change").layout

    assert layout() != layout(period=3)
    slow, fast = {"technical.rsi": {"as": "slow"}}, {"technical.rsi": {}}
    assert of("test.change", slow, fast) != of("test.change", fast, slow)


def test_saved_and_restored_it_goes_on_to_the_byte():
    features = ["test.mean", "test.change", {"technical.rsi": {"period": 3}}]
    records = fetched([bar("A", minute, 100.0 + (minute * 7919 % 13)) for minute in range(60)])

    def fed(target: Pipeline, part: list[Any]) -> list[Any]:
        return target.feed(Intake(0, 1, "murmur2").read(part).batches).signals

    def new() -> Pipeline:
        return Pipeline([ready("one", features=features, prediction="mean")], Source("bars", 0, "v"))

    whole = fed(new(), records)
    assert sum(signal.content.prediction is not None for signal in whole) == 54
    for cut in range(0, 61, 5):
        first, second = new(), new()
        before = fed(first, records[:cut])
        second.restore(list(first.capture(cut).snapshots()))
        assert before + fed(second, records[cut:]) == whole


@pytest.mark.parametrize("requires", ["rsi", ["rsi"], ("",), ("rsi", "rsi")])
def test_a_wrong_declaration_is_refused_at_registration(requires):
    cls = type("Wrong", (Change,), {"requires": requires})
    with pytest.raises(PluginError, match="is not a tuple of column names; write requires"):
        feature_registry.register("test.wrong")(cls)


def test_a_bars_own_column_is_no_requirement():
    cls = type("Wrong", (Change,), {"requires": ("close",)})
    with pytest.raises(PluginError, match="close is a bar's own; `requires` names columns of other features"):
        cls()
