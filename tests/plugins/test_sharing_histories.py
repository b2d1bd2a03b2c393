"""Strategies of one pipeline with histories of every kind: each is as if it were alone.

Strategies have equal and unequal features, aliases, models and universes; they begin at other offsets, pause, exchange
their models, are restored from snapshots of different age, and fail. Oracle: the same events with each strategy in a
pipeline of its own, where there is nothing to share.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseModel, FloatArray
from plugins.base.bars import BarBatch, between
from plugins.features import BaseFeature, feature_registry
from plugins.fold import FoldFeature
from plugins.fold.row_ring import RowRing
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.prediction.shadow import ReadyShadow
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.parts import ring_of
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Strategy
from schemas.wire import Model, Snapshot, encode
from streams.consuming.intake import Intake
from tests.support.memory import fetched, messy_bars
from tests.support.registries import untouched_registries

SYMBOLS, BARS, HISTORIES = ["A", "B", "C"], 120, 10
THRESHOLD = {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}
SIZED = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 4, "clip_min": -3, "clip_max": 3}


class Change(FoldFeature):
    """What another feature's column changed by."""

    outputs, requires, reads, warmup = ("rsi_change",), ("rsi",), (), 1

    def state(self) -> Any:
        return [("rsi", "f8")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        out.rsi_change = bar.rsi - state.rsi
        state.rsi = bar.rsi


class Brittle(FoldFeature):
    """The number of the bar; it fails when there have been too many."""

    outputs, warmup = ("number",), 0

    def state(self) -> Any:
        return [("count", "i8")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        state.count += 1
        if state.count >= 30:
            raise ValueError("too many bars")
        out.number = float(state.count)


class Mean(BaseFeature):
    """Of the last closes; needs only `compute`."""

    outputs, lookback = ("mean",), 4

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        if self.params.get("largest", 1e9) < data["close"].iloc[-1]:
            raise OverflowError("too large")
        return data[["close"]].rolling(3).mean().rename(columns={"close": "mean"})


class Sum(BaseModel):
    """The row's sum, times a factor; it writes into what it is given, as foreign code may."""

    key, batch_invariant = "test.sum", True

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        raise NotImplementedError

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        windows *= self.params["factor"]
        predictions: FloatArray = windows.sum(axis=(1, 2))
        if (predictions > self.params.get("largest", 1e9)).any():
            raise ArithmeticError("too large a sum")
        windows[:] = np.nan
        return predictions


def model(factor: float, lookback: int = 1, largest: float = 1e9) -> tuple[BaseModel, Model]:
    made = Sum(factor=factor, largest=largest)
    made.lookback = lookback
    return made, Model("test.sum", f"{factor}/{lookback}/{largest}".ljust(64, "0"))


MODELS = [
    None, None, model(1.0), model(0.5), model(1.0, 3), model(0.5, 3), model(1.0, 1, 320.0), model(1.0, 3, 900.0)
]  # fmt: skip
FEATURES: list[Any] = [
    {"technical.rsi": {"period": 4, "as": "fast"}}, {"statistical.momentum": {"window": 3}}, "test.change",
    "test.mean", {"test.mean": {"largest": 102.0, "as": "low"}}, "test.brittle",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with untouched_registries():
        for name, feature in {"change": Change, "brittle": Brittle, "mean": Mean}.items():
            feature_registry.register(f"test.{name}")(feature)
        yield


def strategy(rng: random.Random, name: str) -> ReadyStrategy:
    features = [{"technical.rsi": {"period": 4}}, *rng.sample(FEATURES, rng.choice([0, 1, 1, 2, 3]))]
    signal, given = rng.choice([THRESHOLD, THRESHOLD, SIZED]), rng.choice(MODELS)
    settings = {
        "interval": "1m", "features": features, "signal": signal, "start": "earliest",
        "universe": rng.choice(["*", "*", "*", ["A", "C"]]),
    }  # fmt: skip
    if given is None:
        return ready_strategy(name, Strategy.model_validate(settings | {"prediction": "rsi"}))
    settings |= {"model": {"key": "test.sum", "artifact": "none"}}
    return ready_strategy(name, Strategy.model_validate(settings), model=given)


def shadow_of(ready: ReadyStrategy) -> ReadyShadow:
    """A second model, which fails where the first one of its kind would."""
    other, name = model(2.0, 3, 700.0)
    ring: RowRing | None = ring_of(ready.name, other, len(ready.columns))
    warmup = max(bound.warmup for bound in ready.features) + 2
    return ReadyShadow(ready.name, tuple(ready.columns), other, name, ring, warmup)


@dataclass
class Plan:
    """What becomes of the strategies: `restarts` says from which snapshots each goes on, by their age."""

    strategies: list[ReadyStrategy]
    settings: dict[str, RunSettings]
    cuts: list[int]
    events: dict[int, list[tuple[str, Any]]] = field(default_factory=dict)
    restarts: dict[int, dict[str, int]] = field(default_factory=dict)


def plan(rng: random.Random) -> Plan:
    kinds = [strategy(rng, "kind") for _ in range(4)]
    own = [replace(rng.choice(kinds), name=f"s{number}") for number in range(6)]
    settings = {
        one.name: RunSettings(
            origin_offset=rng.choice([0, 0, 0, 25]), publish_from=rng.choice([0, 0, 40]), paused=rng.random() < 0.1,
            shadow=shadow_of(one) if rng.random() < 0.3 else None,
        )
        for one in own
    }  # fmt: skip
    found = Plan(own, settings, sorted(rng.sample(range(1, BARS), 12)))
    for cut in found.cuts:
        for one in own:
            if rng.random() < 0.2:
                found.events.setdefault(cut, []).append((one.name, rng.choice(["pause", "resume", "exchange"])))
    for cut in rng.sample(found.cuts[4:], 2):
        found.restarts[cut] = {one.name: rng.choice([0, 0, 1, 2]) for one in own}
    return found


class Life:
    """A pipeline with some of the plan's strategies, from the first bar to the last."""

    def __init__(self, plan: Plan, names: set[str]) -> None:
        self.plan = plan
        self.strategies = {one.name: one for one in plan.strategies if one.name in names}
        self.output: dict[str, list[bytes]] = {name: [] for name in names}
        self.failed: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
        self.paused = {name: plan.settings[name].paused for name in names}
        self.rounds: list[dict[tuple[str, str], Snapshot]] = []
        self.pipeline = self._begun()

    def _begun(self) -> Pipeline:
        settings = {name: replace(self.plan.settings[name], paused=self.paused[name]) for name in self.strategies}
        return Pipeline(self.strategies.values(), Source("bars", 0, "v"), settings, isolated=True)

    def run(self, batches: dict[str, BarBatch]) -> None:
        position = 0
        for cut in [*self.plan.cuts, BARS]:
            self._feed(between(batches, position, cut))
            position = cut
            stored = {(one.owner, one.symbol): one for one in self.pipeline.capture(cut).snapshots()}
            self.rounds.append((self.rounds[-1] if self.rounds else {}) | stored)
            for name, event in self.plan.events.get(cut, []):
                if name in self.strategies:
                    self._happen(name, event)
            if cut in self.plan.restarts:
                position = self._restart(self.plan.restarts[cut])

    def _feed(self, batches: dict[str, BarBatch]) -> None:
        outcome = self.pipeline.feed(batches)
        for signal in outcome.signals:
            self.output[signal.content.strategy].append(encode(signal))
        for prediction in outcome.shadows:
            self.output[prediction.strategy].append(encode(prediction))
        for failure in outcome.failures:
            self.failed[failure.strategy].append((failure.offset, failure.reason))

    def _happen(self, name: str, event: str) -> None:
        run = self.pipeline.runs[name]
        if event == "exchange":
            if run.strategy.model is not None and run.strategy.fold is None and run.strategy.ring is None:
                made, called = model(0.25)
                self.strategies[name] = replace(run.strategy, model=made, model_id=called, config_hash="another")
                run.exchange(self.strategies[name])
        else:
            self.paused[name] = event == "pause"
            getattr(run, event)()

    def _restart(self, ages: dict[str, int]) -> int:
        """From snapshots of different rounds; the memory of repeats is that of the oldest: none is ever ahead."""
        oldest = self.rounds[-1 - max(ages.values())]
        chosen = [one for (owner, _), one in oldest.items() if owner.startswith(":")]
        for name in self.strategies:
            chosen += [one for (owner, _), one in self.rounds[-1 - ages[name]].items() if owner == name]
        self.pipeline = self._begun()
        self.pipeline.restore(chosen)
        return self.plan.cuts[len(self.rounds) - 1 - max(ages.values())]


def batches(rng: random.Random) -> dict[str, BarBatch]:
    return Intake(0, 1, "murmur2").read(fetched(messy_bars(rng, SYMBOLS, BARS))).batches


def states(life: Life, name: str) -> dict[tuple[str, str], Snapshot]:
    return {key: one for key, one in life.rounds[-1].items() if key[0] == name}


@dataclass
class Seen:
    """Over all histories; where there is too little of something, they hold nothing."""

    shared: int = 0
    failed: int = 0
    signals: int = 0


SEEN = Seen()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_each_is_as_if_it_were_alone(seed: int) -> None:
    rng = random.Random(seed)
    history, bars = plan(rng), batches(rng)
    together = Life(history, {one.name for one in history.strategies})
    together.run(bars)
    for one in history.strategies:
        alone = Life(history, {one.name})
        alone.run(bars)
        assert together.output[one.name] == alone.output[one.name]
        assert together.failed[one.name] == alone.failed[one.name]
        assert states(together, one.name) == states(alone, one.name)
    features = [feature for run in together.pipeline.runs.values() for feature in run.lineage.features]
    SEEN.shared += len(features) - len(set(map(id, features)))
    SEEN.failed += sum(map(bool, together.failed.values()))
    SEEN.signals += sum(map(len, together.output.values()))
    if seed == HISTORIES - 1:
        assert SEEN.shared > HISTORIES
        assert SEEN.failed > HISTORIES
        assert SEEN.signals > 100 * HISTORIES
