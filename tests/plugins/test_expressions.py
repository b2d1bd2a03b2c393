"""Columns by expressions. Oracle: Python's own arithmetic over the same text, NaN put in by hand; and by hand."""

import math
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base.bars import bar_dtype
from plugins.fold.derived.expression import Expression
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from tests.plugins.test_lags import bars
from tests.support.continued import columns, goes_on_anywhere, is_made_again, strategy

NAN = math.nan
FEATURES: list[Any] = [
    {"technical.rsi": {"period": 3, "lags": [1]}},
    {"statistical.momentum": {"window": 2, "as": "m"}},
]


def value(text: str, **given: float) -> float:
    expression = Expression(name="x", text=text)
    rows, outs = np.zeros(1, bar_dtype(expression.requires)), np.empty((1, 1))
    for name, column in zip(expression.requires, expression.program.columns, strict=True):
        rows[name] = given[column]
    expression.run(expression.new_states(1), np.zeros(1, np.int64), rows, outs)
    return float(outs[0, 0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", 14.0), ("(a + b) * c", 20.0), ("a - b - c", -5.0), ("c / a / b", 4.0 / 2.0 / 3.0),
        ("-a", -2.0), ("--a", 2.0), ("b - -a", 5.0), ("-a * -b", 6.0), ("2e1 + .5 * a", 21.0),
        ("a < b", 1.0), ("a >= b", 0.0), ("a + 1 == b", 1.0), ("a != 2", 0.0), ("a <= 2", 1.0), ("b > c", 0.0),
        ("min(c, a, b)", 2.0), ("max(a, c, b)", 4.0), ("abs(a - c)", 2.0), ("log(a)", math.log(2.0)),
        ("where(a > b, c, -c)", -4.0), ("where(a < b, c, n)", 4.0), ("where(a > b, n, c)", 4.0), ("`a` + a", 4.0),
        # what is not known, and what is not finite
        ("a + n", NAN), ("n < a", NAN), ("n == n", NAN), ("min(a, n)", NAN), ("max(n, a)", NAN), ("abs(n)", NAN),
        ("where(n, a, b)", NAN), ("where(a < b, n, c)", NAN), ("a / z", NAN), ("z / z", NAN), ("1 / (1 / z)", NAN),
        ("a / z > 1", NAN), ("max(a / z, c)", NAN), ("log(z)", NAN), ("log(-a)", NAN), ("1e308 * a * 0", NAN),
    ],
)  # fmt: skip
def test_by_hand(text: str, expected: float) -> None:
    given = value(text, a=2.0, b=3.0, c=4.0, z=0.0, n=NAN)
    assert given == expected or (math.isnan(given) and math.isnan(expected))


def random_text(rng: random.Random, depth: int) -> str:
    dice = rng.random()
    if depth == 0 or dice < 0.15:
        return rng.choice(["a", "b", "c", "2", "0.25", "1e-3"])
    if dice < 0.75:
        return f"{random_text(rng, depth - 1)} {rng.choice('+-*/')} {random_text(rng, depth - 1)}"
    if dice < 0.85:
        return f"({random_text(rng, depth - 1)} {rng.choice(['<', '>=', '!='])} {random_text(rng, depth - 1)})"
    if dice < 0.95:
        name = rng.choice(["min", "max"])
        return f"{name}({random_text(rng, depth - 1)}, {random_text(rng, depth - 1)})"
    return f"-({random_text(rng, depth - 1)})"


def test_finite_arithmetic_is_pythons_to_the_last_bit() -> None:
    divided = 0
    for seed in range(300):
        rng = random.Random(seed)
        text = f"a + {random_text(rng, 4)}"
        names = {name: rng.uniform(0.5, 3.0) for name in "abc"}
        try:
            expected = float(eval(text, {"__builtins__": {"min": min, "max": max}}, names))
        except ZeroDivisionError:
            divided += 1
            continue
        given = value(text, **names)
        assert given == expected or (math.isnan(given) and not math.isfinite(expected)), text
    assert divided < 20


def test_they_are_columns_of_the_strategy_and_of_each_other() -> None:
    expr = {"twice": "ratio * 2", "ratio": "rsi / rsi.lag1", "up": "where(m > 0, 1, 0 - 1)"}
    given = columns(FEATURES, bars(), expr=expr, prediction="twice")
    assert list(given) == ["rsi", "rsi.lag1", "m", "twice", "ratio", "up"]
    known = given.notna().all(axis=1)
    assert known.sum() > 30
    np.testing.assert_array_equal(given["ratio"][known], (given["rsi"] / given["rsi.lag1"])[known])
    np.testing.assert_array_equal(given["twice"][known], (given["rsi"] / given["rsi.lag1"] * 2)[known])
    np.testing.assert_array_equal(given["up"][known], np.where(given["m"] > 0, 1.0, -1.0)[known])


def test_the_warm_up_is_that_of_the_columns() -> None:
    given = strategy(FEATURES, "ratio", expr={"ratio": "m / rsi.lag1"})
    assert [bound.warmup for bound in ready_strategy("one", given).features] == [3, 4, 2, 4]


@pytest.mark.parametrize("prediction", ["ratio", "up"])
def test_it_goes_on_after_a_restart_at_any_bar(prediction: str) -> None:
    configured = strategy(FEATURES, prediction, expr={"ratio": "rsi - rsi.lag1", "up": "ratio > 0"})
    ready = ready_strategy("one", configured)
    goes_on_anywhere(ready, bars("AB", 12), 3)
    is_made_again(ready, configured)


def test_strategies_share_them_and_the_features_below() -> None:
    source = Source("bars", 0, "v")
    one, two, three = (
        ready_strategy(name, strategy(FEATURES, "x", expr={"x": text}))
        for name, text in (("one", "rsi / m"), ("two", "rsi / m"), ("three", "rsi * m"))
    )
    pipeline = Pipeline([one, two, three], source)
    pipeline.feed({"1m": batch_from_frame(bars("A", 8))})
    runs = pipeline.runs
    assert runs["one"].lineage is runs["two"].lineage
    assert runs["one"].lineage.features[0] is runs["three"].lineage.features[0]
    assert runs["one"].lineage.features[-1] is not runs["three"].lineage.features[-1]


def test_a_configuration_without_them_does_not_name_them() -> None:
    assert "expr" not in ready_strategy("one", strategy(FEATURES, "rsi")).config
    config = ready_strategy("one", strategy(FEATURES, "rsi", expr={"x": "rsi * 2"})).config
    assert config["expr"] == {"x": "rsi * 2"}
    assert len(config["features"]) == 2


def test_a_column_called_as_a_bars_own_can_be_used() -> None:
    features: list[Any] = [{"technical.rsi": {"period": 3, "as": "close", "lags": [1]}}]
    given = columns(features, bars(), expr={"x": "close + 1"}, prediction="x")
    known = given.notna().all(axis=1)
    np.testing.assert_array_equal(given["x"][known], given["close"][known] + 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rsi * 1e999", "character 7: 1e999 is larger than a float64 can be"),
        ("rsi / 0", "character 5: a division by zero"),
        ("rsi / (2 - 2)", "character 5: a division by zero"),
        ("rsi + rsi.lag9", "character 7: there is no column 'rsi.lag9'; there are rsi, rsi.lag1, m, x"),
        ("rsi + close", "character 7: there is no column 'close'"),
        ("open('x')", 'character 6: "\'" is no part of an expression'),
        ("sqrt(rsi)", "character 1: there is no function sqrt; there are min, max, abs, log, where"),
        ("rsi.lag1(2)", "character 1: there is no function rsi.lag1"),
        ("__import__(rsi)", "character 1: there is no function __import__"),
        ("rsi ** 2", "character 6: '*' cannot stand here"),
        ("rsi +", "character 6: something is missing at the end"),
        ("", "character 1: something is missing at the end"),
        ("(rsi", "character 5: ')' is missing before 'the end'"),
        ("rsi)", "character 4: ')' cannot stand here"),
        ("rsi rsi", "character 5: 'rsi' cannot stand here"),
        ("1 < rsi < 2", "character 9: a comparison of a comparison"),
        ("log(rsi, 2)", "character 1: log takes 1 arguments, and has 2"),
        ("where(rsi, 2)", "character 1: where takes 3 arguments, and has 2"),
        ("min(rsi)", "character 1: min takes two or more arguments, and has 1"),
        ("1 + 2", "'1 + 2' names no column"),
        ("rsi; m", "character 4: ';' is no part of an expression"),
        ("rsi and m", "character 5: 'and' cannot stand here"),
        ("(" * 60 + "rsi" + ")" * 60, "more than 50 brackets in each other"),
        ("rsi + " * 500 + "rsi", "3003 characters; an expression has at most 2000"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        ready_strategy("one", strategy(FEATURES, "rsi", expr={"x": text}))
    assert str(error.value).startswith("strategies.one.expr.x: ")
    assert told in str(error.value)


def test_a_circle_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match=r"expr.x requires expr.y, which requires expr.x; leave one of them out"
    ):
        ready_strategy("one", strategy(FEATURES, "rsi", expr={"x": "y + 1", "y": "x - rsi"}))
    with pytest.raises(ConfigurationError, match=r"expr.x requires expr.x"):
        ready_strategy("one", strategy(FEATURES, "rsi", expr={"x": "x + 1"}))


def test_two_of_one_column_and_a_wrong_place_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"strategies.one.expr.m: a feature gives the column 'm'"):
        ready_strategy("one", strategy(FEATURES, "rsi", expr={"m": "rsi + 1"}))
    with pytest.raises(ConfigurationError, match=r"features.2: expressions stand beside the features"):
        ready_strategy("one", strategy([*FEATURES, {"expr": {"x": "rsi + 1"}}], "rsi"))
    with pytest.raises(ValueError, match="String should match pattern"):
        strategy(FEATURES, "rsi", expr={"a.b": "rsi + 1"})
    assert isinstance(strategy(FEATURES, "rsi"), Strategy)


def test_an_unknown_value_stays_unknown_in_a_frame() -> None:
    frame = bars("A", 30)
    frame[["open", "high", "low", "close"]] = 50.0
    given = columns(FEATURES, frame, expr={"x": "rsi > 0", "y": "m / m"}, prediction="x")
    assert given[["x", "y"]].isna().all().all()
    assert isinstance(given, pd.DataFrame)


def test_strategies_with_other_expressions_have_other_features() -> None:
    """What a sweep computes once for strategies of one identity."""
    one, other = (ready_strategy("one", strategy(FEATURES, "x", expr={"x": text})) for text in ("rsi / m", "rsi * m"))
    assert one.feature_identity != other.feature_identity
