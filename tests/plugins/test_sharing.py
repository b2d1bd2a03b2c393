"""Features that strategies have alike are computed once a batch, and nothing that is published or stored changes.

Oracle: each strategy in a pipeline of its own.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pandas as pd
import pytest

from plugins.base.bars import between
from plugins.features import BaseFeature, feature_registry
from plugins.fold import gate
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.states import history
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Snapshot, encode
from streams.consuming.intake import Intake
from tests.support.memory import Fetched, bar, fetched, messy_bars, ready
from tests.support.registries import untouched_registries

SIGNAL = {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}


class Counted(BaseFeature):
    """The mean close, and how often that was asked for."""

    lookback = 4
    asked: ClassVar[int] = 0

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        Counted.asked += 1
        return data[["close"]].rolling(self.params.get("window", 3)).mean().rename(columns={"close": "mean"})


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with untouched_registries():
        feature_registry.register("test.counted")(Counted)
        yield


def strategies() -> list[ReadyStrategy]:
    feature, other = {"test.counted": {"window": 3}}, {"test.counted": {"window": 2}}
    return [
        ready("one", features=[feature], prediction="mean"),
        ready("two", features=["technical.rsi", feature], signal=SIGNAL),
        ready("some", features=[feature], prediction="mean", universe=["A", "C"]),
        ready("other", features=[other], prediction="mean"),
        ready("slow", features=[feature], prediction="mean", interval="5m"),
    ]


def fed(pipeline: Pipeline, bars: list[Fetched]) -> tuple[set[bytes], int]:
    """Signals, and how often the feature was asked."""
    intake, found = Intake(0, 1, "murmur2"), set[bytes]()
    before = Counted.asked
    for first in range(0, len(bars), 23):
        found |= {encode(signal) for signal in pipeline.feed(intake.read(bars[first : first + 23]).batches).signals}
    return found, Counted.asked - before


def states(pipeline: Pipeline, names: set[str]) -> dict[tuple[str, str], Snapshot]:
    return {(s.owner, s.symbol): s for s in pipeline.capture(0).snapshots() if s.owner in names}


def test_it_is_computed_once_and_changes_nothing() -> None:
    bars, source = fetched(messy_bars(random.Random(5), list("ABCD"), 90)), Source("bars", 0, "v")
    together = Pipeline(strategies(), source)
    found, asked = fed(together, bars)
    times, expected, kept = {}, set[bytes](), {}
    for strategy in strategies():
        alone = Pipeline([strategy], source)
        signals, times[strategy.name] = fed(alone, bars)
        expected |= signals
        kept |= states(alone, {strategy.name})
    assert found == expected
    assert states(together, {strategy.name for strategy in strategies()}) == kept
    assert times["one"] == times["two"] > times["some"] > 0
    # those that see other symbols see other batches
    assert asked == times["one"] + times["some"] + times["other"] + times["slow"]


def test_not_with_another_origin() -> None:
    """Even where the windows hold the same bars, the states tell how many there were."""
    bars, source = fetched(messy_bars(random.Random(6), ["A"], 45)), Source("bars", 0, "v")
    both = [ready(name, features=["test.counted"], prediction="mean") for name in ("one", "late")]
    settings = {"late": RunSettings(origin_offset=20)}
    together, alone = Pipeline(both, source, settings), Pipeline(both[1:], source, settings)
    found, asked = fed(together, bars)
    late, more = fed(alone, bars)
    first, other = fed(Pipeline(both[:1], source), bars)
    assert found == first | late
    assert asked == other + more
    assert states(together, {"late"}) == states(alone, {"late"})


def test_it_goes_on_when_a_model_is_exchanged() -> None:
    bars, source = fetched(messy_bars(random.Random(7), list("AB"), 40)), Source("bars", 0, "v")
    both = [ready(name, features=["test.counted"], prediction="mean") for name in ("one", "two")]
    together = Pipeline(both, source)
    again = ready("two", features=["test.counted"], prediction="mean", signal=SIGNAL)
    together.runs["two"].exchange(replace(again))
    assert fed(together, bars)[1] == fed(Pipeline(both[:1], source), bars)[1]


def test_one_bar_and_a_chunk_run_the_same_compiled_code() -> None:
    """A worker tries one bar before it starts: nothing may be left to be compiled under live bars."""
    pipeline = Pipeline([ready("one")], Source("bars", 0, "v"))
    batches = Intake(0, 1, "murmur2").read(fetched(bar("A", minute, 100.0) for minute in range(6))).batches
    compiled = history._take, gate._judge
    pipeline.feed(between(batches, 0, 1))
    before = [list(function.signatures) for function in compiled]
    pipeline.feed(between(batches, 1, 4))
    last = between(batches, 4, 6)
    for values in (last["1m"].bars, last["1m"].offsets):
        values.flags.writeable = False
    assert len(pipeline.feed(last).signals) == 2
    assert [list(function.signatures) for function in compiled] == before
