"""One worker process from start to end: ``alphawire worker``."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from aiokafka.errors import KafkaError

from plugins.pipeline.pipeline import prepare
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config, Kafka
from schemas.configuration import Worker as WorkerSettings
from schemas.errors import BrokerError, ConfigurationError
from schemas.wire.avro_signals import schema_text
from streams.consuming.intake import prepare_intake
from streams.consuming.transport import FetchWait
from streams.kafka.clients import gives_producer_ids, open_producer
from streams.kafka.row_batches import prepare_rows
from streams.kafka.schema_registry import registered_id
from streams.kafka.topics import partition_count, topic_name
from streams.kafka.topics.status import TopicsWatch
from streams.owners.bars_owner import BarsOwner
from streams.owners.chunk_owner import ChunkOwner
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.shadows import load_shadows
from streams.process.exits import Exit, in_words, of_crash
from streams.process.garbage import search_from_here
from streams.publishing.topic_names import TopicNames
from streams.publishing.transactions import TransactionalWriterFactory
from streams.publishing.writer import PRODUCER, SharedWriterFactory, Writer, WriterFactory
from streams.requests.control_requests import ControlRequests
from streams.requests.control_topic import RequestFollower
from streams.requests.groups import check_group
from streams.requests.symbol_places import SymbolPlaces
from streams.service.app import SignalApp, create_app
from streams.service.listing import publish_listing
from streams.service.page_server import Page, listen, serve_pages
from streams.service.watchdog import Pulse, watch
from streams.service.web import worker_pages

log = logging.getLogger("alphawire.service")

SWITCH_INTERVAL = 0.0005
"""Seconds. Faust fetches in a thread of its own; with Python's 5 ms each hand-over between the two may wait that
long.
"""
FETCH_WAIT_MS = 50
"""On Apache Kafka. aiokafka has one fetch under way at a time and leaves out of it what it has not handed on yet: where
that is all but a silent topic, the bars wait for as long as the broker holds that fetch back (0.5 s: seen).
"""
LIST_AGAIN = 1.0
"""Seconds until the listing of the plugins is tried again."""
SHORT_FETCH_WAIT_MS, LONG_FETCH_WAIT_MS = 5, 500
"""On a broker without transactions: see `FetchWait`."""


def die(code: Exit, reason: str, /, **where: int) -> NoReturn:
    """Ends the process at once: nothing may be published after an error whose outcome is unknown."""
    extra = {"exit_code": int(code), **where}
    log.critical("the worker ends itself (%s, exit code %d): %s", code.name.lower(), code, reason, extra=extra)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def leave() -> NoReturn:
    """Ends the process after a stop in good order. Faust's fetching thread, which Python would wait for, may still wait
    for a broker that does not answer (seen: for ever).
    """
    logging.shutdown()
    sys.stderr.flush()
    os._exit(Exit.DONE)


async def run_worker(config: Config, strategies: Sequence[ReadyStrategy], version: str) -> None:
    """Runs until SIGTERM or SIGINT, then stops within `worker.stop_timeout`; `AlphawireError` when it cannot start."""
    if not strategies:
        raise ConfigurationError("no strategy is configured; add one under `strategies:`")
    check_port(config.worker.http, config.worker.http_host, config.worker.http_port)
    kafka = config.kafka
    if topic_name(kafka, "bars") in config.strategies:
        # else the key of a snapshot, strategy/symbol, could be that of a marker, topic/partition
        raise ConfigurationError(
            f"strategies.{topic_name(kafka, 'bars')}: a strategy cannot have the name of the topic of bars"
        )
    topics = TopicsWatch(kafka)
    await topics.require()
    partitions = await partition_count(kafka)
    check_news(config, strategies)
    await check_references(config, strategies)
    prepare(strategies)
    prepare_intake()
    prepare_rows()
    shadows = load_shadows(strategies, config.strategies)
    sys.setswitchinterval(SWITCH_INTERVAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_producer(kafka, **PRODUCER) as producer:
        writer = Writer(producer)
        has_transactions = await gives_producer_ids(kafka)
        factory = choose_writer_factory(kafka, writer, has_transactions)
        requests = ControlRequests(strategies, config.strategies)
        places = SymbolPlaces(topic_name(kafka, "bars"))
        follower = RequestFollower(kafka, requests, writer, places)
        await follower.begin()
        await check_group(kafka, follower.group, has_transactions)
        names = await _topic_names(kafka)
        bars = BarsOwner(
            config, strategies, partitions, version, factory, die,
            requests=requests, hear_requests=follower.catch_up, shadows=shadows, places=places, names=names,
        )  # fmt: skip
        listing = asyncio.ensure_future(_list_plugins(bars, writer))
        listing.add_done_callback(_die_of_listing)
        following = asyncio.ensure_future(follower.follow())
        following.add_done_callback(_die_of_silence)
        cross_sections = _cross_section_owner(bars, writer)
        app = create_app(config, bars, writer, fetch_wait(has_transactions), cross_sections)
        async with served(config.worker, config.worker.http_port, worker_pages(app, bars, topics)):
            await serve(app, bars, topics, stop)
        following.cancel()
        listing.cancel()
    bars.shadows.log_status()
    log_totals(bars.totals() + (app.cross_sections.totals() if app.cross_sections else Counter()))


def fetch_wait(has_transactions: bool) -> FetchWait:
    """As the broker needs it, of which it is known whether it has transactions."""
    shortest, longest = (FETCH_WAIT_MS,) * 2 if has_transactions else (SHORT_FETCH_WAIT_MS, LONG_FETCH_WAIT_MS)
    return FetchWait(shortest, longest)


async def _topic_names(kafka: Kafka) -> TopicNames:
    """With the id by which signals are written in Avro, where the configuration says that they are."""
    names = TopicNames.of(kafka)
    if kafka.registry is None or kafka.encoding.get("signals") != "avro":
        return names
    subject = f"{names.signals}-value"
    number = await registered_id(kafka.registry, subject, schema_text())
    if number is None:
        raise ConfigurationError(
            f"{kafka.registry.url} has no schema {subject} of signals; put it there with `alphawire schemas register`"
        )
    return replace(names, signal_schema=number)


def _cross_section_owner(bars: BarsOwner, writer: Writer) -> CrossSectionOwner | None:
    """The owner of predictions, where a strategy decides about all symbols at once."""
    strategies = [strategy for strategy in bars.strategies if strategy.at_once]
    if not strategies:
        return None
    kafka, names = bars.config.kafka, bars.names
    factory = (
        TransactionalWriterFactory(kafka, names.predictions)
        if bars.factory.exactly_once
        else SharedWriterFactory(writer)
    )
    return CrossSectionOwner(
        bars.config, strategies, bars.partition_count, names, factory, die, requested=bars.requests.requested
    )


def check_news(config: Config, strategies: Sequence[ReadyStrategy]) -> None:
    """`ConfigurationError` for settings with which strategies that use news cannot go on; a warning where there will be
    none.
    """
    names = ", ".join(strategy.name for strategy in strategies if strategy.uses_news)
    if not names:
        return
    if config.news.scorer == "none":
        log.warning("news.scorer is none: all news of %s is unknown", names)
    elif config.kafka.partitioner == "as_is":
        raise ConfigurationError(
            f"strategies.{names}: news goes by symbol, and with kafka.partitioner as_is nobody can tell the partition"
            " of a symbol; use murmur2 or crc32, as the producer of the bars does"
        )
    elif config.news.grace >= config.worker.stall_timeout:
        raise ConfigurationError(
            f"news.grace of {config.news.grace:g} s is not below worker.stall_timeout of"
            f" {config.worker.stall_timeout:g} s: a worker that waits would be taken for one that stands still"
        )


async def check_references(config: Config, strategies: Sequence[ReadyStrategy]) -> None:
    """`ConfigurationError` for settings with which strategies with references cannot go on; `BrokerError` where there
    is no topic for their side inputs.
    """
    names = ", ".join(strategy.name for strategy in strategies if strategy.references)
    if not names:
        return
    if config.kafka.partitioner == "as_is":
        raise ConfigurationError(
            f"strategies.{names}: with kafka.partitioner as_is nobody can tell the partition of a reference; use"
            " murmur2 or crc32, as the producer of the bars does"
        )
    if config.worker.reference_grace >= config.worker.stall_timeout:
        raise ConfigurationError(
            f"worker.reference_grace of {config.worker.reference_grace:g} s is not below worker.stall_timeout of"
            f" {config.worker.stall_timeout:g} s: a worker that waits would be taken for one that stands still"
        )
    await partition_count(config.kafka, "side.inputs")


def check_port(http: bool, host: str, port: int) -> None:
    """`ConfigurationError` when pages are wanted and cannot be served."""
    if http:
        listen(host, port).close()


@contextlib.asynccontextmanager
async def served(worker: WorkerSettings, port: int, pages: Mapping[str, Page]) -> AsyncIterator[None]:
    """The pages of a service, where it is to have any."""
    if not worker.http:
        yield
        return
    async with serve_pages(pages, worker.http_host, port, worker.http_names):
        yield


def choose_writer_factory(kafka: Kafka, writer: Writer, has_transactions: bool, topic: str = "bars") -> WriterFactory:
    """Exactly once where the broker has transactions and the configuration does not say otherwise; it is told which.

    `topic` is whose partitions the writers are for.
    """
    if kafka.delivery == "at_least_once":
        log.info("delivery: at least once, as configured; signals may be repeated with equal ids and bytes")
        return SharedWriterFactory(writer)
    if has_transactions:
        log.info("delivery: exactly once, for consumers with isolation_level read_committed")
        return TransactionalWriterFactory(kafka, topic_name(kafka, topic))
    if kafka.delivery == "exactly_once":
        raise ConfigurationError(
            f"kafka.delivery is exactly_once, and the broker at {kafka.bootstrap} has no transactions;"
            " use Apache Kafka, or delivery: at_least_once"
        )
    log.info("delivery: at least once (no transactions here); signals may be repeated with equal ids and bytes")
    return SharedWriterFactory(writer)


def die_of_configuration(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and isinstance(error := task.exception(), ConfigurationError):
        die(Exit.CONFIGURATION, str(error))


async def _list_plugins(bars: BarsOwner, writer: Writer) -> None:
    """Once bars are fed: nobody waits for it, and it takes the processor for a while. While the broker is away it is
    tried again: whether the worker can go on without a broker is for others to say.
    """
    await bars.up.wait()
    while True:
        try:
            return await publish_listing(bars.config.kafka, writer)
        except (BrokerError, KafkaError) as error:
            log.debug("the plugins are not listed yet: %r", error)
        await asyncio.sleep(LIST_AGAIN)


def _die_of_listing(task: "asyncio.Future[None]") -> None:
    """What refuses the listing would refuse it after a restart too."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        die(of_crash(fault), f"the plugins cannot be listed on their topic: {in_words(fault)}")


def _die_of_silence(task: "asyncio.Future[None]") -> None:
    """A worker that no longer hears control requests would go on with what others were asked to leave."""
    if not task.cancelled():
        fault = task.exception()
        die(of_crash(fault), f"control requests are not followed any more: {in_words(fault)}")


async def serve(app: SignalApp, owner: ChunkOwner[Any, Any], topics: TopicsWatch, stop: asyncio.Event) -> None:
    """Runs the app of `owner` until `stop` is set, then stops it; ends the process when it cannot go on."""
    search_from_here()
    config = owner.config
    starting = asyncio.ensure_future(app.start())
    stopping = asyncio.ensure_future(stop.wait())
    watching = asyncio.ensure_future(watch(app, owner, config.worker.stall_timeout, die))
    pulse = Pulse(config.worker.stall_timeout, die)
    pulse.start()
    beating = asyncio.ensure_future(pulse.beat())
    looking = asyncio.ensure_future(topics.watch())
    looking.add_done_callback(die_of_configuration)
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    await asyncio.wait({stopping, watching, crashed, starting}, return_when=asyncio.FIRST_COMPLETED)
    while not (stopping.done() or watching.done() or crashed.done()):
        if starting.done() and starting.exception() is not None:
            die(Exit.BROKER, f"the app did not start: {starting.exception()!r}")
        await asyncio.wait({stopping, watching, crashed}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        fault = app.crash_reason or (watching.done() and watching.exception())
        die(of_crash(fault), f"the app stopped by itself: {in_words(fault)}")
    log.info("stopping")
    try:
        async with asyncio.timeout(config.worker.stop_timeout):
            await app.owner.on_revoke(set(app.owner.positions()))
            await app.stop()
    except TimeoutError:
        die(Exit.STOP_TIMEOUT, f"the graceful stop took longer than {config.worker.stop_timeout:g} s")
    finally:
        for task in (watching, looking, beating):
            task.cancel()


def log_totals(totals: Counter[str]) -> None:
    """The last line of a service: what became of the records that it read."""
    log.info("stopped: %s", ", ".join(f"{count} {name}" for name, count in sorted(totals.items())))
