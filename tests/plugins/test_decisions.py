"""What a foreign signal generator returns, row by row, and what is refused."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseSignalGenerator
from schemas.errors import PluginError


class Returning(BaseSignalGenerator):
    """Returns the row that it is told to."""

    key = "my.signal"

    def generate(self, predictions):
        return predictions.assign(**self.params)


class Simple(BaseSignalGenerator):
    """What a user writes."""

    def generate(self, predictions):
        predictions["signal"] = np.where(predictions["prediction"] > predictions["level"], "BUY", "HOLD")
        return predictions


def one(**returned):
    decisions = Returning(**returned).decide({"prediction": np.array([0.5])})
    assert len(decisions) == 1
    return decisions.signal[0], decisions.weight[0], decisions.reason[0]


def test_rows_are_given_one_by_one():
    seen = []

    class Watching(Simple):
        def generate(self, predictions):
            seen.append(predictions.to_dict("list"))
            return super().generate(predictions)

    columns = {"level": np.array([0.0, 1.0]), "prediction": np.array([0.5, 0.5])}
    decisions = Watching().decide(columns)
    assert decisions.signal == ["BUY", "HOLD"]
    assert np.isnan(decisions.weight).all()
    assert decisions.reason == ["", ""]
    assert seen == [{"level": [0.0], "prediction": [0.5]}, {"level": [1.0], "prediction": [0.5]}]
    assert sorted(columns) == ["level", "prediction"]
    assert len(Watching().decide({name: values[:0] for name, values in columns.items()})) == 0


@pytest.mark.parametrize("signal", ["BUY", "SELL", "HOLD", "FLAT", 0.25, -1.0])
def test_signals(signal):
    assert one(signal=signal)[0] == signal


@pytest.mark.parametrize("signal", [1, np.int64(1), np.float32(1.0), np.float64(1.0)])
def test_numbers_become_floats(signal):
    assert one(signal=signal)[0] == 1.0
    assert type(one(signal=signal)[0]) is float


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, pd.NaT])
def test_what_is_missing(missing):
    signal, weight, reason = one(signal=missing, weight=1.0)
    assert (signal, reason) == ("HOLD", "no signal")
    assert np.isnan(weight)
    assert np.isnan(one(signal="BUY", weight=missing)[1])


def test_weight_and_reason():
    assert one(signal="BUY", weight=0.25, reason="because") == ("BUY", 0.25, "because")
    assert one(signal="BUY", weight=0, reason=None)[1:] == (0.0, "")


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ({"signal": "buy"}, "the signal 'buy' is none of BUY, SELL, HOLD, FLAT, and no number"),
        ({"signal": True}, "the signal True is not a finite number"),
        ({"signal": float("inf")}, "the signal inf is not a finite number"),
        ({"signal": Decimal(1)}, r"the signal Decimal\('1'\) is not a finite number"),
        ({"signal": "BUY", "weight": "1"}, "the weight '1' is not a finite number"),
        ({"signal": "BUY", "weight": float("-inf")}, "the weight -inf is not a finite number"),
        ({"weight": 1.0}, "generate must return .* with a `signal` column"),
        ({"unknown": 1 / 3}, "generate must return .* with a `signal` column"),
    ],
)
def test_what_is_refused(returned, told):
    with pytest.raises(PluginError, match=f"^my.signal: {told}"):
        one(**returned)


@pytest.mark.parametrize("returned", [None, pd.Series(["BUY"]), pd.DataFrame({"signal": ["BUY", "BUY"]})])
def test_another_shape_is_refused(returned):
    class Odd(BaseSignalGenerator):
        def generate(self, predictions):
            return returned

    with pytest.raises(PluginError, match=r"^Odd: generate must return the frame that it got, one row here"):
        Odd().decide({"prediction": np.array([0.5])})


def test_a_failure_is_named():
    with pytest.raises(PluginError, match=r"^Simple: generate failed: KeyError: 'level'$"):
        Simple().decide({"prediction": np.array([0.5])})
