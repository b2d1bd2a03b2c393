"""A shadow beside a strategy, in lives that are cut short: no signal changes, and it says the same bytes again.

Oracles: the signals of a pipeline without a shadow; the predictions of a strategy that has the shadow for its model.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from plugins.base import BaseModel, FloatArray
from plugins.fold.row_ring import RowRing
from plugins.fold.sequence import SequenceModel
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.prediction.shadow import ReadyShadow, ready_shadow
from plugins.pipeline.strategy_run import Source
from plugins.strategy.parts import ring_of
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import ModelUse, Strategy
from schemas.errors import ArtifactError, ConfigurationError
from schemas.wire import Model, ShadowPrediction, Signal, encode
from streams.consuming.intake import Intake
from streams.owners.shadows import Shadows
from tests.streams.test_crash import COUNT, SYMBOLS, difference
from tests.support.memory import Fetched, Log, fetched, live, messy_bars, ready, undisturbed, with_shadows
from tests.support.swaps import NAME, settings, shelf, with_model

LOOKBACK = 6
MODEL, OTHER = with_model("a"), ready("plain", universe=["A", "C"])


class Looking(SequenceModel):
    """The oldest row against the newest: a row too many or too few in the ring is seen."""

    key, lookback, batch_invariant = "test.looking", LOOKBACK, True

    def forward(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        return windows[:, 0, 0] * 0.001 - windows[:, -1, 1]


class Moody(BaseModel):
    """Fails at some rows, and spoils what it is given."""

    key = "test.moody"

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        if (rows[:, 0] > 52).any():
            rows[:], columns[:] = np.nan, []
            raise LookupError(f"none of {len(rows)} rows")
        return rows[:, 0] * 2


def shadow(model: BaseModel) -> ReadyShadow:
    ring = RowRing(LOOKBACK, 2) if model.lookback > 1 else None
    warmup = MODEL.warmup + model.lookback - 1
    return ReadyShadow(NAME, tuple(MODEL.columns), model, Model(model.key, "5" * 64), ring, warmup)


def shadows(model: BaseModel) -> Shadows:
    return Shadows({NAME: shadow(model)})


def row_model() -> BaseModel:
    model = with_model("b").model
    assert model is not None
    return model


def promoted(model: BaseModel) -> ReadyStrategy:
    """The strategy with the shadow in its model's place."""
    one = shadow(model)
    return replace(MODEL, model=model, ring=one.ring, warmup=one.warmup)


def said_at_once(bars: Sequence[Fetched], model: BaseModel) -> dict[str, bytes]:
    pipeline = Pipeline([MODEL], Source("bars", 0, "v"), with_shadows(shadows(model)))
    outcome = pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches)
    return {f"{said.strategy} {said.symbol} {said.time}": encode(said) for said in outcome.shadows}


async def lives(log: Log, bars: Sequence[Fetched], rng: random.Random, transactional: bool, model: BaseModel) -> None:
    """In some of them the strategy is not there, and is folded by itself in the next one."""
    for _ in range(rng.randint(1, 8)):
        some, dies_at = [MODEL, OTHER] if rng.random() < 0.7 else [OTHER], rng.randint(0, 25)
        await live(log, bars, some, rng, dies_at=dies_at, transactional=transactional, shadows=shadows(model))
    await live(log, bars, [MODEL, OTHER], rng, transactional=transactional, shadows=shadows(model))


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_shadow_changes_no_signal_and_says_the_same_again(seed: int, transactional: bool) -> None:
    rng, log = random.Random(7000 + seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    model = [row_model(), Looking(), Moody()][seed % 3]
    asyncio.run(lives(log, bars, rng, transactional, model))
    assert difference(log.signals(), undisturbed(bars, [MODEL, OTHER])) == {}
    assert difference(log.shadows(), said_at_once(bars, model)) == {}
    if transactional:
        assert len(log.of("predictions.shadow")) == len(log.shadows())


def test_a_shadow_is_no_part_of_what_takes_effect() -> None:
    given = settings(shelf())
    use = ModelUse(key="ml.lightgbm", artifact=shelf() / "b")
    shadowed = given.model_copy(update={"shadow": use})
    made = ready_strategy(NAME, shadowed)
    assert (made.config, made.config_hash, made.layout) == (MODEL.config, MODEL.config_hash, MODEL.layout)
    found = ready_shadow(made, shadowed)
    assert found
    assert found.model_id == with_model("b").model_id
    assert ready_shadow(made, given) is None
    with pytest.raises(ArtifactError, match=r"a model of ml.lightgbm, and the strategy wants ml.xgboost"):
        ready_shadow(made, given.model_copy(update={"shadow": use.model_copy(update={"key": "ml.xgboost"})}))
    with pytest.raises(ValueError, match="`shadow` stands beside a `model`; give both"):
        Strategy.model_validate(shadowed.model_dump() | {"model": None, "prediction": "rsi"})


def test_its_rows_must_fit_into_the_snapshot_beside_the_models_own() -> None:
    model = Looking()
    model.lookback = 20_000
    assert ring_of("s", model, 2, "shadow") is not None
    with pytest.raises(ConfigurationError, match=r"strategies.s.shadow: the last 20000 rows .* holds 224,288; look"):
        ring_of("s", model, 2, "shadow", taken=300_000)


@pytest.mark.parametrize("model", [row_model(), Looking()])
def test_it_predicts_what_it_would_predict_in_force(model: BaseModel) -> None:
    bars = fetched(messy_bars(random.Random(1), SYMBOLS, COUNT))
    signals = [msgspec.json.decode(value, type=Signal) for value in undisturbed(bars, [MODEL]).values()]
    in_force = [msgspec.json.decode(value, type=Signal) for value in undisturbed(bars, [promoted(model)]).values()]
    said = [msgspec.json.decode(value, type=ShadowPrediction) for value in said_at_once(bars, model).values()]
    assert [(s.symbol, s.time, s.offset, s.prediction, s.model) for s in said] == [
        (s.content.symbol, s.content.time, s.provenance.offset, s.content.prediction, s.content.model) for s in signals
    ]
    assert [(s.shadow, s.fault) for s in said] == [(s.content.prediction, None) for s in in_force]
    assert sum(s.shadow is not None for s in said) > 100


def test_where_it_fails_the_rows_beside_it_do_not_suffer() -> None:
    bars = fetched(messy_bars(random.Random(2), SYMBOLS, COUNT))
    beside = shadows(Moody())
    pipeline = Pipeline([MODEL], Source("bars", 0, "v"), with_shadows(beside))
    outcome = pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches)
    failed = [said for said in outcome.shadows if said.fault]
    assert {(said.shadow, said.fault) for said in failed} == {(None, "LookupError")}
    assert sum(said.shadow is not None for said in outcome.shadows) > 20
    standing = beside.status()[NAME]
    assert standing["failures"] == len(failed) > 20
    assert standing["fault"].startswith("LookupError: none of ")


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_shadows_come_and_go_and_the_strategy_knows_nothing_of_it(seed: int, transactional: bool) -> None:
    """One that joins begins with the rows from there on: what it says then is what it would say in force."""
    rng, log = random.Random(8000 + seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))

    async def run() -> None:
        reached = 0
        for _ in range(rng.randint(3, 8)):
            reached = rng.randint(reached, COUNT)
            beside = rng.choice([None, shadows(Looking()), shadows(Moody()), Shadows({}, {NAME: "it is not there"})])
            await live(log, bars[:reached], [MODEL], rng, dies_at=rng.choice([None, rng.randint(0, 25)]),
                       transactional=transactional, shadows=beside)  # fmt: skip
        await live(log, bars, [MODEL], rng, transactional=transactional)

    asyncio.run(run())
    assert difference(log.signals(), undisturbed(bars, [MODEL])) == {}
    assert [entry.offset for entry in log.stored().history[NAME]] == [0]
    expected = said_at_once(bars, Looking())
    for record in log.of("predictions.shadow"):
        said = msgspec.json.decode(record.value or b"", type=ShadowPrediction)
        if said.shadow is not None and said.shadow_model.key == "test.looking":
            assert record.value == expected[f"{said.strategy} {said.symbol} {said.time}"]
