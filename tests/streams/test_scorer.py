"""The scorer on both brokers: what it writes for each kind of article, when scores count, and what marks promise."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from schemas.configuration import Config, Kafka
from schemas.wire import encode
from schemas.wire.news import Article, Mark
from streams.dead_letters.letters import Choice, find_letters
from streams.ingest.article_files import produce_news
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.support.news_records import Clock, broken_promises, config_of, running, scores, until, written

MakeConfig = Callable[..., Kafka]
NOW = 1_700_000_000_000
GOOD = "Profit rises, great results"


def article(identity: str, *symbols: str, text: str = GOOD, **changes: Any) -> Article:
    return Article(**{"id": identity, "published_at": NOW - 5_000, "symbols": list(symbols), "body": text} | changes)


async def send(config: Config, *articles: Article) -> None:
    await produce_news(config.kafka, articles)


async def send_raw(config: Config, *pairs: tuple[bytes | None, bytes | None]) -> None:
    async with open_producer(config.kafka) as producer:
        for key, value in pairs:
            await producer.send_and_wait(topic_name(config.kafka, "news"), value, key, partition=0)


def test_each_kind_of_article(broker: Broker, kafka_config: MakeConfig) -> None:
    config = config_of(kafka_config(broker, partitions=3), delay=10.0)

    async def run() -> None:
        await create_topics(config.kafka)
        await send(
            config,
            article("one", "BAC", "AAPL", "MSFT"),
            article("none"),
            article("html", "BAC", text="<p>Profit rises, &#103;reat\u200b <b>results</b></p><script>bad()</script>"),
            article("future", "BAC", published_at=NOW + 60_000),
            article("french", "BAC", text="Les actions ont fortement baissé après la publication des résultats"),
            article("told", "BAC", language="de-AT"),
            article("old", "BAC", published_at=NOW - 86_400_000, historical=True),
            article("not-old-yet", "BAC", published_at=NOW - 5_000, historical=True),
            article("large", "BAC", text="<i>good</i> " * 100_000),
        )
        empty = article("empty", "BAC", text="<br>")
        await send_raw(config, (b"x", b"{}"), (b"y", encode(empty)), (None, b"\xff"), (b"empty", encode(empty)))
        async with running(config, Clock(NOW)) as scorer:
            await until(scorer, lambda: scorer.totals()["articles"] == 9 and scorer.totals()["dead_letters"] == 4)
        counts = scorer.totals()
        assert (counts["no_symbol"], counts["scores"], counts["future"], counts["other_language"]) == (1, 10, 1, 2)
        assert (counts["truncated"], counts["texts"]) == (1, 3)  # one forward for a text, whatever its article
        parts = await written(config.kafka)
        found = {(score.article, score.symbol): score for score in scores(parts)}
        assert len(found) == len(scores(parts)) == 10
        for number, part in enumerate(parts):
            assert {partition_of(score.symbol.encode(), 3, "murmur2") for score in scores([part])} <= {number}
            assert not broken_promises(part)
            assert {mark.news_partition for mark in part if isinstance(mark, Mark)} == {0, 1}
        one = found["one", "BAC"]
        assert found["html", "BAC"].text_sha256 == one.text_sha256 == found["old", "BAC"].text_sha256
        assert one.positive > one.negative
        assert one.scorer.startswith("lexicon/1 vaderSentiment")
        assert (one.flags, one.historical, one.published_at) == ([], False, NOW - 5_000)
        assert one.available_at >= NOW
        assert found["future", "BAC"].flags == ["future"]
        assert found["french", "BAC"].flags == found["told", "BAC"].flags == ["other_language"]
        assert found["large", "BAC"].flags == ["truncated"]
        old, not_yet = found["old", "BAC"], found["not-old-yet", "BAC"]
        assert (old.historical, old.available_at) == (True, NOW - 86_400_000 + 10_000)
        assert not not_yet.historical
        assert not_yet.available_at >= NOW
        letters = (await find_letters(config.kafka, Choice())).counts
        assert letters == {"invalid": 2, "wrong_key": 1, "undecodable": 1}

    asyncio.run(run())


def test_partitions_with_a_backlog_go_on_side_by_side(broker: Broker, kafka_config: MakeConfig) -> None:
    """The consumer has fetched all of both; one that waits for the end of the other holds up every bar."""
    config = config_of(kafka_config(broker, partitions=1, news_partitions=2), batch_size=10)
    names = [f"a{number}" for number in range(200)]
    homes = {name: partition_of(name.encode(), 2, "murmur2") for name in names}

    async def run() -> list[int]:
        await create_topics(config.kafka)
        await send(config, *(article(name, "BAC", text=f"{GOOD} {name}") for name in names))
        async with running(config, Clock(NOW)) as scorer:
            await until(scorer, lambda: scorer.totals()["articles"] == len(names))
        return [homes[score.article] for score in scores(await written(config.kafka))]

    order = asyncio.run(run())
    ends = [len(order) - order[::-1].index(number) for number in (0, 1)]
    later = ends.index(max(ends))
    assert order[: min(ends)].count(later) > order.count(later) / 2


def test_a_later_version_gives_scores_of_its_own_and_the_first_ones_stay(
    broker: Broker, kafka_config: MakeConfig
) -> None:
    config = config_of(kafka_config(broker, partitions=1, news_partitions=1))

    async def run() -> None:
        await create_topics(config.kafka)
        clock = Clock(NOW)
        async with running(config, clock) as scorer:
            await send(config, article("a", "BAC"))
            await until(scorer, lambda: scorer.totals()["scores"] == 1)
            clock.now += 1_000
            await send(config, article("a", "BAC", text="Profit falls, awful results"), article("a", "BAC"))
            await until(scorer, lambda: scorer.totals()["scores"] == 3)
        first, second, third = scores(await written(config.kafka))
        assert first.available_at < second.available_at <= third.available_at
        assert first.text_sha256 != second.text_sha256
        assert second.negative > second.positive
        same = (third.positive, third.negative, third.neutral, third.uncertainty, third.text_sha256)
        assert same == (first.positive, first.negative, first.neutral, first.uncertainty, first.text_sha256)
        assert scorer.totals()["texts"] == 2

    asyncio.run(run())


def test_marks_go_on_while_nothing_comes_and_never_back_when_the_clock_does(
    broker: Broker, kafka_config: MakeConfig
) -> None:
    config = config_of(kafka_config(broker, partitions=2, news_partitions=2))

    async def run() -> None:
        await create_topics(config.kafka)
        clock = Clock(NOW)
        async with running(config, clock) as scorer:
            await until(
                scorer, lambda: len(scorer.partitions) == 2 and all(d.up_to == NOW for d in scorer.partitions.values())
            )
            clock.now = NOW + 700
            await until(scorer, lambda: all(part.up_to == NOW + 700 for part in scorer.partitions.values()))
        clock.now = NOW - 3_600_000
        async with running(config, clock) as scorer:
            await until(scorer, lambda: len(scorer.partitions) == 2)
            await send(config, article("a", "BAC", "AAPL", "C", "MSFT"))
            await until(scorer, lambda: scorer.totals()["scores"] == 4)
        parts = await written(config.kafka)
        assert {score.available_at for score in scores(parts)} == {NOW + 701}
        for part in parts:
            assert not broken_promises(part)
            marks = [mark for mark in part if isinstance(mark, Mark)]
            assert {(mark.news_partition, mark.news_partitions) for mark in marks} == {(0, 2), (1, 2)}

    asyncio.run(run())


def test_two_share_the_partitions_and_each_article_is_scored_by_one(broker: Broker, kafka_config: MakeConfig) -> None:
    config = config_of(kafka_config(broker, partitions=2, news_partitions=2, session_timeout=6.0))

    async def run() -> None:
        await create_topics(config.kafka)
        await send(config, *(article(f"a{n}", "BAC", "AAPL") for n in range(100)))
        async with running(config, Clock(NOW)) as first:
            await until(first, lambda: first.totals()["scores"] == 200)
            async with running(config, Clock(NOW)) as second:
                await until(second, lambda: len(first.partitions) == len(second.partitions) == 1)
                await send(config, *(article(f"b{n}", "BAC", "AAPL") for n in range(100)))
                await until(second, lambda: first.totals()["scores"] + second.totals()["scores"] == 400)
                assert second.totals()["scores"] > 0
            await until(first, lambda: len(first.partitions) == 2)
        parts = await written(config.kafka)
        found = [(score.article, score.symbol) for score in scores(parts)]
        assert len(found) == len(set(found)) == 400
        assert not [fault for part in parts for fault in broken_promises(part)]

    asyncio.run(run())


@pytest.mark.parametrize("records", [1, 3_000])
def test_the_last_mark_is_found_behind_many_other_records(
    records: int, tansu: Broker, kafka_config: MakeConfig
) -> None:
    from streams.scorer.partition import last_marks
    from tests.support.news_records import destination_of

    config = config_of(kafka_config(tansu, partitions=1, news_partitions=2))

    async def run() -> None:
        await create_topics(config.kafka)
        topic = topic_name(config.kafka, "news.scores")
        async with open_producer(config.kafka) as producer:
            await producer.send_and_wait(topic, encode(Mark(1, 2, NOW, 7)), b":mark/1")
            for _ in range(records):
                await producer.send(topic, b"foreign", b":mark/0")
            await producer.flush()
        assert await last_marks(config.kafka, await destination_of(config), [0, 1]) == {1: Mark(1, 2, NOW, 7)}

    asyncio.run(run())
