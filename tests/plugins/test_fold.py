"""The fold: compiled and plain runs give the same bytes, however the bars are cut; faults are named."""

import pickle
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from plugins.base.bars import BAR, COLUMNS
from plugins.base.loading.registry import PluginRegistry
from plugins.base.streaming import over_frame, trial_bars
from plugins.features import feature_registry
from plugins.fold import Column, FeatureParams, FoldFeature, column_of
from schemas.errors import PluginError

FEATURES = [
    ("technical.rsi", {}),
    ("technical.rsi", {"period": 2}),
    ("technical.atr", {}),
    ("statistical.momentum", {"window": 3, "column": "volume"}),
    ("statistical.z_score", {}),
    ("statistical.z_score", {"window": 7, "column": "open"}),
    ("statistical.mean_reversion", {}),
    ("statistical.volatility_regime", {"window": 5, "rank_window": 30}),
    ("statistical.hurst_exponent", {}),
    ("statistical.hurst_exponent", {"window": 40, "min_lag": 3, "corrected": False}),
    ("automated.tsfresh", {}),
    ("automated.tsfresh", {"window": 7, "every": 3, "column": "volume"}),
    ("news.finbert_sentiment", {}),
    ("news.sentiment_momentum", {}),
    ("news.sentiment_divergence", {}),
    ("news.sentiment_divergence", {"normalise": False}),
]


def rough_bars(count: int, more: tuple[str, ...] = ()) -> np.ndarray:
    """Bars with holes, repeated prices and volumes of 0; further columns with holes and repeated values."""
    random = np.random.default_rng(5)
    bars = trial_bars(count, more)
    for name in (*COLUMNS, *more):
        bars[name] = np.round(bars[name], 1)
        bars[name][random.random(count) < 0.05] = np.nan
    bars["volume"][random.random(count) < 0.3] = 0.0
    return bars


def test_the_numbers_of_columns_are_those_of_a_bar():
    assert Column.__args__ == COLUMNS
    bar = np.array([(0, 1.0, 2.0, 3.0, 4.0, 5.0)], BAR).view(np.recarray)[0]
    assert [column_of(bar, number) for number in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(("key", "params"), FEATURES)
def test_compiled_and_plain_give_the_same_bytes(key, params):
    feature = feature_registry.create(key, **params)
    bars, slots = rough_bars(3000, feature.requires), np.random.default_rng(6).integers(0, 7, 3000)
    states, outs = feature.new_states(7), np.empty((3000, len(feature.columns)))
    plain_states, plain_outs = feature.new_states(7), np.empty_like(outs)
    feature.run(states, slots, bars, outs)
    feature.run_plain(plain_states, slots, bars, plain_outs)
    assert outs.tobytes() == plain_outs.tobytes()
    assert states.tobytes() == plain_states.tobytes()
    assert np.isfinite(outs).sum() > 1000


@pytest.mark.parametrize(("key", "params"), FEATURES)
def test_any_cut_into_chunks_gives_the_same_bytes(key, params):
    feature = feature_registry.create(key, **params)
    bars, slots = rough_bars(500, feature.requires), np.random.default_rng(7).integers(0, 3, 500)
    whole_states, whole = feature.new_states(3), np.empty((500, len(feature.columns)))
    feature.run(whole_states, slots, bars, whole)
    states, outs = feature.new_states(3), np.empty_like(whole)
    cuts = [0, 1, 2, 3, 50, 51, 200, 200, 499, 500]
    for start, stop in pairwise(cuts):
        states = np.frombuffer(bytearray(states.tobytes()), feature.state_dtype)  # as a snapshot does
        feature.run(states, slots[start:stop], bars[start:stop], outs[start:stop])
    assert outs.tobytes() == whole.tobytes()
    assert states.tobytes() == whole_states.tobytes()


@pytest.mark.parametrize(("key", "params"), FEATURES)
def test_declared_warmup_is_the_measured_one(key, params):
    feature = feature_registry.create(key, **params)
    assert FoldFeature.warmup.fget(feature) == feature.warmup


def test_arrays_that_are_read_only_or_not_contiguous_will_do():
    feature = feature_registry.create("technical.rsi")
    bars, slots = trial_bars(40), np.zeros(40, np.int64)
    expected = np.empty((40, 1))
    feature.run(feature.new_states(1), slots, bars, expected)
    read_only = np.frombuffer(bars.tobytes(), BAR)
    spaced = np.repeat(bars, 2)[::2]
    for other in (read_only, spaced):
        outs = np.empty((40, 1))
        feature.run(feature.new_states(1), np.zeros(80, np.int64)[::2], other, outs)
        assert outs.tobytes() == expected.tobytes()


def halved(value: float, times: int) -> float:
    for _ in range(times):
        value /= 2.0
    return value


class Everything(FoldFeature):
    """Uses each kind of parameter, two columns of output, a helper of its module, a division by zero."""

    class Params(FeatureParams):
        times: int = 2
        factor: float = 1.0
        negative: bool = False
        mode: Literal["add", "multiply"] = "add"
        note: str | None = None

    outputs = ("value", "ratio")
    reads = ("close",)

    def state(self):
        return [("total", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        if params.mode == 0:
            state.total += halved(bar.close, params.times) * params.factor
        else:
            state.total *= params.factor
        out.value = -state.total if params.negative else state.total
        out.ratio = bar.close / bar.volume


def run_over(feature: FoldFeature, bars: np.ndarray) -> np.ndarray:
    outs = np.empty((len(bars), len(feature.columns)))
    feature.run(feature.new_states(1), np.zeros(len(bars), np.int64), bars, outs)
    return outs


def test_a_step_sees_numbers_booleans_and_choices():
    bars = trial_bars(3)
    bars["close"], bars["volume"] = [8.0, 4.0, 0.0], [2.0, 0.0, 0.0]
    with np.errstate(all="ignore"):
        assert run_over(Everything(), bars)[0].tolist() == [2.0, 4.0]
        assert run_over(Everything(), bars)[:, 0].tolist() == [2.0, 3.0, 3.0]
    assert np.isnan(run_over(Everything(), bars)[1:, 1]).all()  # 4 / 0 is no more known than 0 / 0
    assert run_over(Everything(negative=True, factor=3.0), bars)[:, 0].tolist() == [-6.0, -9.0, -9.0]
    assert run_over(Everything(mode="multiply", note="x"), bars)[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert Everything().step_params() == {"times": 2, "factor": 1.0, "negative": False, "mode": 0}
    assert Everything().warmup == 0


def test_plain_and_compiled_agree_on_division_by_zero():
    feature, bars = Everything(), rough_bars(300)
    plain = np.empty((300, 2))
    feature.run_plain(feature.new_states(1), np.zeros(300, np.int64), bars, plain)
    assert run_over(feature, bars).tobytes() == plain.tobytes()


def test_a_feature_goes_to_another_process():
    feature = feature_registry.create("technical.rsi", period=3)
    expected = run_over(feature, trial_bars(50))
    again = pickle.loads(pickle.dumps(feature))
    assert run_over(again, trial_bars(50)).tobytes() == expected.tobytes()


def test_a_layout_names_what_a_stored_state_depends_on():
    def layout(**params: Any) -> str:
        return feature_registry.create("statistical.z_score", **params).layout

    class Newer(Everything):
        version = "2"

    assert layout() == layout(window=20) != layout(window=21)
    assert layout() != layout(column="open")
    assert Everything().layout != Newer().layout


class Silent(Everything):
    @staticmethod
    def step(state, bar, params, out):
        state.total = bar.close


def test_a_feature_that_never_gives_a_value_must_tell_its_warmup():
    with pytest.raises(
        PluginError, match=r"Silent: gave no value in 5000 generated bars; define the property `warmup`"
    ):
        _ = Silent().warmup


class Uncompilable(Everything):
    @staticmethod
    def step(state, bar, params, out):
        out.value = bar.close + "text"


class Unknown(Everything):
    @staticmethod
    def step(state, bar, params, out):
        out.value = state.nothing


class Raising(Everything):
    @staticmethod
    def step(state, bar, params, out):
        raise ValueError("no such thing")


@pytest.mark.parametrize("cls", [Uncompilable, Unknown])
def test_a_step_that_cannot_be_compiled_is_named(cls):
    with pytest.raises(
        PluginError, match=rf"^{cls.__name__}.step cannot be compiled: \S.*; use numbers, `math` and"
    ) as told:
        cls().prepare()
    assert "\n" not in str(told.value)


def test_a_step_that_raises_is_named():
    with pytest.raises(PluginError, match=r"^Raising: its step failed: ValueError: no such thing$"):
        run_over(Raising(), trial_bars(2))


class Objects(Everything):
    def state(self):
        return [("names", "O")]


class NoFields(Everything):
    def state(self):
        return "count"


class Elsewhere(Everything):
    reads = ("close", "vwap")


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (Objects, "Objects: its state is not plain numbers"),
        (NoFields, "NoFields: its state is no list of numpy fields"),
        (Elsewhere, "Elsewhere: a bar has no vwap; `reads` may name open, high, low, close, volume"),
    ],
)
def test_an_impossible_state_is_named(cls, told):
    with pytest.raises(PluginError, match=f"^{told}"):
        cls()


class NoStep(FoldFeature):
    outputs = ("x",)

    def state(self):
        return [("count", "i8")]


class NoOutputs(NoStep):
    outputs = ()

    @staticmethod
    def step(state, bar, params, out):
        out.x = bar.close


class ListOutputs(NoOutputs):
    outputs = ["x"]


class NotStatic(NoStep):
    def step(state, bar, params, out):  # noqa: N805
        out.x = bar.close


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (NoStep, "needs both `state` and a static `step"),
        (NoOutputs, "does not name its columns"),
        (ListOutputs, "not a tuple of column names"),
        (NotStatic, "`step` is not static"),
    ],
)
def test_a_class_that_cannot_work_is_not_registered(cls, told):
    registry = PluginRegistry("features", feature_registry._base)
    with pytest.raises(PluginError, match=rf"^my\.x \({cls.__name__}\): .*{told}"):
        registry.register("my.x")(cls)
    assert registry.list_keys() == []


def test_an_empty_frame_with_several_symbols():
    index = pd.MultiIndex.from_arrays([[], []], names=["symbol", "time"])
    data = pd.DataFrame({name: [] for name in COLUMNS}, index=index, dtype=float)
    assert over_frame(Everything(), data).shape == (0, 2)
