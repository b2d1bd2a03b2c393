"""What is not finite is not known, from the feature on: one bar without volume must not trade, nor end a column."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature, BaseModel
from plugins.base.bars import frame_from_bars
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.fold import FoldFeature
from plugins.fold.windowed import batch, streaming
from plugins.models import model_registry
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows, Least
from plugins.pipeline.frames import feature_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.prediction.model import predict, single_rows
from plugins.pipeline.records.published import Source
from plugins.signals import signal_registry
from schemas.configuration import Strategy
from schemas.errors import PluginError
from streams.consuming.intake import Intake
from tests.support.memory import bar, fetched, ready
from tests.support.registries import untouched_registries

HALT = 30


def without_volume():
    """One bar of sixty says volume 0."""
    bars = trial_bars(60)
    bars["volume"][HALT] = 0.0
    return bars


class Change(BaseFeature):
    """What a user writes: the change of the volume, infinite after a bar without."""

    outputs = ("change",)
    lookback = 2

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return data["volume"].pct_change().to_frame("change")


class FoldedChange(FoldFeature):
    key, outputs, reads = "test.folded_change", ("change",), ("volume",)

    def state(self):
        return [("count", "i8"), ("volume", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            out.change = bar.volume / state.volume - 1.0
        state.count += 1
        state.volume = bar.volume


FEATURES = [
    feature_registry.create("statistical.momentum", window=1, column="volume"),
    Change(),
    FoldedChange(),
]


def by_hand(volume):
    """In plain Python: the change against the bar before, unknown where that had no volume."""
    changes = [math.nan, *(now / before - 1.0 if before else math.nan for before, now in pairwise(volume))]
    return [None if math.isnan(change) else pytest.approx(change, rel=1e-12) for change in changes]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: type(feature).__name__)
def test_a_quotient_by_no_volume_is_unknown(feature) -> None:
    bars = without_volume()
    values = batch(feature, frame_from_bars(bars)).iloc[:, 0].tolist()
    assert [None if math.isnan(value) else value for value in values] == by_hand(bars["volume"].tolist())
    assert math.isnan(values[HALT + 1])


def test_the_interpreted_step_agrees_with_the_compiled_one() -> None:
    for feature in (FEATURES[0], FEATURES[2]):
        bars, outs = without_volume(), np.empty((2, 60, 1))
        streaming(feature).run(feature.new_states(1), np.zeros(60, np.int64), bars, outs[0])
        feature.run_plain(feature.new_states(1), np.zeros(60, np.int64), bars, outs[1])
        assert outs[0].tobytes() == outs[1].tobytes()
        assert not np.isinf(outs).any()


def test_values_too_large_for_a_float_are_unknown_and_pass() -> None:
    """Squares of 1e200 overflow: unknown while they are in the window, known again afterwards."""
    bars = trial_bars(60)
    bars["volume"][HALT] = 1e200
    frame = frame_from_bars(bars)
    found = feature_registry.create("automated.tsfresh", column="volume", window=5).compute(frame)
    power = found["volume__root_mean_square"].to_numpy()
    assert np.flatnonzero(np.isnan(power)).tolist() == [0, 1, 2, 3, *range(HALT, HALT + 5)]
    regime = feature_registry.create("statistical.volatility_regime", window=3, rank_window=5)
    for name, value in (("open", 1e-200), ("high", 1e-200), ("low", 1e-200), ("close", 1e-200)):
        bars[name][HALT] = value
    found = regime.compute(frame_from_bars(bars))
    assert np.isnan(found["realised_vol"].to_numpy()[HALT + 1 : HALT + 4]).all()
    assert found.iloc[HALT + 4 :].notna().all(axis=None)
    fresh = regime.compute(frame_from_bars(bars[HALT + 1 :]))  # ranks among its own five once they are all of it
    assert found.iloc[HALT + 9 :].equals(fresh.iloc[8:])


BUY_ANY = {"key": "signal.threshold", "buy_threshold": 0.1, "sell_threshold": -5.0}


def records(symbol: str = "A"):
    volumes = [100.0] * 5 + [0.0] + [100.0] * 6
    return fetched([bar(symbol, minute, 50.0, volume=volume) for minute, volume in enumerate(volumes)])


def test_no_strategy_trades_on_infinity() -> None:
    features = [{"statistical.momentum": {"window": 1, "column": "volume"}}]
    for signal in (BUY_ANY, {"key": "signal.long_short"}, {"key": "signal.long_short", "scaling": "zscore"}):
        strategy = ready("s", features=features, prediction="momentum", signal=signal)
        fed = Pipeline([strategy], Source("bars", 0, "v")).feed(Intake(0, 1, "murmur2").read(records()).batches)
        after = fed.signals[6].content
        assert (after.prediction, after.signal, after.weight, after.reason) == (None, "HOLD", None, "no prediction")


def test_one_infinite_value_does_not_silence_the_z_score() -> None:
    """The prediction's z-score is known again with the next bar, not when the window has passed."""
    signal = signal_registry.create("signal.long_short", scaling="zscore", zscore_window=60, clip_min=-9, clip_max=9)
    predictions = [0.1, 0.3, 0.2, math.inf, 0.4, 0.1]
    decided = signal.generate(pd.DataFrame({"prediction": predictions}))
    known = [value for value in predictions if math.isfinite(value)]
    expected = (known[-1] - np.mean(known)) / np.std(known, ddof=1)
    assert decided["signal"].tolist()[3] == "HOLD"
    assert decided["signal"].tolist()[5] == pytest.approx(expected, rel=1e-12)


def test_generators_take_infinity_in_a_frame_for_no_prediction() -> None:
    rows = pd.DataFrame({"prediction": [math.inf, -math.inf, 0.9], "symbol": ["A", "B", "C"]})
    for key in ("signal.threshold", "signal.long_short", "signal.ranking", "signal.portfolio"):
        settings = {"top_n": 1, "bottom_n": 1} if key == "signal.ranking" else {}
        decided = signal_registry.create(key, **settings).generate(rows)
        assert decided["signal"].tolist()[:2] == ["HOLD", "HOLD"], key
        assert set(decided["reason"].tolist()[:2]) == {"no prediction"}
    held = signal_registry.create(
        "signal.threshold", conditions={"all": [{"column": "x", "op": ">", "value": 0.0}]}
    ).generate(pd.DataFrame({"prediction": [0.9], "x": [math.inf]}))
    assert held["signal"].tolist() == ["HOLD"]


def test_a_models_infinite_prediction_is_none() -> None:
    class Reciprocal(BaseModel):
        batch_invariant = True

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            with np.errstate(divide="ignore"):
                return 1.0 / X.iloc[:, 0]

    with untouched_registries():
        model = model_registry.register("test.reciprocal")(Reciprocal)()
        slots = np.zeros(3, np.int64)
        bars = AcceptedBars(trial_bars(3), slots, np.arange(3), slots, ["A"])
        rows = FeatureRows(bars, np.array([[2.0], [0.0], [4.0]]), np.arange(1, 4), Least(1, 0))
        found = predict(model, ["x"], rows, single_rows(rows, np.arange(3)))
    assert [None if math.isnan(value) else value for value in found.tolist()] == [0.5, None, 0.25]


@pytest.mark.parametrize("key", ["ml.xgboost", "ml.random_forest"])
def test_a_refusal_to_train_names_the_column(key: str) -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.normal(size=(80, 3)), columns=["rsi", "turnover", "momentum"])
    rows.iloc[7, 1] = 1e39  # beyond 32 bits, in which these libraries train
    target = pd.Series(rng.normal(size=80))
    with pytest.raises(PluginError, match=r"refuses to train: .* \(infinite or beyond 32 bits: turnover\)$"):
        model_registry.create(key).train(rows, target)


def test_training_sees_nan_where_a_worker_does() -> None:
    bars = pd.DataFrame(without_volume()).rename(columns={"time": "close_time"}).assign(symbol="A")
    momentum = {"statistical.momentum": {"window": 1, "column": "volume"}}
    strategy = Strategy(interval="1m", features=[momentum], prediction="momentum", signal="signal.threshold")
    values = feature_frame("s", strategy, bars)["momentum"].to_numpy()
    assert not np.isinf(values).any()
    assert np.flatnonzero(np.isnan(values)).tolist() == [0, HALT + 1]
