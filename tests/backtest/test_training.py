"""Training: which rows, which targets, and an artifact that is equal for equal input."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.training import data_sha256, forward_return, make_samples, train
from plugins.base import BaseModel
from plugins.base.bars import times_of
from plugins.models import model_registry
from plugins.models.artifacts.loading import load_artifact
from plugins.pipeline.frames import feature_frame
from schemas.configuration import Config
from schemas.errors import ConfigurationError, PluginError
from tests.support.registries import untouched_registries

MINUTE = 60_000
START = 1_380_000_000_000 // MINUTE * MINUTE
COLUMNS = ["rsi", "momentum"]


FEATURES: list[Any] = [{"technical.rsi": {"period": 3}}, {"statistical.momentum": {"window": 5}}]


FLAT = {"statistical.z_score": {"column": "volume", "as": "z"}}


def config(**change: Any) -> Config:
    strategy = {
        "interval": "1m", "universe": "*",
        "features": [{"technical.rsi": {"period": 3}}, {"statistical.momentum": {"window": 5}}],
        "model": {"key": "ml.lightgbm", "artifact": "models/s", "params": {"n_estimators": 5, "min_child_samples": 5}},
        "training": {"horizon_bars": 2}, "signal": {"key": "signal.threshold"},
    }  # fmt: skip
    return Config.model_validate({"strategies": {"s": strategy | change}})


def bars(symbols: str = "AB", count: int = 120, seed: int = 0, hole: int | None = None) -> pd.DataFrame:
    """Random walks in order of time; `hole`: that minute of symbol A has no bar."""
    rng = np.random.default_rng(seed)
    frames = []
    for symbol in symbols:
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        opened = START + np.arange(count) * MINUTE
        frame = pd.DataFrame({"symbol": symbol, "interval": "1m", "open_time": opened, "close_time": opened + MINUTE})
        frame["open"] = close * np.exp(rng.normal(0, 0.002, count))
        frame["high"], frame["low"] = frame["open"].clip(lower=close) * 1.001, frame["open"].clip(upper=close) * 0.999
        frame["close"], frame["volume"] = close, 100.0
        frames.append(frame.drop(index=hole) if symbol == "A" and hole is not None else frame)
    return pd.concat(frames).sort_values(["close_time", "symbol"], kind="stable").reset_index(drop=True)


def run(data: pd.DataFrame, out: Path, given: Config | None = None, **options: Any) -> Any:
    return train("s", given or config(), data, out=out, **options)


def test_target_by_hand() -> None:
    """Opens 10, 11, 12, 15, 18 and a horizon of 2: decided at bar 0, in at 11, out at 15; the last three have none."""
    frame = pd.DataFrame({
        "symbol": ["A", "B"] * 5,
        "open_time": np.repeat(np.arange(5), 2) * MINUTE,
        "close_time": np.repeat(np.arange(1, 6), 2) * MINUTE,
        "open": [10.0, 1.0, 11.0, 2.0, 12.0, 4.0, 15.0, 8.0, 18.0, 16.0],
    })  # fmt: skip
    index = pd.MultiIndex.from_arrays(
        [frame["symbol"], pd.to_datetime(frame["close_time"], unit="ms", utc=True)], names=["symbol", "time"]
    )
    target, known = forward_return(frame, index, 2)
    assert target.index.equals(index)
    assert target["A"].tolist()[:2] == [15 / 11 - 1, 18 / 12 - 1]
    assert target["B"].tolist()[:2] == [3.0, 3.0]
    assert target.isna().tolist() == [False] * 4 + [True] * 6
    assert known["A"].tolist() == [3 * MINUTE, 4 * MINUTE, -1, -1, -1]


def test_targets_against_a_plain_loop_over_bars_with_a_hole() -> None:
    """Bars are counted, not minutes: the oracle walks each symbol's list of opens."""
    data = bars(hole=40)
    samples = make_samples("s", config().strategies["s"], data)
    for symbol in "AB":
        own = data[data["symbol"] == symbol]
        opens, times = own["open"].tolist(), own["close_time"].tolist()
        got = samples.y.xs(symbol)
        for time, value in zip(times_of(got.index), got, strict=True):
            at = times.index(time)
            assert value == opens[at + 3] / opens[at + 1] - 1
        assert times_of(got.index).tolist() == times[5:-3]


def test_rows_are_in_time_order_with_the_live_features() -> None:
    data = bars().sort_values(["symbol", "close_time"]).reset_index(drop=True)
    samples = make_samples("s", config().strategies["s"], data)
    times = times_of(samples.X.index)
    order = list(zip(times.tolist(), samples.X.index.get_level_values(0), strict=True))
    assert order == sorted(order)
    assert samples.X.index.equals(samples.y.index)
    assert list(samples.X.columns) == COLUMNS
    live = feature_frame("s", config().strategies["s"], data)
    assert samples.X.equals(live.loc[samples.X.index])
    assert not samples.X.isna().any().any()


def test_every_row_left_out_is_counted() -> None:
    data = bars()
    samples = make_samples("s", config().strategies["s"], data)
    assert samples.dropped == {"warming_up": 2 * 5, "without_target": 2 * 3}
    assert len(samples.y) + 16 == len(data)


def test_repeated_bars_and_other_symbols_change_nothing(tmp_path: Path) -> None:
    data = bars()
    wide = pd.concat([data, bars("C", seed=9)]).sort_values("close_time", kind="stable")
    twice = wide.iloc[np.repeat(np.arange(len(wide)), 2)].reset_index(drop=True)
    only = config(universe=["A", "B"])
    clean, dirty = (make_samples("s", only.strategies["s"], frame) for frame in (data, twice))
    assert clean.X.equals(dirty.X)
    assert clean.y.equals(dirty.y)
    assert run(data, tmp_path / "1", only).manifest == run(wide, tmp_path / "2", only).manifest


def test_the_artifact_is_equal_for_equal_bars(tmp_path: Path) -> None:
    first = run(bars(), tmp_path / "1")
    again = run(bars().sort_values(["symbol", "close_time"]), tmp_path / "2")  # one symbol's file after the other
    assert first.manifest == again.manifest
    assert {p.name: p.read_bytes() for p in (tmp_path / "1").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "2").iterdir()
    }
    other = run(bars(seed=1), tmp_path / "3")
    assert other.manifest.training.data_sha256 != first.manifest.training.data_sha256


def test_the_manifest_says_where_the_model_comes_from(tmp_path: Path) -> None:
    data = bars()
    done = run(data, tmp_path / "m")
    training = done.manifest.training
    assert done.manifest.columns == COLUMNS
    assert (training.symbols, training.interval, training.horizon_bars) == (["A", "B"], "1m", 2)
    assert (training.first_time, training.last_time) == (START + 6 * MINUTE, START + 117 * MINUTE)
    assert training.rows == 2 * 112
    assert training.data_sha256 == data_sha256(data)
    assert done.manifest.params["n_estimators"] == 5
    assert json.loads((tmp_path / "m" / "manifest.json").read_text()) == done.manifest.model_dump(mode="json")


def test_the_artifact_serves_the_strategy(tmp_path: Path) -> None:
    done = run(bars(), tmp_path / "m")
    loaded = load_artifact(tmp_path / "m", key="ml.lightgbm", columns=COLUMNS, strategy=config().strategies["s"])
    assert loaded.sha256 == done.manifest.sha256
    samples = make_samples("s", config().strategies["s"], bars())
    assert loaded.model.predict(samples.X).std() > 0


def test_the_future_does_not_reach_the_model(tmp_path: Path) -> None:
    """Whatever comes at `end` or later, the artifact is the same to the byte."""
    data, end = bars(), START + 90 * MINUTE
    changed = data.copy()
    late = changed["close_time"] >= end
    changed.loc[late, ["open", "high", "low", "close"]] *= 3.0
    artifacts = [
        run(frame, tmp_path / str(number), end=end).manifest
        for number, frame in enumerate([data, changed, data[~late].reset_index(drop=True)])
    ]
    assert artifacts[0] == artifacts[1] == artifacts[2]
    assert artifacts[0].training.last_time == end - 4 * MINUTE


def test_bars_before_the_start_warm_up(tmp_path: Path) -> None:
    start = START + 50 * MINUTE
    done = run(bars(), tmp_path / "m", start=start)
    assert done.manifest.training.first_time == start
    assert done.dropped["warming_up"] == 0
    samples = make_samples("s", config().strategies["s"], bars(), start)
    whole = make_samples("s", config().strategies["s"], bars())
    assert samples.X.equals(whole.X.loc[samples.X.index])


def test_a_holdout_is_not_trained_on(tmp_path: Path) -> None:
    """The model is that of rows whose targets were known when the holdout begins. Oracle of the IC: scipy."""
    data = bars(count=400)
    done = run(data, tmp_path / "m", holdout=0.25)
    first = done.holdout.first_time
    assert done.holdout.rows + done.in_sample.rows + done.dropped["purged"] == 2 * (400 - 8)
    assert done.holdout.rows == pytest.approx(0.25 * 2 * (400 - 8), abs=2)
    assert done.in_sample.last_time == first - 3 * MINUTE  # left at the open of bar +3
    assert done.dropped["purged"] == 2 * 2
    changed = data.copy()
    changed.loc[data["close_time"] > first + MINUTE, ["open", "high", "low", "close"]] *= 2.0
    unscored = {"out_of_sample": None, "importance": None}
    other = run(changed, tmp_path / "n", holdout=0.25).manifest
    assert other.importance.gain == done.manifest.importance.gain
    assert other.model_copy(update=unscored) == done.manifest.model_copy(update=unscored)
    assert other.out_of_sample != done.manifest.out_of_sample

    samples = make_samples("s", config().strategies["s"], data)
    late = times_of(samples.X.index) >= first
    early = times_of(samples.X.index) <= done.in_sample.last_time
    model = load_artifact(tmp_path / "m", key="ml.lightgbm", columns=COLUMNS).model
    y, predicted, mean = samples.y[late], model.predict(samples.X[late]), samples.y[early].mean()
    assert done.holdout.r2 == pytest.approx(1 - ((y - predicted) ** 2).sum() / ((y - mean) ** 2).sum())
    from scipy.stats import spearmanr

    assert done.holdout.ic == pytest.approx(spearmanr(predicted, y).statistic)
    assert done.in_sample.r2 > done.holdout.r2


def test_scores_are_undefined_where_nothing_varies(tmp_path: Path) -> None:
    stump = {"key": "ml.lightgbm", "artifact": "m", "params": {"min_child_samples": 10_000, "n_estimators": 1}}
    done = run(bars(), tmp_path / "m", config(model=stump))
    assert done.in_sample.ic is None
    assert done.in_sample.r2 == pytest.approx(0.0, abs=1e-12)


def constant(symbols: str = "A") -> pd.DataFrame:
    return bars(symbols).assign(open=5.0, high=5.0, low=5.0, close=5.0)


@pytest.mark.parametrize(
    ("data", "change", "options", "message"),
    [
        (bars(), {"model": None, "prediction": "rsi"}, {}, "uses the column rsi as it is; there is nothing to train"),
        (bars(), {"universe": ["X", "Y"]}, {}, r"none of its universe \(X, Y\) is in the bars, which are of A, B"),
        (bars().iloc[:0], {}, {}, "there are no bars to train on; none were given"),
        (bars(), {}, {"end": START}, "no bars to train on; those given close from 2013-09-24T05:21:00"),
        (bars(count=20), {}, {}, "24 rows to train on, at least 50 are .*10 bars warm .* 6 are too late"),
        (bars(count=5), {}, {}, "0 rows to train on"),
        (bars(), {}, {"start": START + 10**10}, "0 rows to train on"),
        (bars(count=40), {}, {"holdout": 0.9}, "rows to train on, at least"),
        (constant(), {}, {}, "forward_return is 0 in all 112 rows: there is nothing to learn"),
        (
            bars(count=150), {"features": [*FEATURES, {"technical.rsi": {"period": 400, "as": "long"}}]}, {},
            "0 rows to train on",
        ),
        (bars().assign(volume=5.0), {"features": [*FEATURES, FLAT]}, {},
         "the columns z are NaN in all .* rows; leave out their features"),
        (bars(), {}, {"holdout": 1.5}, "holdout 1.5 is not between 0 and 1"),
        (bars(), {"model": {"key": "ml.lightgbn", "artifact": "m"}}, {}, "did you mean ml.lightgbm"),
        (
            bars(), {"model": {"key": "ml.lightgbm", "artifact": "m", "params": {"leaves": 3}}}, {},
            "strategies.s.model: ml.lightgbm: parameter leaves",
        ),
    ],
)  # fmt: skip
def test_mistakes(
    tmp_path: Path, data: pd.DataFrame, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        run(data, tmp_path / "m", config(**change), **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_an_unknown_strategy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no strategy 'other' in the configuration; there is: s"):
        train("other", config(), bars(), out=tmp_path / "m")


def test_a_plugin_that_refuses_leaves_the_old_artifact(tmp_path: Path) -> None:
    before = run(bars(), tmp_path / "m").manifest
    wrong = {"key": "ml.lightgbm", "artifact": "m", "params": {"extra": {"nope": 1}}}
    with pytest.raises(PluginError, match="LightGBM knows no parameter 'nope'"):
        run(bars(), tmp_path / "m", config(model=wrong))
    assert load_artifact(tmp_path / "m", key="ml.lightgbm", columns=COLUMNS).manifest == before


def test_a_model_that_claims_to_be_batch_invariant_and_is_not_gets_no_artifact(tmp_path: Path) -> None:
    """A matrix product: a row's last bits depend on the rows around it."""

    class Product(BaseModel):
        batch_invariant = True

        def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:  # noqa: N803
            self.weights = np.linalg.lstsq(X.fillna(0.0).to_numpy(), y.to_numpy())[0]

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            return pd.Series(X.to_numpy() @ self.weights - X.to_numpy().mean() * 1e-12, X.index)

    with untouched_registries():
        model_registry.register("mydesk.product")(Product)
        given = config(model={"key": "mydesk.product", "artifact": "models/s"})
        with pytest.raises(PluginError, match=r"declares batch_invariant, but .* remove the declaration"):
            run(bars(), tmp_path / "model", given)
    assert not (tmp_path / "model").exists()


def test_a_library_that_is_missing_is_named_with_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work is done."""
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    done: list[object] = []
    with pytest.raises(ConfigurationError) as caught:
        run(bars(), tmp_path / "m", stage=lambda *told: done.append(told))
    assert str(caught.value) == (
        "strategies.s.model: what ml.lightgbm needs is not installed: pip install 'alphawire[boost]'"
    )
    assert not done
    assert not (tmp_path / "m").exists()
