"""One gateway from start to end: ``alphawire gateway``."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from aiohttp import web
from aiokafka import TopicPartition
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from schemas.configuration import Config
from schemas.errors import ConfigurationError
from streams.kafka.clients import open_consumer
from streams.kafka.topics import partition_count, topic_name
from streams.kafka.topics.status import TopicsWatch
from streams.process.exits import Exit, in_words
from streams.service.gateway.history import COMMITTED, History
from streams.service.gateway.pages import SignalPages
from streams.service.gateway.tail import Tail
from streams.service.metrics import metrics_page, readiness
from streams.service.page_server import Page, json_response, listen
from streams.service.service import die, log_totals

log = logging.getLogger("alphawire.gateway")


async def run_gateway(config: Config) -> None:
    """Runs until SIGTERM or SIGINT; `AlphawireError` when it cannot start."""
    settings, kafka = config.gateway, config.kafka
    token = read_token(settings.token_file)
    listen(settings.http_host, settings.http_port).close()
    topics = TopicsWatch(kafka)
    await topics.require()
    topic = topic_name(kafka, "signals")
    history = History(kafka, topic, await partition_count(kafka))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_consumer(kafka, isolation_level=COMMITTED, fetch_max_wait_ms=50) as consumer:
        ends = [end for _, end in await history.ranges()]
        places = [TopicPartition(topic, number) for number in range(len(ends))]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, ends[place.partition])
        names = [settings.http_host, socket.gethostname(), *config.worker.http_names]
        pages = SignalPages(settings, Tail(ends), history, token, names)
        following = asyncio.ensure_future(pages.tail.follow(consumer))
        following.add_done_callback(_die_of_silence)
        watching = asyncio.ensure_future(topics.watch())
        runner = web.AppRunner(
            pages.app(own_pages(pages, topics)), access_log=None, handler_cancellation=True, handle_signals=False,
            shutdown_timeout=1.0, keepalive_timeout=settings.patience,
        )  # fmt: skip
        with listen(settings.http_host, settings.http_port) as listener:
            await runner.setup()
            await web.SockSite(runner, listener).start()
            log.info("gateway: http://%s:%d/signals", settings.http_host, listener.getsockname()[1])
            await stop.wait()
            log.info("stopping")
            for task in (following, watching):
                task.cancel()
            await runner.cleanup()
    log_totals(pages.counts)


def read_token(file: Path | None) -> str | None:
    """The first line of the file; `ConfigurationError` where there is none."""
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        token = ""
    if len(token) < 16:
        raise ConfigurationError(
            f"gateway.token_file {file} has no token of at least 16 characters in its first line;"
            " make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def own_pages(pages: SignalPages, topics: TopicsWatch) -> dict[str, Page]:
    """``/health/live``, ``/health/ready`` and ``/metrics``, as a worker has them."""

    def conditions() -> dict[str, str]:
        return topics.unready()

    def ready() -> web.Response:
        failed = conditions()
        return json_response({"ready": not failed, "failed": failed}, 503 if failed else 200)

    return {
        "/health/live": lambda: json_response({"live": True}),
        "/health/ready": ready,
        "/metrics": metrics_page(lambda: gateway_families(pages, conditions)),
    }


def gateway_families(pages: SignalPages, conditions: Callable[[], Mapping[str, str]]) -> Iterator[Metric]:
    """What a gateway says to Prometheus."""
    yield from readiness(conditions())
    clients = GaugeMetricFamily("alphawire_gateway_clients", "Streams that are open.")
    clients.add_metric((), pages.open)
    yield clients
    for name, text in (
        ("sent", "Events sent to streams."), ("answered", "Queries answered."),
        ("cut_off", "Clients cut off, as they read nothing."), ("refused", "Requests refused."),
    ):  # fmt: skip
        family = CounterMetricFamily(f"alphawire_gateway_{name}", text)
        family.add_metric((), pages.counts[name])
        yield family


def _die_of_silence(task: "asyncio.Future[None]") -> None:
    if not task.cancelled():
        die(Exit.FAILED, f"signals are not followed any more: {in_words(task.exception())}")
