"""TA-Lib's functions as features, against the library over the whole frame.

Of functions with a window of their own and of recursions every bit must be the library's, at every bar; of those for
which the library carries a running sum along, what it gives over the window.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib
from talib import abstract

from benchmarks.ta import left_out, row
from plugins.base import FloatArray
from plugins.base.bars import bars_from_frame
from plugins.features import feature_registry
from plugins.features.ta import library
from plugins.features.ta.functions import functions
from plugins.features.ta.ways import EXACT, LEFT_OUT, ROUNDED, WAYS
from plugins.fold import FoldFeature
from plugins.strategy.features import features_of
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError, PluginError
from tests.plugins.features.ta_metadata import MODULE, text

PATTERNS = [name for name in WAYS if name.startswith("CDL")]
SAME_BITS = [name for name, way in WAYS.items() if way.kind != "window" and name not in PATTERNS]
PERIODS = ("timeperiod", "fastperiod", "slowperiod", "signalperiod", "fastk_period", "slowk_period", "fastd_period")


def prices(kind: str, count: int = 260, seed: int = 3) -> pd.DataFrame:
    """A walk; or prices in tenths, with bars that do not move and without volume, so that much is equal."""
    random = np.random.default_rng(seed)
    if kind == "walk":
        close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, count)))
        opened = np.concatenate([[100.0], close[:-1]])
        beyond = random.uniform(0.0, 0.5, (2, count))
    else:
        steps = random.integers(-3, 4, count) * (random.random(count) < 0.7)
        close = np.round(50.0 + 0.1 * np.cumsum(steps), 1)
        close[80:130] = close[80]
        opened = np.round(close + 0.1 * random.integers(-2, 3, count) * (np.abs(np.arange(count) - 105) > 25), 1)
        beyond = 0.1 * random.integers(0, 3, (2, count)) * (np.abs(np.arange(count) - 105) > 25)
    frame = {
        "open": opened,
        "high": np.round(np.maximum(opened, close) + beyond[0], 10),
        "low": np.round(np.minimum(opened, close) - beyond[1], 10),
        "close": close,
        "volume": random.integers(0, 9, count) * 100.0,
    }
    index = pd.date_range("2026-01-05 14:31", periods=count, freq="min", tz="UTC", name="time")
    return pd.DataFrame(frame, index=index)


FRAMES = {kind: prices(kind) for kind in ("walk", "tenths")}


def feature(name: str, **params: Any) -> FoldFeature:
    created = feature_registry.create(f"ta.{name}", **params)
    assert isinstance(created, FoldFeature)
    return created


def expected(name: str, data: pd.DataFrame, **params: Any) -> FloatArray:
    """The library over the whole frame; NaN before its first value, and where that is not finite."""
    numbers = {key: value for key, value in params.items() if not key.startswith("price")}
    inputs = [data[params.get(one, column)].to_numpy() for one, column in inputs_of(name)]
    returned = getattr(talib, name)(*inputs, **numbers)
    values = np.array(returned if isinstance(returned, tuple) else [returned], np.float64)
    values[:, : abstract.Function(name, **numbers).lookback] = np.nan
    values[np.isinf(values)] = np.nan
    return values.T


def inputs_of(name: str) -> list[tuple[str, str]]:
    told = abstract.Function(name).info["input_names"]
    return [
        (one, column)
        for one, columns in told.items()
        for column in ([columns] if isinstance(columns, str) else columns)
    ]


def plain(made: FoldFeature, data: pd.DataFrame) -> FloatArray:
    """Without numba: the same bytes, as `test_fold` holds and some tests here, without a second to compile each."""
    outs = np.empty((len(data), len(made.columns)))
    made.run_plain(made.new_states(1), np.zeros(len(data), np.int64), bars_from_frame(data), outs)
    return outs


def assert_same(values: FloatArray, wanted: FloatArray, what: object) -> None:
    different = ~((values == wanted) | (np.isnan(values) & np.isnan(wanted)))
    assert not different.any(), (what, np.argwhere(different)[0].tolist(), int(different.sum()))


def test_what_is_known_of_the_functions_is_what_the_library_says() -> None:
    assert MODULE.read_text() == text()


def test_every_function_of_the_library_has_one_way_or_a_reason() -> None:
    assert WAYS.keys() | LEFT_OUT.keys() == set(talib.get_functions())
    assert not WAYS.keys() & LEFT_OUT.keys()
    assert not set(EXACT.split()) & set(ROUNDED.split())
    assert {*EXACT.split(), *ROUNDED.split()} <= functions().keys()
    assert {f"ta.{name}" for name in WAYS} <= set(feature_registry.list_keys())


@pytest.mark.parametrize("name", SAME_BITS)
def test_every_bit_is_that_of_the_library_over_the_whole_frame(name: str) -> None:
    made = feature(name)
    assert made.warmup == abstract.Function(name).lookback
    for kind, data in FRAMES.items():
        assert_same(plain(made, data), expected(name, data), kind)


def periods(name: str) -> dict[str, int]:
    """Those that it has, each with the least that it may be."""
    return {each.name: int(each.least) for each in functions()[name].parameters if each.name in PERIODS}


@pytest.mark.parametrize("name", [name for name in SAME_BITS if periods(name)])
@pytest.mark.parametrize("length", [1, 2, 3, 17])
def test_so_it_is_with_other_periods(name: str, length: int) -> None:
    params = {key: max(length + i, least) for i, (key, least) in enumerate(periods(name).items())}
    made, data = feature(name, **params), FRAMES["tenths"]
    assert made.warmup == abstract.Function(name, **params).lookback
    assert_same(plain(made, data), expected(name, data, **params), params)


def test_so_it_is_with_all_patterns_at_any_penetration() -> None:
    data = prices("tenths", 1500)
    for name in PATTERNS:
        deep = {"penetration": 0.1} if "penetration" in feature(name).params else {}
        assert_same(plain(feature(name, **deep), data), expected(name, data, **deep), name)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("SAREXT", {"startvalue": -51.0, "offsetonreverse": 0.01}),
        ("SAREXT", {"startvalue": 49.0, "accelerationinitlong": 0.3, "accelerationmaxshort": 0.01}),
        ("SAR", {"acceleration": 0.3, "maximum": 0.25}),
        ("T3", {"vfactor": 0.31}),
        ("KC", {"timeperiod": 5, "atrperiod": 20}),
        ("MAMA", {"fastlimit": 0.9, "slowlimit": 0.02}),
        ("EMA", {"price": "volume"}),
        ("ADD", {"price0": "open", "price1": "volume"}),
    ],
)
def test_so_it_is_with_other_parameters(name: str, params: dict[str, Any]) -> None:
    assert_same(plain(feature(name, **params), FRAMES["tenths"]), expected(name, FRAMES["tenths"], **params), params)


@pytest.mark.parametrize("name", ["EMA", "ADX", "HT_SINE", "SAR", "STOCHRSI"])
def test_compiled_it_gives_the_same_bits(name: str) -> None:
    for data in FRAMES.values():
        assert_same(feature(name).compute(data).to_numpy(), expected(name, data), name)


@pytest.mark.parametrize("name", sorted(ROUNDED.split()))
def test_a_window_gives_what_the_library_gives_over_it(name: str) -> None:
    data, made = FRAMES["walk"], feature(name)
    values = plain(made, data)
    for last in range(made.warmup, len(data), 50):
        window = data.iloc[last - made.warmup : last + 1]
        assert_same(values[last : last + 1], expected(name, window)[-1:], last)
    whole = expected(name, data)
    assert np.isnan(values[: made.warmup]).all()
    assert np.allclose(values, whole, rtol=1e-9, atol=1e-9 * float(np.nanmax(np.abs(whole))), equal_nan=True)


@pytest.mark.parametrize("name", ["SMA", "BBANDS", "WILLR", "CDLDOJI"])
def test_where_the_bars_begin_is_of_no_matter_to_a_window(name: str) -> None:
    made, data = feature(name), FRAMES["walk"]
    later = plain(made, data.iloc[70:])
    assert_same(later[made.warmup :], plain(made, data)[70 + made.warmup :], name)


@pytest.mark.parametrize("name", ["SMA", "WILLR", "CDLDOJI", "ADOSC", "KAMA", "SIN"])
def test_a_state_goes_on_from_its_bytes_at_every_bar_and_symbols_keep_apart(name: str) -> None:
    made = feature(name)
    data = pd.concat([FRAMES["walk"].iloc[:120], FRAMES["tenths"].iloc[:120]])
    bars = bars_from_frame(data.reset_index(drop=True))
    order = np.argsort(np.tile(np.arange(120), 2), kind="stable")  # one bar of each in turn
    bars, slots = bars[order], np.repeat([0, 1], 120)[order].astype(np.int64)
    states, values = made.new_states(2), np.empty((240, len(made.columns)))
    random, first = np.random.default_rng(1), 0
    while first < 240:
        last = first + int(random.integers(1, 8))
        stored = states.tobytes()
        states = np.frombuffer(bytearray(stored), made.state_dtype)
        outs = np.empty((len(bars[first:last]), len(made.columns)))
        made.run(states, slots[first:last], bars[first:last], outs)
        values[first:last] = outs
        first = last
    for slot, kind in enumerate(FRAMES):
        assert_same(values[slots == slot], plain(made, FRAMES[kind].iloc[:120]), kind)


@pytest.mark.parametrize("name", ["RSI", "CMO", "CORREL", "SMA", "MFI"])
def test_a_bar_with_a_hole_gives_nan_and_counts_for_nothing(name: str) -> None:
    """TA-Lib 0.8.2 itself says 0 for RSI, CMO and CORREL from there on."""
    data = FRAMES["walk"].copy()
    data.iloc[100] = np.nan
    values = plain(feature(name), data)
    assert np.isnan(values[100]).all()
    without = np.delete(values, 100, axis=0)
    assert_same(without, plain(feature(name), data.drop(data.index[100])), name)


@pytest.mark.parametrize(
    ("key", "params", "said"),
    [
        ("ADX", {"timeperiod": 1}, "ta.ADX: parameter timeperiod: Input should be greater than or equal to 2"),
        ("ADX", {"period": 14}, "ta.ADX: parameter period: Extra inputs are not permitted (parameters: timeperiod)"),
        ("BBANDS", {"nbdevup": float("nan")}, "ta.BBANDS: parameter nbdevup: Input should be a finite number"),
        ("BBANDS", {"matype": 1}, "matype: 1 is none of the averages that there are here: 0 (SMA), 2 (WMA), 5 (TRIMA)"),
        ("APO", {"matype": 0}, "matype: 0 is none of the averages that there are here: 1 (EMA)"),
        ("SMA", {"price": "vwap"}, "price: Input should be 'open', 'high', 'low', 'close' or 'volume'"),
        ("SMA", {"timeperiod": 100_000}, "its state takes 800,000 bytes a symbol, and a snapshot holds 524,288"),
        ("ZLEMA", {"timeperiod": 100_000}, "choose shorter periods"),  # not over: 50,000 closes
    ],
)
def test_parameters_out_of_their_range_are_refused_in_one_line(key: str, params: dict[str, Any], said: str) -> None:
    if key == "ZLEMA":
        assert feature(key, **params).state_dtype.itemsize < 524_288
        return
    with pytest.raises(PluginError) as refused:
        feature(key, **params)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_strategy_names_the_columns() -> None:
    strategy = {
        "interval": "1m",
        "features": [{"ta.ADX": {"timeperiod": 7}}, {"ta.BBANDS": {"as": "bands"}}, {"ta.CDLENGULFING": {}}],
        "prediction": "adx",
        "signal": "signal.threshold",
    }
    made = features_of("demo", Strategy.model_validate(strategy))
    columns = [column for bound in made.own for column in bound.columns]
    assert columns == ["adx", "bands.upperband", "bands.middleband", "bands.lowerband", "cdlengulfing"]
    strategy["features"] = [{"ta.ADX": {"timeperiod": 7}}, {"ta.ADX": {}}]
    with pytest.raises(ConfigurationError, match="both give the column 'adx'; name one with `as:`"):
        features_of("demo", Strategy.model_validate(strategy))


def test_without_the_library_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "talib", None)
    library._library.cache_clear()
    try:
        with pytest.raises(PluginError, match=r"need TA-Lib.*pip install 'alphawire\[ta\]'$"):
            feature("SMA")
        assert feature("EMA").columns == ("ema",)  # a recursion needs no library
    finally:
        library._library.cache_clear()
    assert feature_registry.get("ta.SMA").packages == {"talib": "alphawire[ta]"}


def test_another_release_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talib, "__version__", "0.9.1")
    library._library.cache_clear()
    try:
        with pytest.raises(PluginError, match=r"made for TA-Lib 0.8, and here is 0.9.1"):
            feature("SMA")
    finally:
        library._library.cache_clear()


def test_the_table_of_the_page_is_that_of_the_features() -> None:
    page = (Path(__file__).parents[3] / "docs" / "talib.md").read_text()
    told = page.partition("<!-- functions -->\n")[2].partition("<!-- /functions -->")[0].splitlines()[2:]
    assert [line.rsplit("|", 3)[0] for line in told] == [
        row(functions()[name], "", "").rsplit("|", 3)[0] for name in WAYS
    ]
    assert page.partition("## Left out")[2].split("\n")[4:-1] == sorted(left_out())
