"""One scorer process from start to end: ``alphawire scorer``."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from plugins.scorers import open_scorer
from plugins.side_inputs.news.article_text import language_of
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire.news import Article
from streams.consuming.decoding.decoders import ArticleDecoder
from streams.kafka.clients import gives_producer_ids, open_consumer, open_producer
from streams.kafka.gaps import PartitionGaps, describe_unread
from streams.kafka.gaps.detection import watch_gaps
from streams.kafka.log import KafkaLog
from streams.kafka.topics import partition_count, topic_name
from streams.kafka.topics.status import TopicsWatch
from streams.process.exits import Die, Exit
from streams.process.garbage import search_from_here
from streams.publishing.writer import PRODUCER, Writer
from streams.requests.groups import SCORERS, check_scorers
from streams.scorer.partition import ScoreDestination
from streams.scorer.scorer import Scorer, wall_clock
from streams.scorer.scoring import Scoring
from streams.service.app import HEARTBEAT
from streams.service.metrics import lags, metrics_page, readiness, records
from streams.service.page_server import Page, json_response
from streams.service.service import check_port, choose_writer_factory, die, die_of_configuration, served
from streams.service.watchdog import Pulse

log = logging.getLogger("alphawire.scorer")


async def run_scorer(config: Config, clock: Callable[[], int] = wall_clock) -> None:
    """Runs until SIGTERM or SIGINT, then stops within `worker.stop_timeout`; `AlphawireError` when it cannot start."""
    kafka = config.kafka
    if kafka.partitioner == "as_is":
        raise ConfigurationError(
            "kafka.partitioner is as_is, so a symbol does not tell its partition; news needs murmur2 or crc32"
        )
    check_port(config.worker.http, config.worker.http_host, config.news.http_port)
    topics = TopicsWatch(kafka)
    await topics.require()
    if has_transactions := await gives_producer_ids(kafka):  # other brokers show members for ever
        await check_scorers(kafka)
    scoring = Scoring(await asyncio.to_thread(open_scorer, config.news), decoder=decoder_of(config))
    language_of(Article("", 0), "The model of languages is read before the first article comes.")
    search_from_here()
    log.info("scorer: %s", scoring.scorer.stamp)
    async with open_producer(kafka, **PRODUCER) as producer:
        factory = choose_writer_factory(kafka, Writer(producer), has_transactions, "news")
        scorer = Scorer(config, scoring, await destination_of(config), factory, die, clock)
        pages = served(config.worker, config.news.http_port, scorer_pages(scorer, topics))
        async with open_consumer(kafka, **consumer_options(config)) as consumer, pages:
            await _serve(scorer, consumer, topics)
    log.info("stopped: %s", ", ".join(f"{count} {name}" for name, count in sorted(scorer.totals().items())))


def decoder_of(config: Config) -> ArticleDecoder | None:
    """How articles are read; None: they are alphawire's own."""
    source = config.kafka.source_of("news")
    as_written = config.news.symbols == "as_written"
    return ArticleDecoder(source, KafkaLog(config.kafka).schemas, as_written) if source else None


async def destination_of(config: Config) -> ScoreDestination:
    """Where the scores go, as the broker's topics are."""
    kafka = config.kafka
    return ScoreDestination(
        topic_name(kafka, "news.scores"), topic_name(kafka, "dead-letters"), await partition_count(kafka),
        await partition_count(kafka, "news"), kafka.partitioner, round(config.news.delay * 1000),
        topic_name(kafka, "news"), topic_name(kafka, "control"),
    )  # fmt: skip


def consumer_options(config: Config) -> dict[str, Any]:
    """Of the consumer that shares `news` with the group's others; it says which offsets hold no records any more."""
    watch_gaps()
    session = int(config.kafka.session_timeout * 1000)
    return {
        "group_id": f"{config.kafka.group}{SCORERS}",
        "session_timeout_ms": session,
        "heartbeat_interval_ms": int(HEARTBEAT * 1000),
        "max_poll_interval_ms": 600_000,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": 500,
        "max_partition_fetch_bytes": 8 << 20,
        "key_deserializer": PartitionGaps(),
    }


async def _serve(scorer: Scorer, consumer: Any, topics: TopicsWatch) -> None:
    config, stop = scorer.config, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pulse = Pulse(config.worker.stall_timeout, die)
    pulse.start()
    beside = [
        asyncio.ensure_future(pulse.beat()),
        asyncio.ensure_future(watch_lag(scorer, config.worker.stall_timeout, die)),
        asyncio.ensure_future(topics.watch()),
    ]
    beside[-1].add_done_callback(die_of_configuration)
    running = asyncio.ensure_future(scorer.run(consumer, stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        die(Exit.FAILED, f"the scorer stopped by itself: {running.exception()!r}")
    log.info("stopping")
    try:
        async with asyncio.timeout(config.worker.stop_timeout):
            await running
    except TimeoutError:
        die(Exit.STOP_TIMEOUT, f"the graceful stop took longer than {config.worker.stop_timeout:g} s")
    for task in beside:
        task.cancel()


async def watch_lag(
    scorer: Scorer, stall_timeout: float, die: Die, clock: Callable[[], float] = time.monotonic
) -> None:
    """Looks ten times per `stall_timeout`: a partition that is behind and has not moved for that long is a stall."""
    since: dict[int, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(stall_timeout / 10)
        for number, lag in scorer.lags().items():
            position, now = scorer.partitions[number].position, clock()
            known, began = since.get(number, (-1, now))
            since[number] = (position, now if not lag or known != position else began)
            if now - since[number][1] > stall_timeout:
                reason = f"news/{number} stands at {position} for {stall_timeout:g} s and is behind"
                die(Exit.STALLED, reason, partition=number, offset=position)


def status(scorer: Scorer) -> dict[str, Any]:
    """How far each partition is that the scorer owns, and what became of the articles that it read since it started."""
    lags = scorer.lags()
    return {
        "scorer": scorer.scoring.scorer.stamp,
        "exactly_once": scorer.factory.exactly_once,
        "partitions": {
            str(number): {"position": part.position, "up_to": part.up_to, "lag": lags.get(number)}
            for number, part in sorted(scorer.partitions.items())
        },
        "counts": dict(sorted(scorer.totals().items())),
    }


def unready(scorer: Scorer) -> dict[str, str]:
    """The conditions that fail, of `assigned`, `restored`, `deleted` and `lag`, each with the reason; empty when
    ready.
    """
    if scorer.assigned is None:
        return {"assigned": "the group has not given out its partitions yet"}
    if missing := sorted(scorer.assigned - scorer.partitions.keys()):
        return {"restored": f"news/{', '.join(map(str, missing))}: its last mark is being looked for"}
    bound = scorer.config.worker.ready_lag
    late = [
        f"news/{number} is {'not fetched yet' if lag is None else f'{lag} articles behind'}"
        for number, lag in scorer.lags().items()
        if lag is None or lag > bound
    ]
    gone = [line for n, part in scorer.partitions.items() for line in describe_unread(f"news/{n}", part.unread)]
    deleted = {"deleted": "; ".join(gone)} if gone else {}
    return deleted | ({"lag": f"{'; '.join(late)}; worker.ready_lag is {bound}"} if late else {})


def scorer_families(scorer: Scorer, conditions: Callable[[], Mapping[str, str]]) -> Iterator[Metric]:
    """What a scorer says to Prometheus; `conditions`: those of ``/health/ready`` that fail."""
    totals = scorer.totals()
    yield records({"news": totals})
    yield lags("news", scorer.lags())
    yield from readiness(conditions())
    scores = CounterMetricFamily("alphawire_scores", "Scores of news written.")
    scores.add_metric((), totals["scores"])
    yield scores


def scorer_pages(scorer: Scorer, topics: TopicsWatch) -> dict[str, Page]:
    """``/status``, ``/health/live``, ``/health/ready`` and ``/metrics``, as a worker has them."""

    def conditions() -> dict[str, str]:
        return topics.unready() | unready(scorer)

    def ready() -> web.Response:
        failed = conditions()
        return json_response({"ready": not failed, "failed": failed}, 503 if failed else 200)

    return {
        "/status": lambda: json_response(status(scorer)),
        "/health/live": lambda: json_response({"live": True}),
        "/health/ready": ready,
        "/metrics": metrics_page(lambda: scorer_families(scorer, conditions)),
    }
