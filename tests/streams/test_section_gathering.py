"""Cross-sections whose owner predicts, as they are closed: it dies, stops and comes back at any point, and under
another configuration. Oracles: the fold over the log in one go, and pandas over the records of the log.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pandas as pd
import pytest

from plugins.pipeline.cross_sections.cross_section import LATE
from plugins.pipeline.cross_sections.deciding import OTHER
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.canonical import config_hash
from schemas.configuration import Strategy
from schemas.wire import Applied, Origin, Signal, SignalContent
from schemas.wire.cross_sections import Closing, Prediction, decode_prediction_record
from tests.streams.test_gathering import exactly_one_each
from tests.support.gathered import RANKING, as_the_log_says, gather, predictions, ranking, records
from tests.support.memory import CONFIG, Log

FEATURES: list[Any] = [
    {"section.zscore": {"column": "momentum", "as": "z"}},
    {"statistical.momentum": {"window": 2}},
    {"section.rank": {"column": "momentum"}},
]


def sectioned(**changes: Any) -> ReadyStrategy:
    return ranking(**({"features": FEATURES, "prediction": "z"} | changes))


def contents(log: Log) -> dict[tuple[str, int], SignalContent]:
    signals = [msgspec.json.decode(value, type=Signal).content for value in log.signals().values()]
    return {(content.symbol, content.time): content for content in signals}


def of_log(log: Log) -> tuple[dict[tuple[str, int], Prediction], dict[int, Closing]]:
    """The first of each."""
    rows: dict[tuple[str, int], Prediction] = {}
    closings: dict[int, Closing] = {}
    for value in (decode_prediction_record(record.value) for record in records(log)):
        if isinstance(value, Prediction):
            rows.setdefault((value.symbol, value.time), value)
        elif isinstance(value, Closing) and value.time > max(closings, default=-1):
            closings[value.time] = value
    return rows, closings


def expected(log: Log) -> dict[tuple[str, int], float]:
    """By pandas: the z-score among the members of the closing that are of its configuration."""
    rows, closings = of_log(log)
    found: dict[tuple[str, int], float] = {}
    for time, closing in closings.items():
        members = {symbol: rows[symbol, time] for symbol in closing.members}
        values = pd.Series({
            symbol: row.columns["momentum"] for symbol, row in members.items()
            if isinstance(row.columns, dict) and row.config_hash == closing.config_hash
        }, dtype="float64")  # fmt: skip
        z = (values - values.mean()) / values.std()
        found |= {(symbol, time): value for symbol, value in z.dropna().items()}
    return found


def check(log: Log, came: Sequence[Prediction], known: Sequence[ReadyStrategy]) -> None:
    assert log.signals() == as_the_log_says(log, known)
    exactly_one_each(log, list(came))
    made = {at: one.prediction for at, one in contents(log).items() if one.prediction is not None}
    assert made == pytest.approx(expected(log), rel=1e-9, abs=1e-9)
    assert made


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_lives_cut_short_lose_nothing(seed: int, transactional: bool) -> None:
    rng, log, strategy = random.Random(seed), Log(), sectioned()
    came = predictions(rng, 14, strategy)
    coming = list(came)

    async def run() -> None:
        for _ in range(rng.randint(2, 8)):
            await gather(
                log, [strategy], coming, rng, dies_at=rng.randint(0, 15), transactional=transactional,
                stops_early=rng.random() < 0.3,
            )  # fmt: skip
        await gather(log, [strategy], coming, rng, transactional=transactional)

    asyncio.run(run())
    check(log, came, [strategy])
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


def test_what_is_late_or_warms_up_has_no_prediction_and_does_not_count() -> None:
    rng, log, strategy = random.Random(3), Log(), sectioned()
    came = predictions(rng, 30, strategy)
    asyncio.run(gather(log, [strategy], list(came), rng, pace=2.0))
    check(log, came, [strategy])
    by_reason: dict[str, set[Any]] = {}
    for content in contents(log).values():
        if content.prediction is None:
            by_reason.setdefault(content.reason, set()).add((content.signal, content.weight))
    assert by_reason.keys() >= {LATE, "warming up: bar 1 of 3", "warming up: bar 2 of 3"}
    assert set.union(*by_reason.values()) == {("HOLD", None)}
    rows, closings = of_log(log)
    assert {closing.predicts for closing in closings.values()} == {True}
    assert all(row.prediction is None for row in rows.values())
    shown = [row.columns for row in rows.values() if isinstance(row.columns, dict)]
    assert {tuple(columns) for columns in shown} == {("momentum",)}


@pytest.mark.parametrize("seed", range(6))
def test_a_rolling_deployment_has_one_history(seed: int) -> None:
    """Partitions go over to another configuration one after the other, owners too: nothing is mixed, and all is
    said.
    """
    rng, log = random.Random(seed), Log()
    old, new = sectioned(), sectioned(prediction="momentum.rank", execution={"weight": 0.5})
    before, after = predictions(rng, 24, old), predictions(random.Random(seed), 24, new)
    cut = {partition: rng.randint(8, 16) for partition in (0, 1)}
    first = min(row.time for row in before)
    changed = {(row.symbol, row.time): row for row in after}
    came = [
        changed.get((row.symbol, row.time), row)
        if row.time - first > 60_000 * cut[row.provenance.partition] else row
        for row in before
    ]  # fmt: skip
    coming, configured = list(came), [old, new]

    async def run() -> None:
        for number in range(4):
            mine = configured[number // 2]
            await gather(
                log, [mine], coming, rng, dies_at=rng.randint(5, 25), transactional=True,
                requested=configured if number else (),
            )  # fmt: skip
        await gather(log, [new], coming, rng, transactional=True, requested=[old])

    asyncio.run(run())
    assert log.signals() == as_the_log_says(log, configured)
    exactly_one_each(log, came)
    rows, closings = of_log(log)
    assert {closing.config_hash for closing in closings.values()} == {old.config_hash, new.config_hash}
    for (symbol, time), content in contents(log).items():
        row, closing = rows[symbol, time], closings.get(time)
        if closing and symbol in closing.members and row.config_hash != closing.config_hash:
            assert (content.signal, content.prediction, content.reason) == ("HOLD", None, OTHER)
            assert content.config_hash == row.config_hash


def settings(**changes: Any) -> Strategy:
    plain = {"interval": "1m", "universe": list("ABCD"), "features": FEATURES, "prediction": "z", "start": "earliest"}
    return Strategy.model_validate(plain | {"signal": RANKING} | changes)


@pytest.mark.parametrize("is_there", [False, True, "of other code"])
def test_an_owner_of_another_configuration_decides_what_was_closed_before(
    is_there: bool | str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without transactions a closing may wait for its signals when its owner dies. The next one makes the strategy
    again of what `applied` says, also where a plugin's code was mended since; where it cannot, it stops.
    """
    rng, log = random.Random(5), Log()
    old, new = ready_strategy("ranked", settings()), ready_strategy("ranked", settings(prediction="momentum.rank"))
    if is_there == "of other code":
        new, features = old, [dict(old.config["features"][0], source="0" * 64), *old.config["features"][1:]]
        config = old.config | {"features": features}
        old = replace(old, config=config, config_hash=config_hash(config))
    coming = predictions(rng, 6, old)
    asyncio.run(gather(log, [old], coming, rng, pace=1.0))
    log.records[:] = [record for record in log.records if record.topic == "predictions"]
    entry = Applied("ranked", "bars", 0, 0, Origin(0, 0), 0, old.config_hash, old.config, layout=old.layout)
    asyncio.run(
        gather(
            log, [new], coming, rng, pace=1.0, applied={("ranked", old.config_hash): entry} if is_there else {},
            config=CONFIG.model_copy(update={"strategies": {"ranked": settings(prediction="momentum.rank")}}),
        )
    )  # fmt: skip
    stopped = f"closed under the configuration {old.config_hash}, whose features and model predict it" in caplog.text
    assert stopped is not bool(is_there)
    assert log.signals() == (as_the_log_says(log, [old]) if is_there else {})
    assert bool(log.signals()) is bool(is_there)
