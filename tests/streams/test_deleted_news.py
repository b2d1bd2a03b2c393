"""News and scores that the broker deletes before they were read: the logs, counts, `/health/ready`, `control` and
`verify` say which. Which those are is said by hand.
"""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from backtest.verify.verdict import NEWS_TOPICS, VerifyResult
from schemas.wire import DeletedUnread, decode_control
from schemas.wire.news import Article
from streams.ingest.article_files import produce_news
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.clients import offset_range, open_admin
from streams.kafka.gaps import Span
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics, topic_name
from streams.owners.bars_owner import BarsOwner
from streams.recovery.state import load_control
from streams.scorer.partition import Resume, ScoreDestination, ScorerPartition
from streams.scorer.service import unready
from streams.service import health
from tests.streams.test_history_scored import Kept
from tests.support.memory import CONFIG, Log, bar, fetched, live
from tests.support.news_records import Clock, config_of, running, until
from tests.support.scores import RULE, mark, news_strategy, score

BARS = fetched([bar("A", minute, 100.0) for minute in range(40)])
SAID = "were deleted before they were read, so nothing was made of them"
LEFT = mark(100.0)
"""Which says that all bars have their news."""


def run(log: Log, upto: int) -> BarsOwner:
    config = CONFIG.model_copy(update={"news": CONFIG.news.model_copy(update=RULE | {"grace": 1_000.0})})
    return asyncio.run(live(log, BARS[:upto], [news_strategy()], random.Random(2), config=config))


def scored(log: Log, *minutes: float) -> None:
    log.records += [score(f"a{minute}", "A", minute) for minute in minutes]


def unread(log: Log) -> list[tuple[int, int]]:
    return [(gap.begin, gap.end) for gap in log.stored().unread.get("news.scores/0", [])]


def test_scores_that_bars_without_signals_should_know_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """20 bars have signals; a score of minute 5, which they had, is gone, and so is one of minute 25."""
    log = Log()
    scored(log, 5.5)
    log.records.append(mark(20.0))
    run(log, 20)
    scored(log, 25.5, 30.5)
    log.records.append(LEFT)
    log.scores_from = 3
    worker = run(log, 40)
    assert unread(log) == [(0, 3)]
    assert worker.totals()["deleted_unread"] == 3
    assert f"news.scores/0: offsets 0 to 2 (3) {SAID}" in caplog.text
    assert len(log.of("signals")) == 40


def test_those_that_only_bars_with_signals_should_know_are_nothing_to_say() -> None:
    log = Log()
    scored(log, 5.5)
    log.records.append(mark(20.0))
    run(log, 20)
    log.records.append(LEFT)
    log.scores_from = 1
    worker = run(log, 40)
    assert (unread(log), worker.totals()["deleted_unread"]) == ([], 0)


def test_a_worker_that_is_new_has_missed_nothing() -> None:
    log = Log()
    scored(log, 5.5, 10.5)
    log.records.append(LEFT)
    log.scores_from = 2
    run(log, 40)
    assert unread(log) == []


def test_a_scorer_says_which_articles_it_missed_with_what_it_writes_next() -> None:
    kept = Kept()
    destination = ScoreDestination("news.scores", "dead-letters", 2, 4, "murmur2", 0, "x.news", "x.control")
    part = ScorerPartition(3, kept, destination, Clock(5), Resume(7, 1, 0, Span(4, 7)))  # type: ignore[arg-type]
    asyncio.run(part.mark())
    asyncio.run(part.mark())
    control = [record for record in kept.records if record.topic == "x.control"]
    assert [(decode_control(record.value), record.partition) for record in control] == [
        (DeletedUnread("x.news", 3, 4, 7), 1)
    ]
    assert part.counts["deleted_unread"] == 3
    scorer = SimpleNamespace(
        assigned={3}, partitions={3: part}, lags=lambda: {3: 0}, config=CONFIG,
    )  # fmt: skip
    assert unready(scorer) == {"deleted": f"news/3: offsets 4 to 6 (3) {SAID}"}  # type: ignore[arg-type]


def test_verify_lists_them_of_strategies_that_use_news() -> None:
    stored = SimpleNamespace(unread={"x.news/3": [Span(4, 7)], "x.news.scores/1": [Span(0, 1)], "x.bars/1": []})
    log = SimpleNamespace(prefix="x.", topics={})
    past = [SimpleNamespace(begin=9)]
    partition: Any = SimpleNamespace(stored=stored, past=past, history=SimpleNamespace(log=log), number=1)
    verdict = VerifyResult("one")
    for topic in NEWS_TOPICS:
        verdict.take_unread(partition, topic)
    assert verdict.unread == [f"x.news/3: offsets 4 to 6 (3) {SAID}", f"x.news.scores/1: offsets 0 to 0 (1) {SAID}"]
    assert not verdict.ok


def test_health_looks_at_both_tracks() -> None:
    track = SimpleNamespace(unread={"news.scores/0": [Span(0, 1)]})
    owner: Any = SimpleNamespace(partitions={0: 1}, tracks_of=lambda _: [SimpleNamespace(unread={}), track])
    assert health._unread([owner]) == {"deleted": f"news.scores/0: offsets 0 to 0 (1) {SAID}"}


def test_a_retention_of_news(kafka: ApacheKafkaBroker, kafka_config: Any) -> None:
    """Two articles are scored, two go while no scorer runs, one is left."""
    config = config_of(kafka_config(kafka, partitions=1, news_partitions=1))
    articles = [Article(f"a{n}", 1_700_000_000_000, ["BAC"], body="Profit rises, great results") for n in range(5)]

    async def run() -> None:
        await create_topics(config.kafka)
        await produce_news(config.kafka, articles[:2])
        async with running(config, Clock(1_700_000_000_000)) as scorer:
            await until(scorer, lambda: scorer.totals()["articles"] == 2)
        await produce_news(config.kafka, articles[2:4])
        news = topic_name(config.kafka, "news")
        _, end = await offset_range(config.kafka, news, 0)
        async with open_admin(config.kafka) as admin:
            await admin.delete_records({TopicPartition(news, 0): RecordsToDelete(end)})
        await produce_news(config.kafka, articles[4:])
        async with running(config, Clock(1_700_000_000_000)) as scorer:
            await until(scorer, lambda: scorer.totals()["articles"] == 1)
            assert "deleted" in unready(scorer)
        assert scorer.totals()["deleted_unread"] == 2
        assert (await load_control(KafkaLog(config.kafka), 0)).unread == {f"{news}/0": [Span(2, 4)]}

    asyncio.run(run())
