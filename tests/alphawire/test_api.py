"""The Python API against the commands: what it gives for a frame is what a replay of the same file writes."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import alphawire as aw
from backtest.explain.explain import explain_many
from backtest.replay.replay import replay
from backtest.replay.signal_files import write_signals
from schemas.errors import ConfigurationError
from schemas.wire import Signal
from tests.support.registries import untouched_registries

EXAMPLES = Path(__file__).parents[2] / "examples"
BARS = EXAMPLES / "data" / "equities_minute.parquet"
FEW = 6_000
KINDS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "pandas, indexed": lambda frame: frame.set_index("timestamp"),
    "pandas, an index without a name": lambda frame: frame.set_index("timestamp").rename_axis(None),
    "pandas, by symbol and time": lambda frame: frame.set_index(["symbol", "timestamp"]),
    "pandas, shuffled": lambda frame: frame.sample(frac=1.0, random_state=1),
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
}


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return pd.read_parquet(BARS).head(FEW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bars: pd.DataFrame) -> Path:
    """The bars as a file, the example's configuration, and its model, trained on them."""
    folder = tmp_path_factory.mktemp("api")
    bars.to_parquet(folder / "bars.parquet")
    text = (EXAMPLES / "alphawire.yaml").read_text().replace("models/demo", str(folder / "model"))
    (folder / "alphawire.yaml").write_text(text)
    aw.load(folder / "alphawire.yaml")["demo"].train(bars)
    return folder


@pytest.fixture(scope="module")
def demo(folder: Path) -> aw.LoadedStrategy:
    return aw.load(folder / "alphawire.yaml")["demo"]


@pytest.fixture(scope="module")
def replayed(folder: Path, demo: aw.LoadedStrategy) -> list[Signal]:
    return replay(demo.config, "demo", str(folder / "bars.parquet")).raw


def plain(frame: Any) -> pd.DataFrame:
    return frame.to_pandas() if not isinstance(frame, pd.DataFrame) else frame


@pytest.mark.parametrize("kind", KINDS)
def test_signals_are_those_of_a_replay_in_a_frame_of_the_same_kind(
    kind: str, bars: pd.DataFrame, demo: aw.LoadedStrategy, replayed: list[Signal]
) -> None:
    given = KINDS[kind](bars)
    frame = demo.signals(given)
    assert type(frame) is type(given)
    expected = [signal.content for signal in replayed]
    assert len(expected) > 0.9 * FEW
    rows = plain(frame)
    for name in ("symbol", "signal", "reason", "id"):
        assert rows[name].tolist() == [str(getattr(content, name)) for content in expected]
    for name in ("time", "valid_until"):
        times = [pd.Timestamp(getattr(content, name), unit="ms", tz="UTC") for content in expected]
        assert rows[name].tolist() == times
    for name in ("weight", "prediction"):
        values = [getattr(content, name) for content in expected]
        assert [None if pd.isna(value) else value for value in rows[name]] == values
    predictions = plain(demo.predictions(given))
    assert predictions["prediction"].equals(rows["prediction"])


def test_columns_are_those_of_a_thousand_explained_signals(
    bars: pd.DataFrame, folder: Path, demo: aw.LoadedStrategy, replayed: list[Signal]
) -> None:
    """Of the features, and of the rows that a training sees, bit for bit."""
    write_signals(replayed, folder / "signals.jsonl")
    chosen = random.Random(1).sample(replayed, 1000)
    explained = explain_many(
        demo.config, [s.content.id for s in chosen], folder / "signals.jsonl", str(folder / "bars.parquet")
    )
    features = {(row["symbol"], row["time"]): row for row in demo.features(bars).to_dict("records")}
    rows = {(row["symbol"], row["time"]): row for row in demo.dataset(bars, holdout=0.2).rows.to_dict("records")}
    met = 0
    for signal, explanation in zip(chosen, explained, strict=True):
        assert explanation.reproduced
        place = signal.content.symbol, pd.Timestamp(signal.content.time, unit="ms", tz="UTC")
        own = {name: None if pd.isna(value) else value for name, value in features[place].items()}
        assert {name: own[name] for name in explanation.columns} == explanation.columns
        if place in rows:
            met += 1
            assert {name: rows[place][name] for name in explanation.columns} == explanation.columns
    assert met > 900


def test_a_dataset_is_what_a_training_learns_from(
    bars: pd.DataFrame, folder: Path, demo: aw.LoadedStrategy, tmp_path: Path
) -> None:
    """Its parts are as large as the training says; the target by pandas."""
    made = demo.dataset(bars, holdout=0.2)
    done = demo.train(bars, holdout=0.2, out=tmp_path / "model")
    assert done.holdout is not None
    counts = made.rows["split"].value_counts()
    assert (counts["train"], counts["purged"], counts["holdout"]) == (
        done.manifest.training.rows, done.dropped["purged"], done.holdout.rows
    )  # fmt: skip
    assert (
        made.manifest["data_sha256"] == aw.load(folder / "alphawire.yaml")["demo"].dataset(bars).manifest["data_sha256"]
    )
    closes = bars.assign(time=bars["timestamp"] + pd.Timedelta("1min")).sort_values("time")
    opens = closes.groupby("symbol")["open"]
    expected = (opens.shift(-6) / opens.shift(-1) - 1).set_axis(pd.MultiIndex.from_frame(closes[["symbol", "time"]]))
    rows = made.rows.set_index(["symbol", "time"])["target"]
    assert (rows - expected.reindex(rows.index)).abs().max() < 1e-12
    assert (made.rows.loc[made.rows["split"] == "train", "target_known"] <= made.rows.loc[
        made.rows["split"] == "holdout", "time"
    ].min()).all()  # fmt: skip


def test_a_backtest_and_an_explanation(bars: pd.DataFrame, demo: aw.LoadedStrategy, tmp_path: Path) -> None:
    result = demo.backtest(bars, out=tmp_path / "run")
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert result["ledger"]["metrics"]["total_return"] == told["engines"]["ledger"]["metrics"]["total_return"]
    signals = demo.signals(bars)
    last = signals.iloc[-1]
    explanation = demo.explain(last["id"][:12], bars)
    assert (explanation.reproduced, explanation.prediction, explanation.rule) == (
        True, last["prediction"], last["reason"]
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="there is no signal 00000000 among the signals of these bars"):
        demo.explain("00000000", bars)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda bars: bars.drop(columns="close"), "close"),
        (lambda bars: bars.to_dict("list"), "bars are a dict; give a frame of pandas, polars or pyarrow"),
        (lambda bars: bars.assign(CLOSE=1.0), "columns of one name"),
        (lambda bars: bars.iloc[:0], "holds no bar of 1m that can be used"),
        (
            lambda bars: bars.assign(timestamp=bars["timestamp"] + pd.Timedelta("7s")),
            "6000 off the grid of their interval",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(
    spoil: Callable[[pd.DataFrame], Any], said: str, bars: pd.DataFrame, demo: aw.LoadedStrategy
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        demo.signals(spoil(bars))
    assert said in str(refused.value)


def test_rows_that_are_no_bars_are_left_out_and_told(bars: pd.DataFrame, demo: aw.LoadedStrategy) -> None:
    spoiled = bars.copy()
    spoiled.loc[[10, 20], "close"] = float("nan")
    signals = demo.signals(spoiled)
    assert demo.left_out is not None
    assert demo.left_out.reasons == {"without values": 2}
    assert len(signals) <= len(demo.signals(bars)) - 2


@pytest.fixture
def registries() -> Iterator[None]:
    with untouched_registries():
        yield


def test_plugins_that_the_configuration_names(registries: None, tmp_path: Path, bars: pd.DataFrame) -> None:
    """By paths that start at its folder, wherever the process works."""
    shutil.copy(EXAMPLES / "plugins" / "ema_cross.py", tmp_path / "flow.py")
    text = """
        plugins: [flow.py]
        strategies:
          crossing:
            interval: 1m
            features: [technical.ema_cross]
            prediction: ema_cross
            signal: {key: signal.threshold, buy_threshold: 0.0005, sell_threshold: -0.0005}
    """
    (tmp_path / "alphawire.yaml").write_text(text)
    signals = aw.load(tmp_path / "alphawire.yaml")["crossing"].signals(bars)
    assert set(signals["signal"]) >= {"BUY", "HOLD"}
    (tmp_path / "alphawire.yaml").write_text(text.replace("flow.py", "gone.py"))
    with pytest.raises(ConfigurationError, match=r"plugins: there is no file or folder .*gone\.py"):
        aw.load(tmp_path / "alphawire.yaml")


def test_names(demo: aw.LoadedStrategy, folder: Path) -> None:
    strategies = aw.load(folder / "alphawire.yaml")
    assert list(strategies) == ["demo"]
    with pytest.raises(KeyError, match="no strategy 'dmeo'; there is: demo"):
        strategies["dmeo"]
    assert repr(demo) == "<strategy demo, 1m>"
    assert msgspec.json.encode(sorted(aw.__all__)) == b'["LoadedStrategy","Strategies","load"]'
