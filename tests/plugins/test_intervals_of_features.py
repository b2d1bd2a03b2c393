"""Features of longer bars. Oracles: pandas' `resample(closed="right", label="right")` where no bar is missing; by hand
where some are, and at a market's sessions.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.fold import FoldFeature
from plugins.fold.derived.at_interval import AtInterval
from plugins.fold.derived.clock import clock_of
from plugins.fold.windowed import batch, streaming
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.errors import ConfigurationError
from tests.support.continued import columns, goes_on_anywhere, is_made_again, part, strategy, texts
from tests.support.registries import untouched_registries

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY = 1_704_067_200_000
"""2024-01-01 00:00, UTC."""
OHLCV = ["open", "high", "low", "close", "volume"]


class AsItIs(FoldFeature):
    """The bar itself."""

    outputs = ("o", "h", "l", "c", "v", "t")
    reads = ("open", "high", "low", "close", "volume", "time")

    def state(self):
        return [("count", "i8")]

    @staticmethod
    def step(state, bar, params, out):
        state.count += 1
        out.o, out.h, out.l, out.c, out.v, out.t = bar.open, bar.high, bar.low, bar.close, bar.volume, bar.time


class Mean(BaseFeature):
    """Of two closes, by `compute` alone."""

    outputs = ("mean",)
    lookback = 2

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return data["close"].rolling(2).mean().to_frame("mean")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with untouched_registries():
        feature_registry.register("test.bar")(AsItIs)
        feature_registry.register("test.mean")(Mean)
        yield


def minutes(symbol: str, times: list[int], seed: int = 3) -> pd.DataFrame:
    """Bars that close at these times."""
    rows = trial_bars(len(times) + seed)[seed:]
    frame = pd.DataFrame({name: rows[name] for name in OHLCV})
    return frame.assign(symbol=symbol, close_time=times)


def complete(count: int, start: int = MONDAY, symbol: str = "A", length: int = MINUTE) -> pd.DataFrame:
    return minutes(symbol, [start + length * (number + 1) for number in range(count)])


def resampled(frame: pd.DataFrame, rule: str) -> pd.DataFrame:
    """By pandas; the last bin, which may be forming, is left out unless its end has come."""
    indexed = frame.set_index(pd.DatetimeIndex(frame["close_time"].astype("datetime64[ms]"), tz="UTC"))
    bins = indexed.resample(rule, closed="right", label="right").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    return bins[bins.index <= indexed.index[-1]].dropna()


def as_of(values: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """At each bar, what is known of the last bin that has ended."""
    times = pd.DatetimeIndex(frame["close_time"].astype("datetime64[ms]"), tz="UTC")
    return values.reindex(times, method="ffill")


def of_bar(frame: pd.DataFrame, **settings: Any) -> pd.DataFrame:
    """The longer bar that is known at each bar; without the strategy's warm-up."""
    ready = ready_strategy("one", strategy([{"test.bar": settings}], "c"))
    bars = batch_from_frame(frame)
    feature = ready.features[0].feature
    outs = np.empty((len(bars), len(feature.columns)))
    feature.run(feature.new_states(1), np.zeros(len(bars), np.int64), bars.bars, outs)
    return pd.DataFrame(outs, columns=list(feature.columns))


@pytest.mark.parametrize("rule", ["5min", "1h", "1D"])
def test_longer_bars_are_those_of_pandas(rule: str) -> None:
    interval = {"5min": "5m", "1h": "1h", "1D": "1d"}[rule]
    frame = complete(2 * 1440 + 17)
    given = of_bar(frame, interval=interval)
    expected = as_of(resampled(frame, rule), frame)
    assert expected.notna().any().all()
    np.testing.assert_array_equal(given[["o", "h", "l", "c"]], expected[["open", "high", "low", "close"]])
    np.testing.assert_allclose(given["v"], expected["volume"], rtol=1e-12)


def test_values_are_those_of_the_feature_over_pandas_bars() -> None:
    frame = complete(600)
    features: list[Any] = [
        {"technical.rsi": {"period": 3, "interval": "1h"}},
        {"statistical.z_score": {"window": 4, "interval": "15m", "column": "volume", "as": "z"}},
        {"test.mean": {"interval": "30m"}},
    ]
    given = columns(features, frame)
    bins = {rule: resampled(frame, rule) for rule in ("1h", "15min", "30min")}
    rsi = batch(feature_registry.create("technical.rsi", period=3), bins["1h"])
    z = batch(feature_registry.create("statistical.z_score", window=4, column="volume"), bins["15min"])
    mean = bins["30min"]["close"].rolling(2).mean().to_frame("mean")
    known = given["rsi"].notna().to_numpy()
    assert known.sum() == 600 - 239
    for name, values in (("rsi", rsi["rsi"]), ("z", z["z_score"]), ("mean", mean["mean"])):
        expected = as_of(values.to_frame(), frame).to_numpy()[:, 0]
        np.testing.assert_array_equal(given[name].to_numpy()[known], expected[known])


def test_the_warm_up_counts_bars_of_the_strategy() -> None:
    ready = ready_strategy("one", strategy([{"technical.rsi": {"period": 14, "interval": "1h"}}], "rsi"))
    assert ready.warmup == 15 * 60 - 1
    lagged = {"technical.rsi": {"period": 14, "interval": "1h", "lags": [2]}}
    assert ready_strategy("one", strategy([lagged], "rsi")).warmup == 17 * 60 - 1


def test_a_forming_bar_is_never_seen() -> None:
    """Whatever the last minutes of an hour are, nothing changes before its end."""
    one = complete(300)
    other = one.copy()
    other.loc[241:, OHLCV] *= 3.0
    given, changed = of_bar(one, interval="1h"), of_bar(other, interval="1h")
    pd.testing.assert_frame_equal(given[:299], changed[:299])
    assert (given[299:] != changed[299:])["c"].all()


def test_bars_with_holes_by_hand() -> None:
    """Closes by minute of the hour, of two hours and a bit: the end of the first is missing, and all of the second."""
    times = [MONDAY + minute * MINUTE for minute in (1, 2, 58, 120, 121, 181, 240, 241)]
    frame = minutes("A", times)
    frame["close"] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    frame["open"], frame["high"], frame["low"] = frame["close"], frame["close"] + 0.5, frame["close"] - 0.5
    frame["volume"] = 10.0
    given = of_bar(frame, interval="1h", partial=True)
    nan = np.nan
    # 58 is the last of hour 1; 120 ends hour 2, alone in it; 121 is the last of hour 3; 240 ends hour 4
    np.testing.assert_array_equal(given["c"], [nan, nan, nan, 4.0, 4.0, 5.0, 7.0, 7.0])
    np.testing.assert_array_equal(given["o.partial"], [nan, nan, nan, 0.0, 0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(given["v"], [nan, nan, nan, 10.0, 10.0, 10.0, 20.0, 20.0])
    ends = [MONDAY + hour * HOUR for hour in (2, 2, 3, 4, 4)]
    assert given["t"][3:].tolist() == ends


def test_two_hours_that_end_at_one_bar_are_both_taken_in() -> None:
    """The hour whose end is missing is complete before the bar is looked at that is itself the end of the next."""
    times = [MONDAY + minute * MINUTE for minute in (30, 60, 90, 180, 200)]
    frame = minutes("A", times)
    frame["close"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    given = columns(
        [{"statistical.momentum": {"window": 1, "interval": "1h", "lags": [1]}}], frame, prediction="momentum"
    )
    assert given["momentum"].isna().all()  # the strategy's warm-up is longer than all that
    feature = AtInterval(
        streaming(feature_registry.create("statistical.momentum", window=1)), clock_of("1h", None), MINUTE
    )
    raw = batch_from_frame(frame).bars
    outs = np.empty((5, 1))
    feature.run(feature.new_states(1), np.zeros(5, np.int64), raw, outs)
    np.testing.assert_array_equal(outs[:, 0], [np.nan, np.nan, np.nan, 4.0 / 3.0 - 1.0, 4.0 / 3.0 - 1.0])


def test_lags_count_longer_bars() -> None:
    frame = complete(60 * 9)
    given = columns([{"test.mean": {"interval": "1h", "lags": [1, 3], "diff": [2], "as": "m"}}], frame, prediction="m")
    assert list(given) == ["m", "m.lag1", "m.lag3", "m.diff2"]
    mean = resampled(frame, "1h")["close"].rolling(2).mean()
    expected = pd.DataFrame({"m": mean, "m.lag1": mean.shift(1), "m.lag3": mean.shift(3), "m.diff2": mean.diff(2)})
    known = given["m"].notna().to_numpy()
    assert known.sum() == 60 * 9 - (60 * 5 - 1)
    np.testing.assert_array_equal(given[known], as_of(expected, frame)[known])


def session_bars(days: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Half-hour bars of New York from one time to another (UTC) on each day, those beside the session included."""
    times: list[int] = []
    for day, first, last in days:
        span = pd.date_range(f"{day} {first}", f"{day} {last}", freq="30min", tz="UTC")
        times += span.as_unit("ms").asi8.tolist()
    return minutes("A", times)


def test_days_are_a_markets_sessions_by_hand() -> None:
    """2024-11-29 closes at 13:00 in New York, which is 18:00 UTC; 2024-11-28 is a holiday; on 2024-03-11 New York's
    clocks are an hour on, and the session ends at 20:00 UTC instead of 21:00.
    """
    frame = session_bars(
        [
            ("2024-03-08", "14:30", "21:30"), ("2024-03-11", "13:30", "20:30"),
            ("2024-11-27", "14:30", "21:30"), ("2024-11-29", "14:30", "19:30"), ("2024-12-02", "14:30", "21:30"),
        ]
    )  # fmt: skip
    ready = ready_strategy(
        "one", strategy([{"test.bar": {"interval": "1d", "session": "XNYS", "partial": True}}], "c", interval="30m")
    )
    feature = ready.features[0].feature
    outs = np.empty((len(frame), len(feature.columns)))
    feature.run(feature.new_states(1), np.zeros(len(frame), np.int64), batch_from_frame(frame).bars, outs)
    given = pd.DataFrame(outs, columns=list(feature.columns), index=frame["close_time"])
    ends = given["t"].dropna().unique().tolist()
    moments = [pd.Timestamp(int(end), unit="ms") for end in ends]
    assert moments == [
        pd.Timestamp(text)
        for text in ("2024-03-08 21:00", "2024-03-11 20:00", "2024-11-27 21:00", "2024-11-29 18:00", "2024-12-02 21:00")
    ]
    for end, opened in zip(ends, ("14:30", "13:30", "14:30", "14:30", "14:30"), strict=True):
        day = pd.Timestamp(int(end), unit="ms").normalize()
        begin = (day + pd.Timedelta(f"{opened}:00") - pd.Timestamp(0)) // pd.Timedelta("1ms")
        own = frame[(frame["close_time"] > begin) & (frame["close_time"] <= end)]
        bar = given.loc[int(end)]
        assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (
            own["open"].iloc[0], own["high"].max(), own["low"].min(), own["close"].iloc[-1],
        )  # fmt: skip
        assert bar["v"] == own["volume"].sum()
        assert bar["o.partial"] == 0.0
    assert ready.warmup == 13 - 1


def test_a_session_whose_end_is_missing_is_partial() -> None:
    frame = session_bars([("2024-12-02", "15:00", "20:00"), ("2024-12-03", "14:00", "21:00")])
    ready = ready_strategy(
        "one", strategy([{"test.bar": {"interval": "1d", "session": "XNYS", "partial": True}}], "c", interval="30m")
    )
    feature = ready.features[0].feature
    outs = np.empty((len(frame), len(feature.columns)))
    feature.run(feature.new_states(1), np.zeros(len(frame), np.int64), batch_from_frame(frame).bars, outs)
    # the bar at 14:00 is before the next session's opening, and after the end of the last: it completes that
    assert np.isnan(outs[:11]).all()
    assert (outs[11:-1, -1] == 1.0).all()
    assert outs[-1, -1] == 0.0


FEATURES = [
    {"technical.rsi": {"period": 2, "interval": "5m", "lags": [1], "partial": True}},
    {"test.mean": {"interval": "3m", "as": "mean"}},
    {"statistical.z_score": {"window": 3}},
]


def gappy(symbols: str, each: int) -> pd.DataFrame:
    rng, frames = random.Random(4), []
    for number, symbol in enumerate(symbols):
        chosen = sorted(rng.sample(range(2 * each), each))
        frame = minutes(symbol, [MONDAY + MINUTE * (minute + 1) for minute in chosen], number)
        frames.append(frame.assign(order=np.arange(each) + number / 7))
    return pd.concat(frames).sort_values("order").reset_index(drop=True)


@pytest.mark.parametrize("prediction", ["rsi.lag1", "mean"])
def test_it_goes_on_after_a_restart_at_any_bar(prediction: str) -> None:
    configured = strategy(FEATURES, prediction)
    ready = ready_strategy("one", configured)
    goes_on_anywhere(ready, gappy("AB", 24), 2)
    is_made_again(ready, configured)


def test_bars_one_by_one_and_in_a_chunk_are_the_same() -> None:
    ready, source = ready_strategy("one", strategy(FEATURES, "rsi")), Source("bars", 0, "v")
    bars, single = batch_from_frame(gappy("AB", 40)), Pipeline([ready], Source("bars", 0, "v"))
    each = [text for row in range(len(bars)) for text in texts(single, "1m", part(bars, row, row + 1))]
    assert each == texts(Pipeline([ready], source), "1m", bars)
    assert len(each) == 80


def test_strategies_with_the_same_longer_bars_share_them() -> None:
    several = [ready_strategy(name, strategy(FEATURES, "rsi")) for name in ("one", "two")]
    other = ready_strategy("three", strategy([{"technical.rsi": {"period": 2, "interval": "10m"}}], "rsi"))
    pipeline, source = Pipeline([*several, other], Source("bars", 0, "v")), Source("bars", 0, "v")
    bars = batch_from_frame(gappy("A", 30))
    found = texts(pipeline, "1m", bars)
    runs = pipeline.runs
    assert runs["one"].lineage is runs["two"].lineage
    assert runs["one"].lineage is not runs["three"].lineage
    alone = [text for one in (*several, other) for text in texts(Pipeline([one], source), "1m", bars)]
    assert sorted(found) == sorted(alone)


def test_a_row_without_a_price_changes_nothing() -> None:
    frame = complete(130)
    hole = frame.copy()
    hole.loc[90, OHLCV] = np.nan
    given, kept = of_bar(hole, interval="1h"), of_bar(frame.drop(index=90), interval="1h")
    assert given.loc[90].isna().all()
    np.testing.assert_array_equal(given.drop(index=90), kept)


def refused(use: Any, **changes: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        ready_strategy("one", strategy([use], "rsi", **changes))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("settings", "changes", "told"),
    [
        ({"interval": "90s"}, {}, "interval: 90s is no multiple of 1m, the strategy's; write one that is, such as 5m"),
        ({"interval": "30s"}, {}, "interval: 30s is no multiple of 1m"),
        ({"interval": "1h"}, {"interval": "volume:10000", "valid_for": "10m"}, "bars of volume:10000 have no one"),
        ({"interval": "1h"}, {"interval": "1d"}, "interval: 1h is no multiple of 1d"),
        ({"interval": "hour"}, {}, "interval: 'hour' is not an interval"),
        ({"interval": 60}, {}, "interval: Input should be a valid string"),
        ({"session": "XNYS"}, {}, "session and partial are of longer bars; give their `interval`"),
        ({"interval": "1h", "session": "XNYS"}, {}, "session: XNYS divides time into days, and interval is 1h"),
        ({"interval": "1d", "session": "XNYS"}, {"interval": "1d"}, "session: bars of 1d are whole days already"),
        ({"interval": "1d", "session": "XNYZ"}, {}, "session: there is no calendar 'XNYZ'"),
        ({"interval": "1d", "session": "24/7"}, {}, "session: 24/7 has no sessions; leave it out for days by UTC"),
    ],
)  # fmt: skip
def test_what_is_no_longer_bar_is_refused(settings: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    message = refused({"technical.rsi": settings}, **changes)
    assert message.startswith("strategies.one.features.0: ")
    assert told in message


def test_a_feature_of_other_columns_has_no_interval() -> None:
    message = refused({"news.finbert_sentiment": {"interval": "1h"}})
    assert "belong to the strategy's own bars; leave out `interval`" in message


def test_the_sessions_belong_to_the_configuration() -> None:
    use = {"technical.rsi": {"interval": "1d", "session": "XNYS"}}
    other = {"technical.rsi": {"interval": "1d", "session": "XLON"}}
    plain = {"technical.rsi": {"interval": "24h"}}
    ready, london, utc = (ready_strategy("one", strategy([one], "rsi")) for one in (use, other, plain))
    assert ready.config["features"][0]["sessions"] == clock_of("1d", "XNYS").digest
    assert len({one.config_hash for one in (ready, london, utc)}) == 3
    assert len({one.layout for one in (ready, london, utc)}) == 3
    assert utc.config["features"][0]["params"]["interval"] == "1d"
    assert (
        utc.config_hash == ready_strategy("one", strategy([{"technical.rsi": {"interval": "1d"}}], "rsi")).config_hash
    )


def test_all_is_compiled_with_the_first_bar() -> None:
    """The first longer bar may come when a worker is busy."""
    feature = feature_registry.create("technical.rsi")
    assert isinstance(feature, FoldFeature)
    longer = AtInterval(feature, clock_of("1h", None), MINUTE)
    longer.run(longer.new_states(1), np.zeros(1, np.int64), trial_bars(1), np.empty((1, 1)))
    assert feature._kernel is not None
