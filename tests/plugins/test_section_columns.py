"""Features of the cross-section. Oracles: pandas' rank, exact fractions for means and deviations, and by hand."""

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry
from plugins.models import model_registry
from plugins.pipeline.cross_sections.section_columns import section_columns
from plugins.signals import signal_registry
from plugins.strategy.features import features_of
from plugins.strategy.parts import inputs_of
from plugins.strategy.ready import ready_strategy
from plugins.strategy.sections import check_section_model, check_sections
from plugins.strategy.universe import Universe
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError, PluginError

NAN, INF = math.nan, math.inf


def among(key: str, values: list[float], **params: Any) -> list[float]:
    feature = feature_registry.create(key, column="x", **params)
    assert isinstance(feature, SectionFeature)
    return feature.among(np.array(values)).tolist()


def is_equal(found: list[float], wanted: list[float]) -> bool:
    return np.array_equal(found, wanted, equal_nan=True)


def some_values(seed: int) -> list[float]:
    """With ties, holes and numbers of all sizes."""
    rng = random.Random(seed)
    scale = 10.0 ** rng.randint(-12, 12)
    values = [
        rng.choice([NAN, 0.0, -0.0, 1.0, rng.gauss(5, 1), rng.gauss(0, 1)]) * scale for _ in range(rng.randint(1, 40))
    ]
    return values


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("pct", [True, False])
def test_ranks_are_those_of_pandas_to_the_last_bit(seed: int, pct: bool) -> None:
    values = some_values(seed)
    wanted = pd.Series(values).rank(method="average", pct=pct)
    assert is_equal(among("section.rank", values, pct=pct), wanted.tolist())


def exact(values: list[float]) -> tuple[list[Fraction], Fraction]:
    """Differences from the mean, and the sum of their squares."""
    known = [Fraction(value) for value in values if math.isfinite(value)]
    apart = [value - sum(known) / len(known) for value in known]
    return apart, sum((each * each for each in apart), Fraction())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ddof", [0, 1])
def test_means_and_deviations_are_the_exact_ones(seed: int, ddof: int) -> None:
    values = some_values(seed)
    if not any(map(math.isfinite, values)):
        return
    apart, squares = exact(values)
    less = [each for each in among("section.demean", values) if not math.isnan(each)]
    largest = max(map(abs, apart))
    assert less == pytest.approx([float(each) for each in apart], rel=1e-14, abs=4e-16 * float(largest))
    scores = [each for each in among("section.zscore", values, ddof=ddof) if not math.isnan(each)]
    if squares == 0 or len(apart) == ddof:
        assert scores == []
    else:
        deviation = math.sqrt(squares / (len(apart) - ddof))
        assert scores == pytest.approx([float(each) / deviation for each in apart], rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("key", ["section.rank", "section.demean", "section.zscore"])
@pytest.mark.parametrize("seed", range(5))
def test_no_order_matters_to_the_last_bit(key: str, seed: int) -> None:
    values = some_values(seed)
    places = random.Random(seed).sample(range(len(values)), len(values))
    shuffled = among(key, [values[place] for place in places])
    assert is_equal(shuffled, [among(key, values)[place] for place in places])


@pytest.mark.parametrize(
    ("values", "rank", "demean", "zscore"),
    [
        ([7.0], [1.0], [0.0], [NAN]),
        ([NAN, 7.0, INF], [NAN, 1.0, NAN], [NAN, 0.0, NAN], [NAN, NAN, NAN]),
        ([0.1, 0.1, 0.1], [2 / 3] * 3, [0.0] * 3, [NAN] * 3),
        ([1.0, 3.0], [0.5, 1.0], [-1.0, 1.0], [-1 / math.sqrt(2), 1 / math.sqrt(2)]),
        ([2.0, NAN, 2.0, 8.0], [0.5, NAN, 0.5, 1.0], [-2.0, NAN, -2.0, 4.0],
         [-2 / math.sqrt(12), NAN, -2 / math.sqrt(12), 4 / math.sqrt(12)]),
        ([-1e308, 1e308], [0.5, 1.0], [NAN, NAN], [NAN, NAN]),  # their difference is no number any more
        ([0.0, 5e-324], [0.5, 1.0], [0.0, 0.0], [NAN, NAN]),
        ([NAN, NAN], [NAN] * 2, [NAN] * 2, [NAN] * 2),
        ([], [], [], []),
    ],
)  # fmt: skip
def test_by_hand(values: list[float], rank: list[float], demean: list[float], zscore: list[float]) -> None:
    assert is_equal(among("section.rank", values), rank)
    if values != [0.0, 5e-324]:  # half of the smallest number is none: either neighbour is as near
        assert is_equal(among("section.demean", values), demean)
        assert among("section.zscore", values) == pytest.approx(zscore, rel=1e-15, nan_ok=True)


def test_large_equal_values_have_no_rest() -> None:
    values = [1e17 + 1024, 1e17 + 1024, 1e17 + 1024]
    assert among("section.demean", values) == [0.0, 0.0, 0.0]


def test_a_section_of_the_wrong_length_is_told() -> None:
    class Short(SectionFeature):
        key = "section.short"

        def section(self, values: Any) -> Any:
            return values[:-1]

    with pytest.raises(PluginError, match=r"section\.short: section returned \(1,\) for 2 values; return one number"):
        Short(column="x").among(np.array([1.0, 2.0]))


def test_over_a_frame_each_time_is_alone() -> None:
    index = pd.MultiIndex.from_product(
        [["B", "A"], pd.to_datetime([1, 2], unit="D", utc=True)], names=["symbol", "time"]
    )
    data = pd.DataFrame({"x": [1.0, 5.0, 2.0, 4.0]}, index=index)
    found = feature_registry.create("section.rank", column="x", pct=False).compute(data)
    assert found["x.rank"].tolist() == [1.0, 2.0, 2.0, 1.0]


RSI = "technical.rsi"
RANK = {"section.rank": {"column": "rsi"}}


def configured(features: list[Any], **changes: Any) -> Strategy:
    plain = {"interval": "1m", "universe": ["A", "B"], "prediction": "rsi", "signal": "signal.threshold"}
    return Strategy.model_validate(plain | {"features": features} | changes)


def test_columns_come_after_those_of_the_symbols() -> None:
    """Wherever they stand; the resolved configuration has them where they stand."""
    strategy = configured(
        [{"section.zscore": {"column": "double", "as": "z"}}, {RSI: {"lags": [1]}},
         {"section.rank": {"column": "rsi.lag1"}}],
        expr={"double": "2 * rsi"}, prediction="z",
    )  # fmt: skip
    ready = ready_strategy("demo", strategy)
    assert ready.columns == ["rsi", "rsi.lag1", "double"]
    assert ready.all_columns == ["rsi", "rsi.lag1", "double", "z", "rsi.lag1.rank"]
    assert [use["key"] for use in ready.config["features"]] == ["section.zscore", RSI, "section.rank"]
    assert ready.config["features"][0]["params"] == {"column": "double", "ddof": 1}
    assert ready.at_once


def test_expressions_over_the_cross_section_come_after_it() -> None:
    """And features of the cross-section over these; in whatever order they stand."""
    strategy = configured(
        [{"section.demean": {"column": "both", "as": "less"}}, RSI, RANK],
        expr={"both": "half + rsi.rank", "half": "rsi / 2", "last": "less * 2"}, prediction="last",
    )  # fmt: skip
    ready = ready_strategy("demo", strategy)
    assert ready.columns == ["rsi", "half"]
    assert [column.name for column in ready.section] == ["rsi.rank", "both", "less", "last"]
    found = section_columns(ready.section, np.array([[60.0, 30.0], [40.0, 20.0], [NAN, 1.0]]))
    wanted = [[1.0, 31.0, 5.25, 10.5], [0.5, 20.5, -5.25, -10.5], [NAN] * 4]
    assert is_equal(found.tolist(), wanted)
    assert ready_strategy("demo", configured([RSI, RANK], expr={"half": "rsi / 2"})).columns == ["rsi", "half"]


def test_a_model_that_sees_one_of_them_is_of_what_that_is_made_of() -> None:
    features = [RSI, RANK, "technical.atr", {"section.zscore": {"column": "atr"}}]
    model = {"key": "ml.lightgbm", "artifact": "m", "columns": ["twice"]}
    strategy = configured(features, expr={"twice": "rsi.rank * 2"}, prediction=None, model=model)
    inputs = inputs_of(strategy, features_of("demo", strategy))
    assert [(use.key, use.columns) for use in inputs.features] == [
        (RSI, ["rsi"]), ("section.rank", ["rsi.rank"]), ("expr.twice", ["twice"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("features", "changes", "message"),
    [
        ([RSI, {"section.rank": {"column": "nothing"}}], {},
         "strategies.demo.features.1: column: there is no column 'nothing'; there are rsi"),
        ([RSI, {"section.rank": {"column": "rsi.rank"}}], {}, "no column 'rsi.rank'; there are rsi"),
        ([RSI, {"section.rank": {"column": "me", "as": "me"}}], {},
         "features: me is made of me; leave one of them out"),
        ([RSI, {"section.rank": {"column": "y", "as": "z"}}], {"expr": {"x": "z + rsi", "y": "x * 2"}},
         "features: z is made of y, which is made of x, which is made of z; leave one of them out"),
        ([RSI, "section.rank"], {}, "features.1: section.rank: parameter column: Field required"),
        ([RSI, RANK, RANK], {},
         "features.2: section.rank and section.rank both give the column 'rsi.rank'; name one"),
        ([RSI, {"section.rank": {"column": "rsi", "as": "rsi"}}], {},
         "both give the column 'rsi'; name one with `as:`"),
        ([RSI, {"section.rank": {"column": "rsi", "lags": [1]}}], {},
         "features.1: lags: section.rank is of all symbols at one time, and not of a symbol's bars; give `lags` to"),
        ([RSI, {"section.rank": {"column": "rsi", "with": "A"}}], {},
         "features.1: with: section.rank is of all symbols"),
        ([RSI, {"section.zscore": {"column": "rsi", "ddof": 2}}], {}, "parameter ddof: Input should be less than"),
        ([RSI, {"section.rank": {"column": "rsi", "as": "x"}}], {"expr": {"x": "rsi"}},
         "strategies.demo.expr.x: a feature gives the column 'x'; call this one otherwise"),
        ([RSI, RANK], {"universe": ["A"]}, "section.rank compares a symbol with others, and the universe has 1; name"),
        ([RSI, RANK], {"signal": {"signal.long_short": {"scaling": "zscore"}}},
         "signal.long_short remembers each symbol's predictions from bar to bar; use a signal that decides bar by bar"),
        ([RSI, RANK], {"publish": "changes"}, "each cross-section is whole; set `publish: all`"),
        ([RSI, RANK], {"interval": "volume:1000", "valid_for": "1m"}, "bars of volume:1000 have none in common"),
        ([RSI, RANK], {"prediction": "rsi.zscore"}, "no column 'rsi.zscore'; the features give rsi, rsi.rank"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(features: list[Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ready_strategy("demo", configured(features, **changes))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_that_looks_back_and_a_shadow_are_refused() -> None:
    section = ready_strategy("demo", configured([RSI, RANK])).section
    with pytest.raises(
        ConfigurationError, match=r"looks back over 4 rows of a symbol, and section\.rank is known when"
    ):
        check_section_model("demo", section, model_registry.create("dl.lstm", seq_len=4))
    use = {"key": "ml.lightgbm", "artifact": "m"}
    shadowed = configured([RSI, RANK], prediction=None, model=use, shadow=use)
    with pytest.raises(ConfigurationError, match=r"a shadow predicts at each bar, and section\.rank is known when"):
        check_sections("demo", shadowed, section, signal_registry.create("signal.threshold"), Universe(None))
