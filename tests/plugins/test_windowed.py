"""Compute-only features: live, replay and training see `compute` over the trailing lookback, and nothing else."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.base.bars import COLUMNS, bars_from_frame, frame_from_bars
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.fold import FoldFeature
from plugins.fold.windowed import WindowedFeature, batch, streaming
from schemas.errors import PluginError


class RollingZ(BaseFeature):
    """What a user writes: pandas over the whole frame, and the lookback that its value depends on."""

    key = "my.rolling_z"

    def __init__(self, **params):
        super().__init__(**params)
        self.lookback = self.params.get("window", 20)

    def compute(self, data):
        rolling = data["close"].rolling(self.lookback)
        return pd.DataFrame({"z": (data["close"] - rolling.mean()) / rolling.std(), "n": rolling.count()}, data.index)


def run(feature, bars, slots=None, count=1, states=None, cuts=()):
    slots = np.zeros(len(bars), np.int64) if slots is None else slots
    states = feature.new_states(count) if states is None else states
    outs = np.empty((len(bars), len(feature.columns)))
    edges = [0, *cuts, len(bars)]
    for start, stop in pairwise(edges):
        feature.run(states, slots[start:stop], bars[start:stop], outs[start:stop])
    return outs, states


def test_a_value_is_compute_over_the_trailing_rows():
    bars = trial_bars(60)
    outs, _ = run(WindowedFeature(RollingZ(window=7)), bars)
    for row in range(60):
        expected = RollingZ(window=7).compute(frame_from_bars(bars[max(0, row - 6) : row + 1])).iloc[-1].to_numpy()
        assert outs[row].tobytes() == expected.tobytes()


def test_live_and_batch_are_equal_to_the_byte_and_near_the_whole_history():
    bars = trial_bars(80)
    data = frame_from_bars(bars)
    outs, _ = run(WindowedFeature(RollingZ()), bars, cuts=(1, 2, 50, 50, 79))
    assert batch(RollingZ(), data).to_numpy().tobytes() == outs.tobytes()
    np.testing.assert_allclose(outs[:, 0], RollingZ().compute(data)["z"], rtol=1e-9)


def test_symbols_do_not_mix_and_a_snapshot_goes_on():
    bars, slots = trial_bars(60), np.random.default_rng(1).integers(0, 3, 60)
    feature = WindowedFeature(RollingZ(window=5))
    whole, whole_states = run(feature, bars, slots, 3)
    for slot in range(3):
        assert run(feature, bars[slots == slot])[0].tobytes() == whole[slots == slot].tobytes()
    first, states = run(feature, bars[:25], slots[:25], 3)
    restored = np.frombuffer(bytearray(states.tobytes()), feature.state_dtype)
    rest, states = run(feature, bars[25:], slots[25:], 3, restored)
    assert np.concatenate([first, rest]).tobytes() == whole.tobytes()
    assert states.tobytes() == whole_states.tobytes()


def test_batch_keeps_the_index_and_folds_each_symbol_alone():
    parts = {symbol: frame_from_bars(trial_bars(30)).iloc[start:] for symbol, start in (("A", 0), ("B", 10))}
    data = pd.concat(parts, names=["symbol", "time"]).sort_index(level="time")
    result = batch(RollingZ(window=3), data)
    assert result.index.equals(data.index)
    assert result.xs("B", level="symbol").equals(batch(RollingZ(window=3), parts["B"]))


def test_batch_of_a_fold_is_its_compute():
    data = frame_from_bars(trial_bars(50))
    assert batch(feature_registry.create("technical.rsi"), data).equals(
        feature_registry.create("technical.rsi").compute(data)
    )


def test_streaming_leaves_a_fold_as_it_is():
    fold = feature_registry.create("technical.rsi")
    assert streaming(fold) is fold
    assert fold.plugin is fold
    plugin = RollingZ()
    windowed = streaming(plugin)
    assert isinstance(windowed, WindowedFeature)
    assert not isinstance(windowed, FoldFeature)
    assert windowed.plugin is plugin
    assert (windowed.columns, windowed.warmup, windowed.reads) == (("z", "n"), 19, COLUMNS)


def test_layout_depends_on_parameters_and_version():
    class Newer(RollingZ):
        version = "2"

    layouts = {WindowedFeature(plugin).layout for plugin in (RollingZ(), RollingZ(window=21), RollingZ(x=1), Newer())}
    assert len(layouts) == 4
    assert WindowedFeature(RollingZ()).layout == WindowedFeature(RollingZ()).layout


class Faulty(BaseFeature):
    key = "my.faulty"
    lookback = 3

    def compute(self, data):
        close = data["close"]
        match self.params["fault"]:
            case "raises":
                raise RuntimeError("the file is gone")
            case "series":
                return close
            case "short":
                return close.to_frame().iloc[1:]
            case "index":
                return close.to_frame().reset_index(drop=True)
            case "names":
                return close.to_frame(f"close{len(data)}")
            case "text":
                return pd.DataFrame({"close": "high"}, data.index)
            case "none":
                return pd.DataFrame(index=data.index)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raises", "compute failed on 3 bars: RuntimeError: the file is gone"),
        ("series", "compute returned a Series; return a DataFrame"),
        ("short", "compute returned 2 rows for 3 bars"),
        ("index", "or another index; return one row for each bar"),
        ("names", "compute returned close1 for 1 bars, not close3; return the same columns always"),
        ("text", "compute returned something else than numbers"),
        ("none", "compute returned no columns for 3 generated bars"),
    ],
)
def test_what_compute_does_wrong_is_named(fault, told):
    feature = WindowedFeature(Faulty(fault=fault))
    with pytest.raises(PluginError, match=f"^my.faulty: .*{told}"):
        run(feature, trial_bars(5))


def test_prepare_finds_a_plugin_that_does_not_work():
    with pytest.raises(PluginError, match=r"^my\.faulty: compute failed on 3 bars"):
        WindowedFeature(Faulty(fault="raises")).prepare()
    WindowedFeature(RollingZ()).prepare()


class Declared(Faulty):
    outputs = ("open", "close")

    def compute(self, data):
        return data[["close", "open"]] if self.params.get("right") else data[["close", "high"]]


def test_declared_outputs_give_names_and_order():
    bars = trial_bars(4)
    outs, _ = run(WindowedFeature(Declared(right=True)), bars)
    assert outs.tolist() == [[bar["open"], bar["close"]] for bar in bars]
    with pytest.raises(PluginError, match="compute returned close, high for 1 bars, not open, close"):
        run(WindowedFeature(Declared()), bars)


@pytest.mark.parametrize("lookback", [0, -1, 2.0, True, "20"])
def test_an_impossible_lookback_is_refused(lookback):
    plugin = RollingZ()
    plugin.lookback = lookback
    with pytest.raises(PluginError, match=r"^my\.rolling_z: its lookback .* is not a number of bars"):
        streaming(plugin)


class Undeclared(BaseFeature):
    key = "my.undeclared"

    def compute(self, data):
        return data[["close"]]


def test_without_a_lookback_it_does_not_run_live():
    with pytest.raises(PluginError, match=r"^my\.undeclared: .*declares no lookback.*; set `lookback`, the number"):
        streaming(Undeclared())


def test_a_plugin_that_changes_what_it_gets_changes_nothing_of_ours():
    class Greedy(BaseFeature):
        lookback = 2

        def compute(self, data):
            data["close"] *= 0.0
            return data[["close", "volume"]]

    bars = trial_bars(5)
    before = bars.copy()
    _, states = run(WindowedFeature(Greedy()), bars)
    assert bars.tobytes() == before.tobytes()
    assert sorted(states["ring"]["close"][0]) == sorted(bars["close"][-2:])
    assert bars_from_frame(frame_from_bars(bars)).tobytes() == bars.tobytes()
