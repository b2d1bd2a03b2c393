"""`automated.tsfresh` against tsfresh itself, called once for many windows of real bars."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base.loading.listing import entries
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from schemas.errors import PluginError
from tests.support.feature_bars import SHARED, SHIPPED, bars_in, flat, needs_shared
from tests.support.memory import ready


def chosen(name: str) -> Any:
    """One of tsfresh's sets of parameters; it imports for seconds, which a run without these tests should not cost."""
    from tsfresh.feature_extraction import settings

    return getattr(settings, f"{name.capitalize()}FCParameters")()


def create(**params: object):
    return feature_registry.create("automated.tsfresh", **params)


def expect(data: pd.DataFrame, ends: list[int], parameters: object, window: int, column: str = "close") -> pd.DataFrame:
    """tsfresh's columns for the windows that end with each of `ends`."""
    parts = [data[column].iloc[end + 1 - window : end + 1].reset_index(drop=True) for end in ends]
    frame = pd.concat(parts, keys=ends, names=["id", "sort"]).rename(column).reset_index()
    from tsfresh import extract_features

    given = {} if parameters is None else {"default_fc_parameters": parameters}
    return extract_features(frame, column_id="id", column_sort="sort", n_jobs=0, disable_progressbar=True, **given)


def check_minimal(data: pd.DataFrame, ends: list[int], window: int, column: str = "close") -> None:
    ours = create(window=window, column=column).compute(data)
    theirs = expect(data, ends, chosen("minimal"), window, column)
    assert list(ours.columns) == list(theirs.columns)
    scale = float(np.abs(data[column]).max())
    for name in theirs:
        # numpy's variance carries the rounding of its mean: of values near 100 about 1e-14, squared for the variance
        spread = name.endswith(("variance", "standard_deviation"))
        allowed = scale * 1e-14 if spread else 0.0
        np.testing.assert_allclose(ours[name].iloc[ends], theirs[name], rtol=1e-9, atol=allowed, err_msg=name)
    assert ours.iloc[: window - 1].isna().all(axis=None)
    assert ours.iloc[window - 1 :].notna().all(axis=None)


@pytest.mark.parametrize(("window", "column"), [(50, "close"), (2, "open"), (7, "volume"), (33, "high")])
def test_minimal_equals_tsfresh_on_real_bars(window, column):
    for data in bars_in(SHIPPED)[::3]:
        check_minimal(data, list(range(window - 1, len(data), 53)), window, column)


@pytest.mark.slow
@needs_shared
def test_minimal_equals_tsfresh_on_shared_bars():
    for data in bars_in(SHARED):
        check_minimal(data, list(range(49, len(data), 101)), 50)


def test_minimal_of_prices_that_never_move():
    values = create(window=5).compute(flat(8, price=0.1)).iloc[4:]
    assert (values["close__variance"] == 0.0).all()
    assert (values["close__standard_deviation"] == 0.0).all()
    assert (values["close__mean"] == 0.1).all()
    assert (values["close__median"] == 0.1).all()


def test_absolute_maximum_of_values_below_zero():
    data = flat(3)
    data["close"] = [-5.0, 1.0, 2.0]
    row = create(window=3).compute(data).iloc[-1]
    assert (row["close__maximum"], row["close__absolute_maximum"], row["close__minimum"]) == (2.0, 5.0, -5.0)


@pytest.fixture(scope="module")
def sets() -> dict[str, object]:
    return {name: create(feature_set=name, every=20) for name in ("efficient", "comprehensive")}


@pytest.mark.parametrize(("name", "count"), [("efficient", 777), ("comprehensive", 783)])
def test_a_set_is_tsfreshs_own(name, count, sets):
    data = bars_in(SHIPPED)[0].iloc[300:400]
    ours = sets[name].compute(data)
    theirs = expect(data, [49, 69, 89], chosen(name), 50)
    assert list(ours.columns) == list(theirs.columns) == list(sets[name].columns)
    assert len(ours.columns) == count
    np.testing.assert_allclose(ours.iloc[[49, 69, 89]], theirs, rtol=1e-9)
    between = np.delete(np.arange(100), [49, 69, 89])
    assert ours.iloc[between].isna().all(axis=None)


def test_no_column_is_dropped_for_being_nan_or_constant(sets):
    values = sets["efficient"].compute(flat(50))
    assert len(values.columns) == 777
    assert values.iloc[-1].isna().sum() > 313
    assert sets["efficient"].compute(flat(10)).shape == (10, 777)
    assert sets["efficient"].compute(flat(0)).shape == (0, 777)


NAMED = ["mean", 'close__fft_coefficient__attr_"abs"__coeff_1', "autocorrelation__lag_3", "quantile__q_0.1"]


def test_named_features_come_in_the_order_given():
    feature = create(features=NAMED, window=20)
    full = [name if name.startswith("close__") else f"close__{name}" for name in NAMED]
    assert list(feature.outputs) == full
    data = bars_in(SHIPPED)[0].iloc[:40]
    theirs = expect(data, [19, 25, 39], None, 20)[full]
    np.testing.assert_allclose(feature.compute(data).iloc[[19, 25, 39]], theirs, rtol=1e-9)


@pytest.mark.parametrize("params", [{"every": 7}, {"every": 7, "features": ["mean"]}])
def test_every_kth_bar_begins_with_the_first_value(params):
    values = create(window=10, **params).compute(flat(40))["close__mean"]
    assert np.flatnonzero(values.notna()).tolist() == [9, 16, 23, 30, 37]


@pytest.mark.parametrize("params", [{}, {"features": NAMED}])
def test_first_value_and_warmup(params):
    feature = create(**params)
    values = feature.compute(bars_in(SHIPPED)[0].iloc[:52])
    assert int(np.flatnonzero(values.notna().all(axis=1))[0]) + 1 == 50
    assert feature.warmup == 49


@pytest.mark.parametrize("params", [{"window": 9}, {"window": 9, "features": NAMED, "every": 2}])
def test_holes_symbols_and_cuts(params):
    """A hole changes nothing, symbols do not mix, and a state that was saved goes on to the byte."""
    feature = create(**params)
    bars, slots = trial_bars(60), np.random.default_rng(3).integers(0, 2, 60)
    bars["close"][[0, 5, 30]] = np.nan
    whole, states = np.empty((60, len(feature.columns))), feature.new_states(2)
    feature.run(states, slots, bars, whole)
    for symbol in (0, 1):
        mine = (slots == symbol) & ~np.isnan(bars["close"])
        alone = np.empty((int(mine.sum()), len(feature.columns)))
        feature.run(feature.new_states(1), np.zeros(len(alone), np.int64), bars[mine], alone)
        assert alone.tobytes() == whole[mine].tobytes()
        assert np.isfinite(alone).any()
    assert np.isnan(whole[[0, 5, 30]]).all()
    part, again = np.empty_like(whole), feature.new_states(2)
    for first in range(0, 60, 7):
        again = np.frombuffer(bytearray(again.tobytes()), feature.state_dtype)
        cut = slice(first, first + 7)
        feature.run(again, slots[cut], bars[cut], part[cut])
    assert part.tobytes() == whole.tobytes()
    assert again.tobytes() == states.tobytes()


def test_efficient_gives_the_same_bytes_in_another_process(sets):
    data = bars_in(SHIPPED)[0].iloc[:50]
    code = (
        "from tests.plugins.features.test_tsfresh import *\n"
        "data = bars_in(SHIPPED)[0].iloc[:50]\n"
        "sys.stdout.write(create(feature_set='efficient', every=20).compute(data).to_numpy().tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout) == sets["efficient"].compute(data).to_numpy().tobytes()


def test_minimal_needs_no_tsfresh():
    code = (
        "import sys; sys.modules['tsfresh'] = None\n"
        "from plugins.features import feature_registry\n"
        "feature_registry.create('automated.tsfresh').prepare()\n"
        "try: feature_registry.create('automated.tsfresh', feature_set='efficient')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PluginError automated.tsfresh: ")
    assert "pip install 'alphawire[tsfresh]'" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"feature_set": "tiny"}, "parameter feature_set"),
        ({"column": "vwap"}, "parameter column"),
        ({"window": 1}, "parameter window"),
        ({"every": 0}, "parameter every"),
        ({"features": []}, "parameter features"),
        ({"features": ["maen"]}, "tsfresh has no feature 'close__maen'; did you mean mean"),
        ({"features": ["lru_cache"]}, "tsfresh has no feature 'close__lru_cache'"),
        ({"features": ["autocorrelation__lag"]}, "tsfresh cannot read the names in `features`"),
        ({"features": ["open__mean"]}, "tsfresh has no feature 'close__open__mean'"),
        ({"features": ["mean", "close__mean"]}, "`features` names one twice"),
    ],
)
def test_impossible_parameters_are_named(params, told):
    with pytest.raises(PluginError, match=rf"^automated\.tsfresh: .*{told}") as error:
        create(**params)
    assert "\n" not in str(error.value)


def test_its_columns_go_into_a_strategy():
    strategy = ready("one", features=["technical.rsi", {"automated.tsfresh": {"col": "volume", "as": "v"}}])
    assert strategy.columns[:3] == ["rsi", "v.volume__sum_values", "v.volume__median"]


def test_the_listing_tells_what_a_bar_costs():
    (entry,) = [entry for entry in entries() if entry.key == "automated.tsfresh"]
    assert entry.cost.startswith("compiled (minimal), else slow: about ")
    assert create().cost.startswith("compiled")
    assert create(features=["mean"]).cost.startswith("slow")
