"""`signal.threshold`, case by case as its definition says; expected values written by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from plugins.signals import signal_registry
from schemas.errors import PluginError

NAN = float("nan")


def threshold(**params):
    return signal_registry.create("signal.threshold", **params)


def decide(generator, **columns):
    decisions = generator.decide({name: np.array(values, np.float64) for name, values in columns.items()})
    return list(zip(decisions.signal, decisions.weight.tolist(), decisions.reason, strict=True))


def test_strictly_above_and_strictly_below():
    rows = decide(threshold(buy_threshold=0.5, sell_threshold=-0.25), prediction=[0.51, 0.5, 0.0, -0.25, -0.26])
    assert [row[0] for row in rows] == ["BUY", "HOLD", "HOLD", "HOLD", "SELL"]
    assert [row[1] for row in rows[::4]] == [1.0, -1.0]
    assert all(row[1] != row[1] for row in rows[1:4])
    reasons = [row[2] for row in rows]
    assert reasons == ["prediction > 0.5", *["-0.25 <= prediction <= 0.5"] * 3, "prediction < -0.25"]


def test_defaults():
    assert [row[0] for row in decide(threshold(), prediction=[0.71, 0.7, -0.7, -0.71])] == [
        "BUY",
        "HOLD",
        "HOLD",
        "SELL",
    ]


def test_no_prediction_never_trades():
    (row,) = decide(threshold(buy_threshold=-1, sell_threshold=-1), prediction=[NAN])
    assert row[0] == "HOLD"
    assert np.isnan(row[1])
    assert row[2] == "no prediction"
    (row,) = decide(threshold(prediction_column="rsi"), prediction=[1.0], rsi=[NAN])
    assert (row[0], row[2]) == ("HOLD", "no rsi")


def test_another_column_is_compared():
    rows = decide(threshold(prediction_column="rsi", buy_threshold=70, sell_threshold=30), rsi=[80, 50, 20])
    assert [row[0] for row in rows] == ["BUY", "HOLD", "SELL"]
    assert rows[0][2] == "rsi > 70.0"


@pytest.mark.parametrize(
    ("op", "holds"),
    [
        ("<", [True, False, False]),
        ("<=", [True, True, False]),
        (">", [False, False, True]),
        (">=", [False, True, True]),
        ("==", [False, True, False]),
        ("!=", [True, False, True]),
    ],
)
def test_operators(op, holds):
    generator = threshold(conditions={"all": [{"column": "x", "op": op, "value": 2}]})
    rows = decide(generator, prediction=[1, 1, 1, 1], x=[1, 2, 3, NAN])
    assert [row[0] == "BUY" for row in rows] == [*holds, False]


def test_conditions_hold_for_both_sides():
    generator = threshold(
        conditions={"all": [{"column": "x", "op": ">", "value": 0}, {"column": "y", "op": ">", "value": 0}]}
    )
    rows = decide(generator, prediction=[1, 1, -1, -1, NAN], x=[1, 1, 1, -1, -1], y=[1, -1, 1, 1, 1])
    assert [row[0] for row in rows] == ["BUY", "HOLD", "SELL", "HOLD", "HOLD"]
    assert rows[1][2] == "prediction > 0.7, but the conditions do not hold"
    assert rows[3][2] == "prediction < -0.7, but the conditions do not hold"
    assert rows[4][2] == "no prediction"
    assert [np.isnan(row[1]) for row in rows] == [False, True, False, True, True]


def test_any_of_several():
    tests = [{"column": "x", "op": ">", "value": 0}, {"column": "y", "op": ">", "value": 0}]
    rows = decide(threshold(conditions={"any": tests}), prediction=[1, 1, 1, 1], x=[1, -1, -1, NAN], y=[-1, 1, -1, 1])
    assert [row[0] for row in rows] == ["BUY", "BUY", "HOLD", "BUY"]


def test_all_and_any_must_both_be_met():
    conditions = {"all": [{"column": "x", "op": ">", "value": 0}], "any": [{"column": "y", "op": ">", "value": 0}]}
    rows = decide(threshold(conditions=conditions), prediction=[1, 1, 1], x=[1, 1, -1], y=[1, -1, 1])
    assert [row[0] for row in rows] == ["BUY", "HOLD", "HOLD"]


def test_conditions_of_one_side():
    low, high = {"column": "rsi", "op": "<", "value": 30}, {"column": "rsi", "op": ">", "value": 70}
    generator = threshold(buy_conditions={"all": [low]}, sell_conditions={"all": [high]})
    rows = decide(generator, prediction=[1, 1, -1, -1], rsi=[20, 80, 20, 80])
    assert [row[0] for row in rows] == ["BUY", "HOLD", "HOLD", "SELL"]
    rows = decide(threshold(buy_conditions={"all": [low]}), prediction=[1, -1], rsi=[80, 80])
    assert [row[0] for row in rows] == ["HOLD", "SELL"]


def test_the_frame_form_adds_three_columns():
    index = pd.MultiIndex.from_product([["A", "B"], [1, 2]], names=["symbol", "time"])
    data = pd.DataFrame({"prediction": [0.9, NAN, -0.9, 0.0], "label": list("abcd")}, index)
    before = data.copy()
    result = threshold().generate(data)
    assert data.equals(before)
    assert result.index.equals(index)
    assert list(result.columns) == ["prediction", "label", "signal", "weight", "reason"]
    assert result["signal"].tolist() == ["BUY", "HOLD", "SELL", "HOLD"]
    np.testing.assert_array_equal(result["weight"], [1.0, NAN, -1.0, NAN])
    assert result["reason"].tolist()[1] == "no prediction"
    assert threshold().generate(data.iloc[:0])["signal"].tolist() == []


def test_each_row_stands_alone():
    random = np.random.default_rng(3)
    columns = {"prediction": random.normal(0, 1, 500), "x": random.normal(0, 1, 500)}
    columns["prediction"][::7] = NAN
    generator = threshold(conditions={"all": [{"column": "x", "op": ">", "value": 0}]})
    whole = generator.decide(columns)
    for row in range(500):
        one = generator.decide({name: values[row : row + 1] for name, values in columns.items()})
        assert (one.signal, one.reason) == (whole.signal[row : row + 1], whole.reason[row : row + 1])
        assert one.weight.tobytes() == whole.weight[row : row + 1].tobytes()


def test_a_column_that_is_not_there_is_named():
    generator = threshold(conditions={"all": [{"column": "rsi", "op": ">", "value": 0}]})
    for give in (generator.decide, lambda columns: generator.generate(pd.DataFrame(columns))):
        with pytest.raises(PluginError, match=r"^signal\.threshold: there is no column 'rsi'; there is: prediction"):
            give({"prediction": np.array([])})
    with pytest.raises(PluginError, match=r"there is no column 'prediction'; there is: none"):
        threshold().decide({})


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"buy_threshold": -1, "sell_threshold": 1}, "buy_threshold is below sell_threshold"),
        ({"buy_threshold": NAN}, "parameter buy_threshold"),
        ({"threshold": 1}, "parameter threshold"),
        ({"conditions": {}}, "give `all` or `any`"),
        ({"conditions": {"all": []}}, "parameter conditions.all"),
        ({"conditions": {"none": []}}, "parameter conditions.none"),
        ({"conditions": {"all": [{"column": "x", "op": "=>", "value": 1}]}}, "parameter conditions.all.0.op"),
        ({"conditions": {"all": [{"column": "x", "op": ">"}]}}, "parameter conditions.all.0.value"),
        (
            {
                "conditions": {"all": [{"column": "x", "op": ">", "value": 1}]},
                "buy_conditions": {"any": [{"column": "x", "op": ">", "value": 1}]},
            },
            "give either `conditions`",
        ),
    ],
)
def test_impossible_parameters_are_named(params, told):
    with pytest.raises(PluginError, match=r"^signal\.threshold: ") as error:
        threshold(**params)
    assert told in str(error.value)


def test_parameters_are_plain_and_their_weight_is_a_unit():
    assert json.loads(json.dumps(threshold().params)) == threshold().params
    assert threshold().scaled
