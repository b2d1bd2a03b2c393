"""Scorers killed for real, at named points: on Apache Kafka each (article, symbol) is scored exactly once for readers
of what is committed; on a broker without transactions nothing is missing; marks never go back, and hold everywhere.
"""

import asyncio
from pathlib import Path

import pytest
import yaml

from schemas.configuration import Config, load_config
from schemas.wire.news import Article, Mark
from streams.ingest.article_files import produce_news
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.support.deadlines import deadline
from tests.support.forked import Forked
from tests.support.live import wait_for
from tests.support.news_records import broken_promises, scores, written

ARTICLES = 400
WITH_TRANSACTIONS = ("after_send=7", "before_commit=6", "after_commit=7")
WITHOUT = ("after_scoring=3", "after_scores=3", "after_send=8")


def configured(folder: Path, broker: Broker) -> tuple[Path, Config]:
    name = f"{folder.name}."
    kafka = {
        "bootstrap": broker.bootstrap,
        "prefix": name,
        "group": f"g-{folder.name}",
        "session_timeout": 2.0,
        "partitions": 2,
    }
    news = {"scorer": "lexicon", "mark_interval": 0.1, "batch_size": 20}
    file = folder / "killed.yaml"
    file.write_text(yaml.safe_dump({"kafka": kafka, "news": news, "worker": {"http": False}}))
    return file, load_config(file)


def start(file: Path, failpoints: str = "") -> Forked:
    return Forked(
        "scorer", "-c", str(file), log=file.with_suffix(".log"), environment={"ALPHAWIRE_FAILPOINTS": failpoints}
    )


def ended(process: Forked) -> int:
    """Its exit code; killed when it does not come."""
    try:
        return process.wait(deadline(300))
    finally:
        process.kill()


@pytest.mark.nightly
def test_a_scorer_killed_at_every_named_point(broker: Broker, tmp_path: Path) -> None:
    file, config = configured(tmp_path, broker)
    articles = [
        Article(f"a{n}", 1_700_000_000_000, ["BAC", "AAPL", "C"][: n % 3 + 1], f"Profit rises {n}")
        for n in range(ARTICLES)
    ]
    exactly_once = not broker.__class__.__name__.startswith("Tansu")
    points = WITH_TRANSACTIONS if exactly_once else WITHOUT
    asyncio.run(create_topics(config.kafka))
    share = ARTICLES // (len(points) + 1)
    for number, point in enumerate(points):
        asyncio.run(produce_news(config.kafka, articles[number * share : (number + 1) * share]))
        assert ended(start(file, point)) == -9, file.with_suffix(".log").read_text()[-2000:]
    asyncio.run(produce_news(config.kafka, articles[len(points) * share :]))
    wanted = {(article.id, symbol) for article in articles for symbol in article.symbols}
    last = start(file)
    try:
        wait_for(
            lambda: {(s.article, s.symbol) for s in scores(asyncio.run(written(config.kafka)))} >= wanted, 120, 1.0
        )
    finally:
        last.terminate()
        assert last.wait(deadline(60)) == 0
    parts = asyncio.run(written(config.kafka))
    found = [(score.article, score.symbol) for score in scores(parts)]
    assert set(found) == wanted
    if exactly_once:
        assert len(found) == len(wanted)
    for part in parts:
        assert not broken_promises(part)
        assert max(record.next for record in part if isinstance(record, Mark)) > 0
