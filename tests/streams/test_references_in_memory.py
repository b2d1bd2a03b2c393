"""Strategies with references, in a worker that dies and comes back at any point: the oracle is the pipeline over all
bars with all that the log of side inputs holds in the end.
"""

import asyncio
import random
from typing import Any

import msgspec
import pytest

from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Signal
from schemas.wire.side_inputs import Absent, ReferenceBar, decode_side_input
from tests.streams.test_crash import difference
from tests.support.memory import CONFIG, MINUTE, Fetched, Log, bar, fetched, live, messy_bars, ready, undisturbed

SYMBOLS = ["A", "B", "C", "SPY"]
FIRST = 1_380_000_000_000


def patient(grace: float) -> Config:
    worker = CONFIG.worker.model_copy(update={"reference_grace": grace})
    return CONFIG.model_copy(update={"worker": worker})


def with_reference(name: str = "beside", **changes: Any) -> ReadyStrategy:
    features = [
        "technical.rsi",
        {"relative.return": {"window": 1, "with": "SPY"}},
        {"relative.beta": {"window": 5, "min_periods": 3, "with": dict.fromkeys("ABC", "SPY"), "stale": "last"}},
    ]
    signal = {"key": "signal.threshold", "buy_threshold": 0.001, "sell_threshold": -0.001}
    return ready(name, **({"features": features, "prediction": "relative_return", "signal": signal} | changes))


def said(log: Log) -> list[ReferenceBar | Absent]:
    return [decode_side_input(record.value) for record in log.of("side.inputs")]


def predictions(log: Log, name: str = "beside") -> dict[tuple[str, int], float | None]:
    """By symbol and the minutes from `FIRST` to the close."""
    signals = [msgspec.json.decode(value, type=Signal).content for value in log.signals().values()]
    return {(s.symbol, (s.time - FIRST) // MINUTE): s.prediction for s in signals if s.strategy == name}


def run(log: Log, bars: list[Fetched], strategies: list[ReadyStrategy], config: Config, **more: Any) -> None:
    asyncio.run(live(log, bars, strategies, random.Random(1), config=config, **more))


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_lives_cut_short_decide_the_same(seed: int, transactional: bool) -> None:
    rng, log = random.Random(seed), Log()
    bars = fetched([*messy_bars(rng, SYMBOLS, 200), bar("A", 10_000, 100.0)])  # the last one has no reference
    strategies = [ready("one"), with_reference(), with_reference("some", universe=["A", "C"], prediction="beta")]

    async def lives() -> None:
        for _ in range(rng.randint(1, 8)):
            config = patient(rng.choice([10.0, 1_000.0, 100_000.0]))
            dies_at = rng.randint(0, 25)
            await live(log, bars, strategies, rng, dies_at=dies_at, transactional=transactional, config=config)
        await live(log, bars, strategies, rng, transactional=transactional, config=patient(1_000.0))

    asyncio.run(lives())
    assert difference(log.signals(), undisturbed(bars, strategies, log=log)) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())
    assert {type(record) for record in said(log)} == {ReferenceBar, Absent}


def test_a_bar_waits_for_the_reference_of_its_time() -> None:
    """By hand: SPY comes after the bars that need it, and once not at all."""
    closes = {"A": [100.0, 110.0, 121.0, 121.0], "SPY": [50.0, 51.0, None, 52.02]}
    rows = [bar(s, n, closes[s][n]) for n in range(4) for s in ("A", "SPY") if closes[s][n] is not None]
    bars, log = fetched(rows), Log()
    run(log, bars, [with_reference(universe=["A"])], patient(1e9))
    found = predictions(log)
    assert found["A", 1] is None
    assert found["A", 2] == pytest.approx(1.1 - 51.0 / 50.0)
    assert found["A", 3] is found["A", 4] is None  # SPY has no bar of minute 3, at one end or the other
    assert not [record for record in said(log) if isinstance(record, Absent)]  # a newer one told as much


def test_after_the_grace_the_log_says_that_it_is_absent_before_it_counts() -> None:
    rows = [bar("A", n, 100.0 + n) for n in range(6)] + [bar("SPY", n, 50.0 + n) for n in range(3)]
    rows.sort(key=lambda row: row["close_time"])
    bars, log = fetched(rows), Log()
    strategy = with_reference(universe=["A"])
    run(log, bars, [strategy], patient(100.0))
    late = [
        *bars,
        *(
            Fetched(len(bars) + n, r.value, r.key)
            for n, r in enumerate(fetched([bar("SPY", 3, 53.0), bar("SPY", 5, 55.0)]))
        ),
    ]
    absent = [record for record in said(log) if isinstance(record, Absent)]
    assert {record.reference for record in absent} == {"SPY"}
    assert min(record.first for record in absent) == 6  # the bar of minute 3, the first without one
    before = log.signals()
    run(log, late, [strategy], patient(100.0))
    assert before == log.signals()  # they came too late, for ever
    assert difference(log.signals(), undisturbed(late, [strategy], log=log)) == {}
    assert predictions(log)["A", 4] is None


def test_a_strategy_without_a_reference_never_waits() -> None:
    bars, log = fetched([bar("A", n, 100.0 + n) for n in range(30)]), Log()
    ahead: list[bool] = []

    def look(worker: Any) -> None:
        if worker.news_tracks:
            ahead.append(worker.partitions[0].position == 30 and worker.news_tracks[0].part.position == 0)

    strategies = [ready("plain"), with_reference()]
    run(log, bars, strategies, patient(2_000.0), meanwhile=look)
    assert any(ahead)
    assert len(predictions(log, "plain")) == len(predictions(log)) == 30
    assert set(predictions(log).values()) == {None}
