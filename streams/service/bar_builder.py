"""One process that makes bars out of trades, from start to end: ``alphawire bars``."""

import asyncio
import logging
import signal
from typing import Any

from aiohttp import web

from schemas.configuration import Config
from streams.kafka.clients import gives_producer_ids, open_producer
from streams.kafka.topics import partition_count, require_own_bars
from streams.kafka.topics.status import TopicsWatch
from streams.owners.trades.owner import TradesOwner
from streams.publishing.writer import PRODUCER, Writer
from streams.service.app import create_builder_app
from streams.service.health import partition_statuses
from streams.service.metrics import builder_families, metrics_page
from streams.service.page_server import Page, json_response
from streams.service.service import check_port, choose_writer_factory, die, fetch_wait, log_totals, serve, served

log = logging.getLogger("alphawire.trades")


async def run_builder(config: Config) -> None:
    """Runs until SIGTERM or SIGINT, then stops within `worker.stop_timeout`; `AlphawireError` when it cannot start."""
    kafka = config.kafka
    require_own_bars(kafka, "alphawire bars")
    check_port(config.worker.http, config.worker.http_host, config.trades.http_port)
    topics = TopicsWatch(kafka, service="bars")
    await topics.require()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_producer(kafka, **PRODUCER) as producer:
        has_transactions = await gives_producer_ids(kafka)
        factory = choose_writer_factory(kafka, Writer(producer), has_transactions, "trades")
        trades = TradesOwner(config, await partition_count(kafka, "trades"), factory, die)
        app = create_builder_app(config, trades, fetch_wait(has_transactions))
        log.info("bars of %s", ", ".join(config.trades.bars))
        async with served(config.worker, config.trades.http_port, builder_pages(app, trades, topics)):
            await serve(app, trades, topics, stop)
    log_totals(trades.totals())


def builder_pages(app: Any, trades: TradesOwner, topics: TopicsWatch) -> dict[str, Page]:
    """``/status``, ``/health/live``, ``/health/ready`` and ``/metrics``, as a worker has them."""

    def conditions() -> dict[str, str]:
        return topics.unready() | unready(app, trades)

    def ready() -> web.Response:
        failed = conditions()
        return json_response({"ready": not failed, "failed": failed}, 503 if failed else 200)

    return {
        "/status": lambda: json_response(status(app, trades)),
        "/health/live": lambda: json_response({"live": True}),
        "/health/ready": ready,
        "/metrics": metrics_page(lambda: builder_families(app, trades, conditions)),
    }


def status(app: Any, trades: TradesOwner) -> dict[str, Any]:
    """How far each partition is that the process owns, and what became of the records that it read."""
    (own,) = partition_statuses(app, trades).values()
    return {
        "bars": list(trades.config.trades.bars),
        "exactly_once": trades.factory.exactly_once,
        "partitions": {
            str(part.number): {"position": part.position, "published": part.published, "lag": part.lag} for part in own
        },
        "counts": dict(sorted(trades.totals().items())),
    }


def unready(app: Any, trades: TradesOwner) -> dict[str, str]:
    """The conditions that fail, of `assigned`, `restored` and `lag`, each with the reason; empty when ready."""
    given = {tp.partition for tp in app.assignor.assigned_actives() if tp.topic == trades.topic}
    if trades.generation < 0 and not given:
        return {"assigned": "the group has not given out its partitions yet"}
    (own,) = partition_statuses(app, trades).values()
    if missing := given - {part.number for part in own if part.restored}:
        return {"restored": f"{trades.place(sorted(missing))}: the open bars are being restored"}
    bound = trades.config.worker.ready_lag
    late = [
        f"{part.place} is {'not fetched yet' if part.lag is None else f'{part.lag} records behind'}"
        for part in own
        if part.lag is None or part.lag > bound
    ]
    return {"lag": f"{'; '.join(late)}; worker.ready_lag is {bound}"} if late else {}
