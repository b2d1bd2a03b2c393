"""`signal.long_short` by hand, against pandas, and live: every bar counts, published or not.

Sources: ``pandas.Series.rolling(n, min_periods=…)`` mean and sample standard deviation, window by window; the table of
the plugin for the edges.
"""

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseSignalGenerator
from plugins.base.loading.registry import PluginRegistry
from plugins.fold.generator import FoldedSignalGenerator
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import AS_CONFIGURED, RunSettings, Source
from plugins.signals import signal_registry
from schemas.errors import PluginError
from schemas.wire import Signal
from streams.consuming.intake import Intake
from tests.support.feature_bars import SHIPPED, bars_in
from tests.support.memory import Fetched, fetched, messy_bars, ready

NAN = float("nan")


def sizes(predictions: Any, **params: object) -> pd.DataFrame:
    frame = predictions if isinstance(predictions, pd.DataFrame) else pd.DataFrame({"prediction": predictions})
    return signal_registry.create("signal.long_short", **params).generate(frame)


@pytest.fixture(scope="module")
def real() -> pd.Series:
    """Predictions of a real kind, with holes: each tenth return of a close is unknown."""
    returns = bars_in(SHIPPED)[0]["close"].pct_change().iloc[1:600] * 50
    return returns.where(np.arange(len(returns)) % 10 != 7).reset_index(drop=True)


def expect(predictions: pd.Series, scaling: str, window: int, least: int) -> np.ndarray:
    rolling = predictions.rolling(window, min_periods=least)
    std = rolling.apply(lambda values: np.nanstd(values, ddof=1), raw=True)
    if scaling == "zscore":
        return ((predictions - rolling.apply(np.nanmean, raw=True)) / std).to_numpy()
    return (predictions * 0.15 / (std * np.sqrt(252))).to_numpy()


@pytest.mark.parametrize(("scaling", "least"), [("zscore", 2), ("vol_target", 5)])
@pytest.mark.parametrize("window", [5, 60])
def test_scalings_equal_pandas(scaling, least, window, real):
    wide = {"clip_min": -1e9, "clip_max": 1e9}
    ours = sizes(real.to_frame("prediction"), scaling=scaling, zscore_window=window, **wide)
    theirs = expect(real, scaling, window, least)
    theirs = np.where(np.isfinite(theirs), theirs, np.nan)
    np.testing.assert_allclose(ours["weight"], theirs, rtol=1e-9, atol=1e-12)
    assert np.isfinite(theirs).sum() > 250
    held = np.isnan(theirs)
    assert (ours["signal"][held] == "HOLD").all()
    assert ours["signal"][~held].tolist() == ours["weight"][~held].tolist()


def test_a_sized_series_has_the_target_volatility():
    """What it is for: predictions of one volatility throughout come out with the other one."""
    predictions = np.random.default_rng(0).normal(0, 3.0, 20_000)
    weights = sizes(predictions, scaling="vol_target", zscore_window=250, clip_min=-9, clip_max=9)["weight"]
    assert weights.std() * np.sqrt(252) == pytest.approx(0.15, rel=0.01)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("long_short", [0.25, -0.5, 0.75, -0.75, 0.0]),
        ("long_only", [0.25, 0.0, 0.75, 0.0, 0.0]),
        ("short_only", [0.0, -0.5, 0.0, -0.75, 0.0]),
    ],
)
def test_clip_takes_the_prediction_itself(mode, expected):
    rows = sizes([0.25, -0.5, 2.0, -2.0, -0.0], mode=mode, clip_min=-0.75, clip_max=0.75)
    assert rows["weight"].tolist() == rows["signal"].tolist() == expected
    assert not np.signbit(rows["weight"].to_numpy()[[-1]]).any()


def test_reasons_say_what_was_done():
    rows = sizes([0.5, 2.0, -2.0, NAN], clip_max=1.5)
    assert rows["reason"].tolist() == ["prediction", "prediction > 1.5", "prediction < -1", "no prediction"]
    assert sizes([0.5, -1.0], mode="long_only")["reason"].tolist() == ["prediction", "prediction < 0"]


def test_no_prediction_holds_whatever_the_window_knows():
    rows = sizes([1.0, 2.0, NAN, 3.0], scaling="zscore")
    assert rows["signal"].tolist()[2] == "HOLD"
    assert np.isnan(rows["weight"].iloc[2])
    assert rows["reason"].iloc[2] == "no prediction"
    # 3 against 1, 2 and 3: the hole is not a number, and not the last number
    assert rows["weight"].iloc[3] == pytest.approx(1.0)


@pytest.mark.parametrize(("scaling", "least"), [("zscore", 2), ("vol_target", 5)])
def test_too_few_and_unvarying_predictions_hold(scaling, least):
    rows = sizes([0.1] * 8, scaling=scaling, zscore_window=6)
    assert (rows["signal"] == "HOLD").all()
    assert rows["weight"].isna().all()
    few = f"fewer than {least} of the last 6 predictions are known"
    assert rows["reason"].tolist() == [few] * (least - 1) + ["the last 6 predictions do not vary"] * (9 - least)
    holes = sizes([0.1, NAN, 0.2, NAN, 0.3, NAN, 0.4, 0.5, 0.6], scaling=scaling, zscore_window=20)
    known = holes["weight"].notna().tolist()
    assert known.index(True) == {"zscore": 2, "vol_target": 7}[scaling]


def pooled(real: pd.Series) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([range(120), ["A", "B", "C"]], names=["time", "symbol"]).swaplevel()
    return pd.DataFrame({"prediction": real.iloc[: len(index)].to_numpy()}, index)


@pytest.mark.parametrize("scaling", ["zscore", "vol_target"])
def test_each_symbol_stands_alone_by_index_and_by_columns(scaling, real):
    frame = pooled(real)
    together = sizes(frame, scaling=scaling, zscore_window=9)
    flat = sizes(frame.reset_index(), scaling=scaling, zscore_window=9)
    assert flat["weight"].to_numpy().tobytes() == together["weight"].to_numpy().tobytes()
    for symbol in "ABC":
        alone = sizes(frame.xs(symbol, level="symbol"), scaling=scaling, zscore_window=9)
        mine = together["weight"].xs(symbol, level="symbol")
        assert mine.to_numpy().tobytes() == alone["weight"].to_numpy().tobytes()
        assert mine.notna().any()


def test_a_row_does_not_know_later_ones(real):
    frame = real.to_frame("prediction")
    whole = sizes(frame, scaling="zscore", zscore_window=9)
    poisoned = frame.copy()
    poisoned.iloc[200:] *= 1000.0
    assert sizes(poisoned, scaling="zscore", zscore_window=9).iloc[:200].equals(whole.iloc[:200])


def test_the_frame_given_is_left_as_it_was(real):
    frame = pooled(real)
    before = frame.copy()
    result = sizes(frame, scaling="zscore")
    pd.testing.assert_frame_equal(frame, before)
    assert result.index.equals(before.index)
    assert list(result.columns) == ["prediction", "signal", "weight", "reason"]


def test_no_rows_are_no_decisions():
    assert len(sizes(pd.DataFrame({"prediction": []}, dtype=float), scaling="zscore")) == 0


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (pd.DataFrame({"score": [1.0]}), "there is no column prediction; it needs prediction"),
        (pd.DataFrame({"prediction": [1.0, 2.0], "time": [2, 1], "symbol": ["A", "A"]}), "go back in time; sort"),
        (pd.DataFrame({"prediction": [1.0, 2.0]}, index=pd.to_datetime(["2020-01-02", "2020-01-01"])), "go back in"),
    ],
)
def test_a_frame_that_cannot_be_used_is_named(frame, told):
    with pytest.raises(PluginError, match=rf"^signal\.long_short: .*{told}"):
        sizes(frame)


def test_symbols_may_overlap_in_time():
    frame = pd.DataFrame({"prediction": [1.0, 2.0], "time": [2, 1], "symbol": ["A", "B"]})
    assert sizes(frame, clip_max=9)["weight"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"clip_min": 1.0}, "clip_min is not below clip_max"),
        ({"mode": "long_only", "clip_min": -2, "clip_max": -1}, "clip_max allows no long position"),
        ({"mode": "short_only", "clip_min": 0.5}, "clip_min allows no short position"),
        ({"scaling": "vol_target", "zscore_window": 4}, "zscore_window is below 5"),
        ({"scaling": "rank"}, "parameter scaling"),
        ({"zscore_window": 1}, "parameter zscore_window"),
        ({"vol_target": 0}, "parameter vol_target"),
        ({"clip_max": float("inf")}, "parameter clip_max"),
    ],
)
def test_impossible_parameters_are_named(params, told):
    with pytest.raises(PluginError, match=rf"^signal\.long_short: .*{told}"):
        sizes([1.0], **params)


def test_a_folded_generator_without_a_rule_is_refused():
    class Half(FoldedSignalGenerator):
        """Has no `decide`."""

    with pytest.raises(PluginError, match="needs `decide`; define decide"):
        PluginRegistry("signals", BaseSignalGenerator).register("my.half")(Half)


# -- live ------------------------------------------------------------------------------------------------------------

BARS = fetched(messy_bars(random.Random(5), ["A", "B", "C"], 300))
SIGNAL = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 7, "clip_min": -2.5, "clip_max": 2.5}


def pipeline(run: RunSettings = AS_CONFIGURED, **changes: Any) -> Pipeline:
    settings = {"signal": SIGNAL, "features": [{"technical.rsi": {"period": 3}}]} | changes
    return Pipeline([ready("one", **settings)], Source("bars", 0, "v"), {"one": run})


def fed(target: Pipeline, records: list[Fetched]) -> list[Signal]:
    return target.feed(Intake(0, 1, "murmur2").read(records).batches).signals


def told(signals: list[Signal]) -> dict[str, Signal]:
    return {signal.content.id: signal for signal in signals}


def test_live_is_generate_to_the_byte():
    signals = fed(pipeline(), BARS)
    rows = pd.DataFrame([(s.content.symbol, s.content.time, s.content.prediction) for s in signals])
    rows.columns = ["symbol", "time", "prediction"]
    params = {name: value for name, value in SIGNAL.items() if name != "key"}
    expected = sizes(rows, **params)
    assert [s.content.signal for s in signals] == expected["signal"].tolist()
    assert [s.content.reason for s in signals] == expected["reason"].tolist()
    weights = [NAN if s.content.weight is None else s.content.weight for s in signals]
    assert np.array(weights).tobytes() == expected["weight"].to_numpy().tobytes()
    assert expected["weight"].notna().sum() > 100


@pytest.mark.parametrize("size", [1, 7])
def test_the_cut_into_batches_does_not_matter(size):
    target = pipeline()
    parts = [s for first in range(0, len(BARS), size) for s in fed(target, BARS[first : first + size])]
    assert told(parts) == told(fed(pipeline(), BARS))


@pytest.mark.parametrize("cut", range(0, 301, 25))
def test_saved_and_restored_it_goes_on_to_the_byte(cut):
    first, second = pipeline(), pipeline()
    before = fed(first, BARS[:cut])
    second.restore(list(first.capture(cut).snapshots()))
    assert before + fed(second, BARS[cut:]) == fed(pipeline(), BARS)


def test_bars_that_nothing_is_published_for_count_as_well():
    whole = told(fed(pipeline(), BARS))
    late = told(fed(pipeline(RunSettings(publish_from=150)), BARS))
    assert late == {name: s for name, s in whole.items() if s.provenance.offset >= 150}
    begun = pipeline(RunSettings(origin_offset=150))
    assert any(fed(begun, BARS)[i].content.weight != s.content.weight for i, s in enumerate(late.values()))


def test_a_stored_state_is_that_of_its_window_and_of_what_predicts():
    def layout(**changes: Any) -> str:
        return pipeline(**changes).runs["one"].strategy.layout

    assert layout() == layout(signal=SIGNAL | {"clip_max": 9.0})
    assert layout() != layout(signal=SIGNAL | {"zscore_window": 8})
    both = ["technical.rsi", "technical.atr"]
    assert layout(features=both, prediction="rsi") != layout(features=both, prediction="atr")
    threshold = {"key": "signal.threshold"}
    plain = [layout(features=both, prediction=name, signal=threshold) for name in ("rsi", "atr")]
    assert plain[0] == plain[1]


def test_weights_are_units_of_the_execution():
    half = fed(pipeline(execution={"weight": 0.5, "long_only": True}), BARS)
    for signal, whole in zip(half, fed(pipeline(), BARS), strict=True):
        assert signal.content.signal == whole.content.signal
        if whole.content.weight is not None:
            assert signal.content.weight == max(0.5 * whole.content.weight, 0.0)
