"""Strategies that use news in a real worker on a real broker, killed, with a scorer that falls silent in between."""

import asyncio
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from backtest.explain.explain import explain_many
from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.wire import Signal
from schemas.wire.news import Unknown, decode_news
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.support.live import (
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    run_to_end,
    strategy,
    wait_for,
    write_config,
)
from tests.support.scores import FEATURES_OF_NEWS, scored, send_scores, with_section

PATIENCE = 240.0
STRATEGIES = {"plain": strategy(), "news": strategy(**FEATURES_OF_NEWS)}


def unknown_bars(config: Config) -> set[tuple[int, int]]:
    """Partition and offset of the bars that the log says were decided without news."""
    found = [decode_news(record.value) for record in records(config, "news.scores")]
    return {(u.partition, at) for u in found if isinstance(u, Unknown) for at in range(u.first, u.until)}


def signals(config: Config, name: str) -> list[Signal]:
    every = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    return [signal for signal in every if signal.content.strategy == name]


def through_an_outage(folder: Path, broker: Broker, bars: pd.DataFrame, kills: int) -> Config:
    """The scorer marks a third of the bars, is away for another third, and comes back for the rest."""
    first, second = len(bars) // 3, 2 * len(bars) // 3
    file, scores = folder / "news.yaml", scored(bars)
    write_config(file, broker.bootstrap, f"{folder.name}.", STRATEGIES)
    config = with_section(file, grace=1.0)
    asyncio.run(create_topics(config.kafka))
    silent, back = int(bars["close_time"].iloc[first]), int(bars["close_time"].iloc[second])
    asyncio.run(produce_bars(config.kafka, bars.iloc[:second]))
    send_scores(config, scores[scores["available_at"] <= silent], silent)
    kill_on_the_way(file, config, [second // 3 + number * second // (2 * kills) for number in range(kills)])
    run_to_end(file, config, 2 * second, seconds=PATIENCE)
    send_scores(config, scores[scores["available_at"] > back], int(bars["close_time"].iloc[-1]))
    asyncio.run(produce_bars(config.kafka, bars.iloc[second:]))
    run_to_end(file, config, 2 * len(bars), seconds=PATIENCE)
    return config


def kill_on_the_way(file: Path, config: Config, counts: list[int]) -> None:
    """Workers one after the other, each SIGKILLed when there are so many signals."""
    signals = SignalCount(config)
    for count in counts:
        with WorkerProcess(file) as worker:
            wait_for(lambda w=worker, n=count: w.process.poll() is not None or signals() >= n, PATIENCE)
            worker.kill()


def check(folder: Path, broker: Broker, count: int, kills: int) -> None:
    bars = minute_bars(count)
    config = through_an_outage(folder, broker, bars, kills)
    for name in STRATEGIES:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (count, 0)
    silent, back = int(bars["close_time"].iloc[count // 3]), int(bars["close_time"].iloc[2 * count // 3 - 1])
    covered = unknown_bars(config)
    news = signals(config, "news")
    blind = {(s.provenance.partition, s.provenance.offset) for s in news if silent < s.content.time <= back}
    assert blind <= covered
    assert any(s.provenance.news_offset is not None for s in news)
    assert {s.provenance.news_offset for s in news if silent < s.content.time <= back} == {None}
    found = explain_many(config, [next(s.content.id for s in news if s.provenance.news_offset is not None)])
    assert found[0].reproduced
    assert found[0].columns["article_volume"] >= 1


def test_kills_and_an_outage_change_nothing(tmp_path: Path, tansu: Broker) -> None:
    check(tmp_path, tansu, 600, kills=2)


@pytest.mark.nightly
def test_more_kills_and_an_outage_on_both_brokers(tmp_path: Path, broker: Broker) -> None:
    check(tmp_path, broker, 900, kills=3)
