"""The pure core: the same signals however bars are cut into batches, mixed, interrupted, or folded silently."""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.features import feature_registry
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Signal, Snapshot, encode
from streams.consuming.intake import Intake
from tests.support.memory import Fetched, bar, fetched, messy_bars, ready

COUNT = 150
SYMBOLS = ["A", "B", "C"]
BARS = fetched(messy_bars(random.Random(3), SYMBOLS, COUNT))
FEATURES = [
    "technical.rsi",
    "technical.atr",
    {"statistical.momentum": {"window": 7}},
    {"statistical.z_score": {"window": 6}},
]


@pytest.fixture(scope="module", autouse=True)
def windowed_feature() -> Iterator[None]:
    """A plugin that has only `compute`, over its last 5 bars."""

    class Spread(BaseFeature):
        """Mean of high - low over 5 bars."""

        outputs = ("spread",)
        lookback = 5

        def compute(self, data: pd.DataFrame) -> pd.DataFrame:
            return (data["high"] - data["low"] * 0.99).rolling(5).mean().to_frame("spread")

    feature_registry.register("test.spread")(Spread)
    yield
    feature_registry.forget(__name__)


def strategies() -> list[ReadyStrategy]:
    return [
        ready("one", features=FEATURES),
        ready("some", universe=["A"], features=["test.spread"], prediction="spread"),
        ready("slow", interval="5m"),
    ]


def pipeline(*which: ReadyStrategy, **settings: int) -> Pipeline:
    """`settings`: of all its runs."""
    chosen = which or strategies()
    return Pipeline(chosen, Source("bars", 0, "v"), {ready.name: RunSettings(**settings) for ready in chosen})


def fed(target: Pipeline, records: Sequence[Fetched]) -> list[Signal]:
    return target.feed(Intake(0, 1, "murmur2").read(records).batches).signals


def text(signals: Sequence[Signal]) -> list[bytes]:
    """In one order, whatever strategies and batches made of it."""
    return [encode(s) for s in sorted(signals, key=lambda s: (s.content.strategy, s.provenance.offset))]


@cache
def whole() -> list[bytes]:
    return text(fed(pipeline(), BARS))


def states(target: Pipeline) -> dict[str, Snapshot]:
    for group in target.groups.values():
        group.dirty[: len(group.symbols)] = True
    return {f"{s.owner}/{s.symbol}": s for s in target.capture(0).snapshots()}


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_the_cut_into_batches_does_not_matter(size: int) -> None:
    target = pipeline()
    signals = [s for first in range(0, len(BARS), size) for s in fed(target, BARS[first : first + size])]
    assert text(signals) == whole()
    assert states(target) == final_states()


def test_symbols_mixed_are_as_each_alone() -> None:
    alone = []
    for symbol in SYMBOLS:
        target = pipeline()
        alone += fed(target, [record for record in BARS if f'"symbol":"{symbol}"'.encode() in (record.value or b"")])
    assert text(alone) == whole()


def test_strategies_beside_each_other_are_as_each_alone() -> None:
    alone = [signal for strategy in strategies() for signal in fed(pipeline(strategy), BARS)]
    assert text(alone) == whole()


@pytest.mark.parametrize("cut", [*range(0, 30), *range(30, COUNT + 1, 6)])
def test_saved_and_restored_at_any_bar_it_goes_on_to_the_byte(cut: int) -> None:
    first = pipeline()
    before = fed(first, BARS[:cut])
    second = pipeline()
    second.restore(list(first.capture(cut).snapshots()))
    assert text(before + fed(second, BARS[cut:])) == whole()
    assert states(second) == final_states()


@cache
def final_states() -> dict[str, Snapshot]:
    target = pipeline()
    fed(target, BARS)
    return states(target)


def test_a_capture_is_not_moved_by_what_comes_after() -> None:
    target = pipeline()
    fed(target, BARS[:80])
    early = list(target.capture(80).snapshots())
    again = pipeline()
    fed(again, BARS[:80])
    late = again.capture(80)
    fed(again, BARS[80:])
    assert list(late.snapshots()) == early


def test_only_what_changed_is_captured() -> None:
    target = pipeline()
    fed(target, BARS[:80])
    target.capture(80)
    assert list(target.capture(80).snapshots()) == []
    fed(target, fetched([bar("B", 10_000, 100.0)]))
    assert {(s.owner, s.symbol) for s in target.capture(81).snapshots()} == {("one", "B"), (":1m", "B")}


def test_the_gate_comes_last_in_a_capture() -> None:
    """So on a log that breaks off no gate is ahead of a strategy behind it."""
    target = pipeline()
    fed(target, BARS)
    owners = [s.owner for s in target.capture(COUNT).snapshots()]
    assert owners == sorted(owners, key=lambda o: ["one", "some", ":1m", "slow", ":5m"].index(o))


@pytest.mark.parametrize("publish_from", [0, 1, 60, COUNT])
def test_folded_silently_then_published_is_the_end_of_the_whole(publish_from: int) -> None:
    signals = fed(pipeline(publish_from=publish_from), BARS)
    loud = [s for s in fed(pipeline(), BARS) if s.provenance.offset >= publish_from]
    assert text(signals) == text(loud)


def test_bars_before_the_start_time_are_folded_silently() -> None:
    every = fed(pipeline(), BARS)
    start = int(np.median([s.content.time for s in every]))
    assert text(fed(pipeline(start_time=start), BARS)) == text([s for s in every if s.content.time >= start])


def test_a_state_begins_at_its_own_offset() -> None:
    """A strategy that began at record 50 does not know of the bars before, whatever the gate remembers."""
    signals = fed(pipeline(ready("one"), origin_offset=50), BARS)
    assert min(s.provenance.offset for s in signals) >= 50
    assert {s.provenance.origin.offset for s in signals} <= {s.provenance.offset for s in signals}
    first = {s.content.symbol: s for s in reversed(signals)}
    assert all(s.content.gap is None and s.provenance.origin.offset == s.provenance.offset for s in first.values())


def test_bars_that_a_restored_state_includes_are_passed_over() -> None:
    first = pipeline()
    fed(first, BARS[:60])
    second = pipeline()
    second.restore(list(first.capture(60).snapshots()))
    outcome = second.feed(Intake(0, 1, "murmur2").read(BARS).batches)
    assert min(s.provenance.offset for s in outcome.signals) >= 60
    assert outcome.refusals
    assert min(r.offset for r in outcome.refusals) >= 60


@pytest.mark.parametrize(
    ("owner", "changes", "reason"),
    [
        ("one", {"payload": b"?"}, "damaged"),
        (":1m", {"payload": b"?"}, "damaged"),
        ("one", {"layout": "another"}, "another layout"),
        (":1m", {"layout": "another"}, "another layout"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(owner: str, changes: dict[str, Any], reason: str) -> None:
    first = pipeline()
    fed(first, BARS)
    snapshot = next(s for s in first.capture(COUNT).snapshots() if s.owner == owner)
    with pytest.raises(ValueError, match=reason):
        pipeline().restore([msgspec.structs.replace(snapshot, **changes)])


def test_what_happened_to_every_bar_is_counted() -> None:
    records = fetched(
        [
            bar("A", 0, 100.0),
            bar("A", 1, 100.0),
            bar("A", 1, 100.0),
            bar("A", 1, 101.0),
            bar("A", 0, 100.0, interval="5m"),
            bar("Z", 0, 100.0),
            bar("A", 5, 100.0),
            bar("A", 3, 100.0),
        ]
    )
    outcome = pipeline(ready("one", universe=["A"])).feed(Intake(0, 1, "murmur2").read(records).batches)
    counts = {"bars": 3, "repeats": 1, "outside_universe": 1, "other_interval": 1}
    assert {name: count for name, count in outcome.counts.items() if count} == counts
    assert [(r.offset, r.kind) for r in outcome.refusals] == [(3, "correction"), (7, "late")]
    assert [s.content.gap for s in outcome.signals] == [None, 0, 3]
