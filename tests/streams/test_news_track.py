"""Strategies that use news, in a worker that dies and comes back at any point: the oracle is the pipeline over all bars
with all that the log of scores holds in the end.
"""

import asyncio
import random
from typing import Any

import msgspec
import pytest

from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config, Kafka
from schemas.errors import ConfigurationError
from schemas.wire import Signal
from schemas.wire.news import Unknown, decode_news
from streams.owners.side_inputs import news_track
from streams.service.service import check_news
from tests.streams.test_crash import difference
from tests.support.memory import CONFIG, Fetched, Log, fetched, live, messy_bars, ready, undisturbed
from tests.support.scores import RULE, mark, news_strategy, one_symbol, score, writes, written

SYMBOLS = ["A", "B", "C", "D"]
COUNT = 200


def patient(grace: float) -> Config:
    return CONFIG.model_copy(update={"news": CONFIG.news.model_copy(update=RULE | {"grace": grace})})


def unknown(log: Log) -> list[Unknown]:
    found = [r for r in log.of("news.scores") if r.key == b":unknown"]
    return [one for r in found if isinstance(one := decode_news(r.value), Unknown)]


def predictions(log: Log, name: str = "news") -> dict[int, float | None]:
    """By the offset of the bar."""
    signals = [msgspec.json.decode(value, type=Signal) for value in log.signals().values()]
    return {s.provenance.offset: s.content.prediction for s in signals if s.content.strategy == name}


def run(log: Log, bars: list[Fetched], strategies: list[ReadyStrategy], config: Config, **more: Any) -> None:
    asyncio.run(live(log, bars, strategies, random.Random(1), config=config, **more))


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_lives_cut_short_decide_the_same(seed: int, transactional: bool) -> None:
    rng, log = random.Random(seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [ready("one"), news_strategy(), news_strategy("some", universe=["A", "C"], prediction="rsi")]
    scorers = writes(log, iter(written(rng, SYMBOLS, COUNT)), rng, rng.choice([0.2, 1.0]))

    async def lives() -> None:
        for _ in range(rng.randint(1, 8)):
            config = patient(rng.choice([10.0, 1_000.0, 100_000.0]))
            await live(
                log, bars, strategies, rng, dies_at=rng.randint(0, 25), transactional=transactional,
                meanwhile=scorers, config=config,
            )  # fmt: skip
        await live(log, bars, strategies, rng, transactional=transactional, meanwhile=scorers, config=patient(1_000.0))

    asyncio.run(lives())
    assert difference(log.signals(), undisturbed(bars, strategies, log=log)) == {}
    if transactional:
        assert len(log.of("signals")) == len(log.signals())


@pytest.mark.parametrize("seed", range(10))
def test_an_owner_that_is_none_any_more_decides_no_bar_otherwise(seed: int) -> None:
    """Without transactions both write signals and unknowns: the order of the log says which hold."""
    rng, log = random.Random(500 + seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [news_strategy()]
    scorers = writes(log, iter(written(rng, SYMBOLS, COUNT)), rng, 0.5)

    async def lives() -> None:
        for _ in range(3):
            graces = [rng.choice([5.0, 200.0, 2_000.0]) for _ in range(2)]
            deaths = [rng.choice([None, rng.randint(0, 30)]) for _ in graces]
            await asyncio.gather(
                *(
                    live(log, bars, strategies, rng, dies_at=at, meanwhile=scorers, config=patient(grace))
                    for grace, at in zip(graces, deaths, strict=True)
                )
            )
        await live(log, bars, strategies, rng, meanwhile=scorers, config=patient(1_000.0))

    asyncio.run(lives())
    assert difference(log.signals(), undisturbed(bars, strategies, log=log)) == {}


def test_an_outage_of_five_bars_is_unknown_for_exactly_those() -> None:
    bars, log = fetched(one_symbol(20)), Log()
    strategy = news_strategy(prediction="article_volume")
    log.records += [score("a", "A", 2.5), mark(8)]
    run(log, bars[:13], [strategy], patient(1.0))  # bars 8 to 12 close after minute 8
    log.records += [score("b", "A", 13.5), score("c", "A", 13.75), mark(30)]  # back again, and it catches up
    run(log, bars, [strategy], patient(100_000.0))
    expected = dict.fromkeys(range(20), 0.0) | {2: 1.0, 13: 2.0} | dict.fromkeys(range(8, 13))
    assert predictions(log) == expected
    assert sorted((one.first, one.until) for one in unknown(log)) == [(8, 13)]
    assert difference(log.signals(), undisturbed(bars, [strategy], log=log)) == {}


def test_a_strategy_without_news_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what waits fill the memory: what is beyond is read again from the log."""
    monkeypatch.setattr(news_track, "HELD", 30)
    bars, log = fetched(one_symbol(300)), Log()
    plain, news = ready("plain"), news_strategy()
    held: list[int] = []

    def look(worker: Any) -> None:
        held.append(len(worker.news_tracks[0]._recent) if worker.news_tracks else 0)
        if held[-1:] and worker.partitions[0].published == 300 and not any(r.key == b":mark/0" for r in log.records):
            assert len(predictions(log, "plain")) == 300
            assert predictions(log, "news") == {}
            log.records.append(mark(1_000))

    run(log, bars, [plain, news], patient(1e9), meanwhile=look)
    assert max(held) <= 30
    assert len(predictions(log, "news")) == 300
    assert difference(log.signals(), undisturbed(bars, [plain, news], log=log)) == {}


def test_an_article_scored_after_a_close_never_moves_that_bar() -> None:
    """Published before bar 5 closed, and on the log a moment after."""
    bars, strategy = fetched(one_symbol(10)), news_strategy(prediction="article_volume")
    without, planted = Log(), Log()
    without.records += [mark(20)]
    planted.records += [score("late", "A", 6.0 + 1e-4, 0.9), mark(20)]
    for log in (without, planted):
        run(log, bars, [strategy], patient(100_000.0))
    assert predictions(without) == dict.fromkeys(range(10), 0.0)
    assert predictions(planted) == dict.fromkeys(range(10), 0.0) | {6: 1.0}


def test_the_provenance_names_the_last_score_that_counts() -> None:
    log, bars = Log(), fetched(one_symbol(4))
    log.records += [score("a", "A", 1.5), score("b", "A", 1.25, historical=True), score("a", "A", 1.75), mark(9)]
    run(log, bars, [news_strategy()], patient(100_000.0))
    signals = [msgspec.json.decode(value, type=Signal) for value in log.signals().values()]
    told = {s.provenance.offset: (s.provenance.news_offset, s.provenance.historical) for s in signals}
    assert told == {0: (None, False), 1: (1, True), 2: (None, False), 3: (None, False)}


def test_without_a_scorer_all_is_unknown_and_nothing_waits() -> None:
    log, bars = Log(), fetched(one_symbol(4))
    run(log, bars, [news_strategy(prediction="article_volume", news={"scorer": "none"})], patient(100_000.0))
    assert predictions(log) == dict.fromkeys(range(4))
    assert unknown(log) == []


def test_settings_that_cannot_be_are_refused() -> None:
    strategies = [news_strategy()]
    with pytest.raises(ConfigurationError, match="as_is nobody can tell the partition"):
        check_news(patient(1.0).model_copy(update={"kafka": Kafka(partitioner="as_is")}), strategies)
    with pytest.raises(ConfigurationError, match=r"grace of 120 s is not below worker\.stall_timeout"):
        check_news(patient(120.0), strategies)
    check_news(patient(120.0), [ready("one")])
    own = {"interval": "1m", "features": ["technical.rsi"], "prediction": "rsi", "signal": "signal.threshold"}
    with pytest.raises(ValueError, match=r"strategies\.a\.news is not what the section `news` says"):
        Config(news=RULE, strategies={"a": own | {"news": {"scorer": "finbert"}}})
