"""A scorer as tests see it: in this process with a clock of the test, or as a process of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

from plugins.scorers import open_scorer
from schemas.configuration import Config, Kafka, News
from schemas.configuration import Worker as Settings
from schemas.wire.news import Mark, NewsRecord, Score, decode_news
from streams.kafka.clients import gives_producer_ids, open_consumer, open_producer, read_partition_to_end
from streams.kafka.topics import topic_name
from streams.process.exits import Exit
from streams.publishing.writer import PRODUCER, Writer
from streams.scorer.scorer import Scorer
from streams.scorer.scoring import Scoring
from streams.scorer.service import consumer_options, decoder_of, destination_of
from streams.service.service import choose_writer_factory
from tests.support.deadlines import deadline


class Died(Exception):
    """In the place of the process's end."""


def die(code: Exit, reason: str, /, **where: int) -> NoReturn:
    raise Died(f"{code.name} {reason}")


class Clock:
    """Milliseconds; the test moves it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def config_of(kafka: Kafka, **news: Any) -> Config:
    settings = {"scorer": "lexicon", "mark_interval": 0.05} | news
    return Config(kafka=kafka, news=News(**settings), worker=Settings(http=False))


@contextlib.asynccontextmanager
async def running(config: Config, clock: Callable[[], int], scoring: Scoring | None = None) -> AsyncIterator[Scorer]:
    """A scorer at work, stopped in good order at the end."""
    kafka = config.kafka
    async with (
        open_producer(kafka, **PRODUCER) as producer,
        open_consumer(kafka, **consumer_options(config)) as consumer,
    ):
        factory = choose_writer_factory(kafka, Writer(producer), await gives_producer_ids(kafka), "news")
        scoring = scoring or Scoring(open_scorer(config.news), decoder=decoder_of(config))
        scorer = Scorer(config, scoring, await destination_of(config), factory, die, clock)
        stop = asyncio.Event()
        task = asyncio.create_task(scorer.run(consumer, stop))
        try:
            yield scorer
        finally:
            stop.set()
            await task


async def until(scorer: Scorer, condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits for what the scorer does in its own time."""
    async with asyncio.timeout(deadline(seconds)):
        while not condition():
            await asyncio.sleep(0.02)


async def written(kafka: Kafka, isolation: str = "read_committed") -> list[list[NewsRecord]]:
    """What is on `news.scores`, partition by partition."""
    name = topic_name(kafka, "news.scores")
    return [
        [decode_news(record.value) async for record in read_partition_to_end(kafka, name, number, isolation=isolation)]
        for number in range(kafka.partitions)
    ]


def scores(parts: list[list[NewsRecord]]) -> list[Score]:
    return [record for part in parts for record in part if isinstance(record, Score)]


def broken_promises(part: list[NewsRecord]) -> list[str]:
    """What a partition of `news.scores` holds against what its marks say."""
    faults: list[str] = []
    up_to: dict[int, Mark] = {}
    for record in part:
        if isinstance(record, Mark):
            last = up_to.get(record.news_partition)
            if last and (record.up_to < last.up_to or record.next < last.next):
                faults.append(f"{record} after {last}")
            up_to[record.news_partition] = record
        elif isinstance(record, Score) and not record.historical:
            mark = up_to.get(record.news_partition)
            if mark and record.available_at <= mark.up_to:
                faults.append(f"{record.article} is available at {record.available_at}, and {mark} is before it")
    return faults
