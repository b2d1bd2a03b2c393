"""Sequence models in the pipeline: their last rows are state, and live, replay and `predict` over a frame are one.

Oracle: a plain loop over each symbol's list of feature rows.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseModel, FloatArray
from plugins.fold.row_ring import BLOCK, RowRing
from plugins.fold.sequence import SequenceModel
from plugins.models import model_registry
from plugins.models.artifacts.loading import TrainedOn, save_artifact
from plugins.models.artifacts.manifest import EVERY_SYMBOL
from plugins.pipeline.frames import feature_frame
from plugins.pipeline.pipeline import Pipeline, prepare
from plugins.pipeline.strategy_run import AS_CONFIGURED, RunSettings, Source
from plugins.strategy.parts import ring_of
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import Signal
from streams.consuming.intake import Intake
from tests.support.memory import Fetched, fetched, messy_bars

SYMBOLS = ["A", "B", "C"]
COLUMNS = ["rsi", "momentum"]
BARS = fetched(messy_bars(random.Random(5), SYMBOLS, 200))
WARMUP = 4
"""RSI(4) has its first value at bar 5, momentum(3) at bar 4."""
SETTINGS: dict[str, Any] = {
    "interval": "1m",
    "features": [{"technical.rsi": {"period": 4}}, {"statistical.momentum": {"window": 3}}],
    "signal": {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0},
    "start": "earliest",
}
SIZED = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 6, "clip_min": -3, "clip_max": 3}
TRAINED = TrainedOn(
    interval="1m", symbols=["A"], target="forward_return", horizon_bars=5, first_time=60_000, last_time=600_000,
    rows=200, data_sha256="0" * 64,
)  # fmt: skip


class Saved(BaseModel):
    """Its file is its name, so that two artifacts differ."""

    def save(self, path: str | Path) -> None:
        Path(path).write_text(str(self.params))

    def load(self, path: str | Path) -> "Saved":
        return self


@pytest.fixture(scope="module", autouse=True)
def models() -> Iterator[None]:
    @model_registry.register("test.faded")
    class Faded(Saved, SequenceModel):
        """``rsi[t] + rsi[t-1] / 2 + rsi[t-2] / 4 …`` over `lookback` rows, and the newest momentum."""

        def __init__(self, **params: Any) -> None:
            super().__init__(**params)
            self.lookback = self.params.get("rows", 6)

        def forward(self, windows: FloatArray, columns: list[str]) -> FloatArray:
            total = windows[:, -1, 1].copy()
            for age in range(self.lookback):
                total += windows[:, -1 - age, 0] * 0.5**age
            return total

    @model_registry.register("test.plain")
    class Plain(Saved):
        """As a user writes it: `predict` alone, over whatever symbols the frame has."""

        lookback = 6

        def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
            by_symbol = X["rsi"].groupby(level="symbol")
            total = X["momentum"].copy()
            for age in range(6):
                total += by_symbol.shift(age) * 0.5**age
            return total

    yield
    model_registry.forget(__name__)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def made(key: str = "test.faded", rows: int = 6, **changes: Any) -> ReadyStrategy:
        params = {"rows": rows, "name": changes.pop("name", "one")}
        save_artifact(
            model_registry.create(key, **params), tmp_path / "model", columns=COLUMNS, training=TRAINED,
            rows={EVERY_SYMBOL: np.random.default_rng(0).normal(size=(60, 2))},
        )  # fmt: skip
        model = {"key": key, "artifact": str(tmp_path / "model")}
        return ready_strategy("one", Strategy.model_validate(SETTINGS | {"model": model} | changes))

    return made


def pipeline(strategy: ReadyStrategy, settings: RunSettings = AS_CONFIGURED) -> Pipeline:
    return Pipeline([strategy], Source("bars", 0, "v"), {strategy.name: settings})


def fed(target: Pipeline, records: Sequence[Fetched], size: int = 1_000) -> list[Signal]:
    parts = (records[first : first + size] for first in range(0, len(records), size))
    return [s for part in parts for s in target.feed(Intake(0, 1, "murmur2").read(part).batches).signals]


def bars_of(signals: Sequence[Signal]) -> pd.DataFrame:
    """The bars that signals were made for, as a frame."""
    batch = Intake(0, 1, "murmur2").read(BARS).batches["1m"]
    frame = pd.DataFrame({name: batch.bars[name] for name in ("open", "high", "low", "close", "volume")})
    frame["symbol"], frame["close_time"], frame["offset"] = batch.symbols, batch.bars["time"], batch.offsets
    return frame[frame["offset"].isin([s.provenance.offset for s in signals])].drop(columns="offset")


def test_predictions_are_those_of_a_plain_loop(make: Any) -> None:
    signals = fed(pipeline(make()), BARS)
    features = feature_frame("one", Strategy.model_validate(SETTINGS | {"prediction": "rsi"}), bars_of(signals))
    checked = 0
    for symbol in SYMBOLS:
        rows = features.loc[symbol].to_numpy()
        own = [s.content for s in signals if s.content.symbol == symbol]
        assert len(own) == len(rows) > 20
        for number, content in enumerate(own):
            window = rows[max(0, number - 5) : number + 1]
            known = number >= WARMUP + 5 and not np.isnan(window[:, 0]).any() and not np.isnan(window[-1, 1])
            expected = float(window[-1, 1]) if known else None
            for age in range(6 if known else 0):
                expected += float(window[-1 - age, 0]) * 0.5**age
            assert content.prediction == expected
            checked += known
    assert checked > 100


def test_warm_up_counts_the_rows_that_the_model_looks_back(make: Any) -> None:
    strategy = make()
    assert strategy.warmup == WARMUP + 5
    own = [s.content for s in fed(pipeline(strategy), BARS) if s.content.symbol == "B"]
    assert [c.reason for c in own[:9]] == [f"warming up: bar {n} of 10" for n in range(1, 10)]
    assert "warming up" not in own[9].reason
    assert {(c.signal, c.weight, c.prediction) for c in own[:9]} == {("HOLD", None, None)}
    assert own[9].prediction is not None


@pytest.mark.parametrize("key", ["test.faded", "test.plain"])
@pytest.mark.parametrize("signal", [SETTINGS["signal"], SIZED], ids=["threshold", "with a fold"])
@pytest.mark.parametrize("size", [1, 7])
def test_the_cut_into_batches_does_not_matter(make: Any, key: str, signal: Any, size: int) -> None:
    strategy = make(key, signal=signal)
    assert fed(pipeline(strategy), BARS, size) == fed(pipeline(strategy), BARS)


@pytest.mark.parametrize("signal", [SETTINGS["signal"], SIZED], ids=["threshold", "with a fold"])
@pytest.mark.parametrize("cut", [0, 1, 5, 17, 29, 30, 31, 61, 100, 199])
def test_saved_and_restored_at_any_bar_it_goes_on_to_the_byte(make: Any, signal: Any, cut: int) -> None:
    strategy = make(signal=signal)
    first, second = pipeline(strategy), pipeline(strategy)
    before = fed(first, BARS[:cut])
    second.restore(list(first.capture(cut).snapshots()))
    assert before + fed(second, BARS[cut:]) == fed(pipeline(strategy), BARS)


def test_bars_that_nothing_is_published_for_count_as_well(make: Any) -> None:
    strategy = make()
    silent = pipeline(strategy, RunSettings(publish_from=120))
    assert fed(silent, BARS, 40) == [s for s in fed(pipeline(strategy), BARS) if s.provenance.offset >= 120]


def test_a_model_with_predict_alone_sees_the_same_windows(make: Any) -> None:
    first, second = (fed(pipeline(make(key)), BARS) for key in ("test.faded", "test.plain"))
    values = [[s.content.prediction for s in signals] for signals in (first, second)]
    assert [v is None for v in values[0]] == [v is None for v in values[1]]
    assert [v for v in values[0] if v is not None] == [v for v in values[1] if v is not None]


def test_predict_over_a_frame_gives_the_bits_of_live(make: Any) -> None:
    strategy = make()
    signals = fed(pipeline(strategy), BARS)
    bare = Strategy.model_validate(SETTINGS | {"prediction": "rsi"})
    features = feature_frame("one", bare, bars_of(signals))
    assert strategy.model is not None
    found = strategy.model.predict(features)
    live = pd.Series([s.content.prediction for s in signals], features.index, float)
    assert found.notna().sum() > 100
    assert found.equals(live.rename("prediction"))


def test_another_model_of_the_same_size_keeps_the_state(make: Any) -> None:
    one, other = make(name="one"), make(name="other")
    assert one.model_id != other.model_id
    assert one.layout == other.layout
    assert one.layout != make(rows=7).layout
    assert one.layout != make("test.faded", rows=1).layout
    assert one.layout == make("test.plain").layout
    assert make(signal=SIZED, name="one").layout != make(signal=SIZED, name="other").layout


def test_a_model_that_sees_one_row_has_no_such_state(make: Any) -> None:
    strategy = make(rows=1)
    assert strategy.ring is None
    assert strategy.warmup == WARMUP
    assert strategy.layout == ready_strategy("one", Strategy.model_validate(SETTINGS | {"prediction": "rsi"})).layout


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (
            40_000,
            "the last 40000 rows of 2 columns take 640,000 bytes a symbol, and a snapshot holds 524,288; look back",
        ),
        *((rows, "the model's lookback .* is not a number of rows, from 1 on") for rows in (0, -1, 2.5, True, "six")),
    ],
)
def test_a_lookback_that_cannot_be_is_refused(rows: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=f"strategies.one.model: {fault}"):
        ring_of("one", model_registry.create("test.faded", rows=rows), 2)


def test_a_class_whose_lookback_cannot_be_is_not_registered() -> None:
    class Wrong(Saved, SequenceModel):
        lookback = 0

        def forward(self, windows: FloatArray, columns: list[str]) -> FloatArray:
            return windows[:, -1, 0]

    class Without(Saved, SequenceModel):
        lookback = 3

    with pytest.raises(PluginError, match="lookback = 0 is not a number of rows"):
        model_registry.register("test.wrong")(Wrong)
    with pytest.raises(PluginError, match="a SequenceModel needs `forward`"):
        model_registry.register("test.without")(Without)


def test_it_is_prepared_before_the_first_bar(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one bar of the warm-up fills no window, so the model is called besides: with one window of its lookback."""
    strategy, shapes = make(), []
    forward = strategy.model.forward

    def noted(windows: FloatArray, columns: list[str]) -> FloatArray:
        shapes.append(windows.shape)
        return forward(windows, columns)

    monkeypatch.setattr(strategy.model, "forward", noted)
    prepare([strategy])
    assert shapes == [(1, 6, len(COLUMNS))]


def test_windows_in_blocks_are_those_of_a_plain_slice() -> None:
    """More windows than fit a block: 5 rows of 100,000 columns are 4 MB each."""
    width, rows = 100_000, 17
    values = np.random.default_rng(0).normal(size=(rows, width))
    ring = RowRing(5, width)
    assert BLOCK // ring.state_dtype.itemsize == 4
    wanted = np.array([4, 5, 6, 8, 9, 12, 13, 14, 16], np.int64)
    found = list(ring.run(ring.new_states(1), np.zeros(rows, np.int64), np.arange(1, rows + 1), values, wanted))
    assert [some.tolist() for some, _ in found] == [[4, 5, 6, 8], [9, 12, 13, 14], [16]]
    for some, windows in found:
        for row, window in zip(some, windows, strict=True):
            assert np.array_equal(window, values[row - 4 : row + 1])
