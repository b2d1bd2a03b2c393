"""Lags and differences of features' columns; oracle: pandas' `shift` and `diff` on each symbol's rows."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature, Params
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.errors import ConfigurationError
from tests.support.continued import columns, goes_on_anywhere, is_made_again, part, strategy, texts
from tests.support.registries import untouched_registries

LAGGED = {"technical.rsi": {"period": 3, "lags": [1, 4], "diff": [2]}}
VOLATILITY = {
    "statistical.volatility_regime": {"window": 3, "rank_window": 5, "as": "vola", "lags": [1], "diff": [1, 3]}
}


class Spread(BaseFeature):
    """High less low, by `compute` alone; how often it was asked."""

    outputs = ("spread",)
    lookback = 2
    asked = 0

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        Spread.asked += 1
        return (data["high"] - data["low"]).to_frame("spread")


class OwnLags(BaseFeature):
    """A plugin of before, with a parameter of its own that is called like ours."""

    class Params(Params):
        lags: int = 1

    outputs = ("shifted",)

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.lookback = 1 + self.params["lags"]  # type: ignore[misc]

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return data["close"].shift(self.params["lags"]).to_frame("shifted")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with untouched_registries():
        feature_registry.register("test.spread")(Spread)
        feature_registry.register("test.own")(OwnLags)
        yield


def bars(symbols: str = "AB", each: int = 25) -> pd.DataFrame:
    """Interleaved, with gaps in time."""
    rng, frames = random.Random(8), []
    for number, symbol in enumerate(symbols):
        rows = trial_bars(2 * each)[sorted(rng.sample(range(2 * each), each))]
        frame = pd.DataFrame({name: rows[name] for name in ("open", "high", "low", "close", "volume")})
        frames.append(frame.assign(symbol=symbol, close_time=rows["time"], order=np.arange(each) + number / 7))
    return pd.concat(frames).sort_values("order").reset_index(drop=True)


def shifted(values: pd.Series, bars: int) -> pd.Series:
    return values.groupby("symbol").shift(bars)


def test_they_are_pandas_shift_and_diff_of_the_column() -> None:
    given, plain = columns([LAGGED, VOLATILITY], bars()), columns([{"technical.rsi": {"period": 3}}], bars())
    assert list(given) == [
        "rsi", "rsi.lag1", "rsi.lag4", "rsi.diff2",
        "vola.realised_vol", "vola.volatility_regime",
        "vola.realised_vol.lag1", "vola.realised_vol.diff1", "vola.realised_vol.diff3",
        "vola.volatility_regime.lag1", "vola.volatility_regime.diff1", "vola.volatility_regime.diff3",
    ]  # fmt: skip
    known = given.notna().all(axis=1)
    assert known.sum() > 20
    vola = columns(
        [{"statistical.volatility_regime": {"window": 3, "rank_window": 5}}], bars(), prediction="realised_vol"
    )
    for name, own in (
        ("rsi", plain["rsi"]),
        ("vola.realised_vol", vola["realised_vol"]),
        ("vola.volatility_regime", vola["volatility_regime"]),
    ):
        for column in given.columns[given.columns.str.startswith(f"{name}.")]:
            kind, count = column.rpartition(".")[2][:-1], int(column[-1])
            expected = shifted(own, count) if kind == "lag" else own - shifted(own, count)
            pd.testing.assert_series_equal(given[column][known], expected[known], check_names=False, check_exact=True)


def test_the_warm_up_counts_them() -> None:
    ready = ready_strategy("one", strategy([LAGGED], "rsi"))
    assert ready.warmup == 3 + 4
    given = columns([LAGGED], bars("A"))
    assert given.notna().all(axis=1).tolist() == [False] * 7 + [True] * 18


def test_a_windowed_plugin_has_them_and_is_asked_once_a_bar() -> None:
    features = [{"test.spread": {"lags": [1, 2, 3], "as": "width"}}]
    frame = bars("A", 12)
    before = Spread.asked
    given = columns(features, frame, prediction="width")
    assert list(given) == ["width", "width.lag1", "width.lag2", "width.lag3"]
    assert Spread.asked - before == 12
    spread = (frame["high"] - frame["low"]).to_numpy()
    assert given["width.lag3"].tolist()[4:] == spread[1:-3].tolist()


def test_a_plugin_keeps_a_parameter_of_that_name() -> None:
    given = columns([{"test.own": {"lags": 2, "diff": [1]}}], bars("A", 9), prediction="shifted")
    assert list(given) == ["shifted", "shifted.diff1"]


@pytest.mark.parametrize("prediction", ["rsi.lag4", "rsi.diff2"])
def test_it_goes_on_after_a_restart_at_any_bar(prediction: str) -> None:
    configured = strategy([LAGGED, VOLATILITY, {"test.spread": {"lags": [2]}}], prediction)
    ready = ready_strategy("one", configured)
    goes_on_anywhere(ready, bars("AB", 14))
    is_made_again(ready, configured)


def test_strategies_share_the_fold_with_and_without_them() -> None:
    features = [{"test.spread": {"lags": [1]}}], ["test.spread"], [{"test.spread": {"lags": [1]}}]
    several = [ready_strategy(name, strategy(own, "spread")) for name, own in zip("abc", features, strict=True)]
    source, batch = Source("bars", 0, "v"), batch_from_frame(bars("A", 10))
    before = Spread.asked
    together = Pipeline(several, source)
    found = texts(together, "1m", batch)
    assert Spread.asked - before == 10
    assert sorted(found) == sorted(text for one in several for text in texts(Pipeline([one], source), "1m", batch))


def test_a_configuration_without_them_is_as_it_was() -> None:
    plain = ready_strategy("one", strategy(["technical.rsi"], "rsi"))
    assert plain.config["features"] == [
        {
            "key": "technical.rsi", "version": "1", "source": plain.features[0].feature.plugin.source_sha256,
            "params": {"period": 14}, "columns": ["rsi"],
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lags": [0]}, "lags.0: Input should be greater than or equal to 1"),
        ({"lags": [-1]}, "lags.0: Input should be greater than or equal to 1"),
        ({"lags": [1, 1]}, "lags: 1 is there twice"),
        ({"lags": 3}, "lags: Input should be a valid"),
        ({"lags": [1.5]}, "lags.0: Input should be a valid integer"),
        ({"lags": [True]}, "lags.0: Input should be a valid integer"),
        ({"diff": ["1"]}, "diff.0: Input should be a valid integer"),
        ({"lags": [1_000_000]}, "lags.0: Input should be less than or equal to 10000"),
        ({"lag": [1]}, "parameter lag: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_lag_is_refused_at_its_place(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        ready_strategy("one", strategy([{"technical.rsi": settings}], "rsi"))
    assert "strategies.one.features.0: " in str(error.value)
    assert told in str(error.value)


def test_two_features_of_one_lagged_column_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"technical.rsi and technical.rsi both give the column 'rsi'"):
        ready_strategy("one", strategy([LAGGED, LAGGED], "rsi"))


def test_a_ring_that_no_snapshot_holds_is_refused() -> None:
    features = [{"automated.tsfresh": {"feature_set": "minimal", "lags": [10_000]}}]
    with pytest.raises(
        ConfigurationError, match=r"800,008 bytes a symbol, and a snapshot holds 524,288; look back less"
    ):
        ready_strategy("one", strategy(features, "close__mean"))


def test_one_bar_and_a_chunk_run_the_same_code() -> None:
    """A bar alone and a slice of a batch have other strides."""
    ready = ready_strategy("one", strategy([LAGGED], "rsi.lag1"))
    batch, source = batch_from_frame(bars("AB", 12)), Source("bars", 0, "v")
    single = Pipeline([ready], source)
    each = [text for row in range(len(batch)) for text in texts(single, "1m", part(batch, row, row + 1))]
    assert each == texts(Pipeline([ready], source), "1m", batch)
