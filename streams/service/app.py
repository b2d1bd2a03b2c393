"""The Faust apps: of a worker, with agents for bars, listing requests and predictions; and of a builder of bars."""

import logging
from typing import Any
from uuid import uuid4

import faust
from faust.tables import TableManager
from faust.types import TP

from schemas.configuration import Config
from streams.consuming.owner_group import OwnerGroup
from streams.consuming.transport import ChunkSchema, FetchWait, Owner
from streams.kafka.clients import client_settings
from streams.kafka.topics import topic_name
from streams.owners.bars_owner import BarsOwner
from streams.owners.chunk_owner import ChunkOwner
from streams.owners.cross_section_owner import CrossSectionOwner
from streams.owners.trades.owner import TradesOwner
from streams.process.exits import Die, no_silent_end
from streams.publishing.writer import Writer
from streams.service.listing import reply_records
from streams.service.members import GroupMembers, this_worker

log = logging.getLogger("alphawire.app")
HEARTBEAT = 0.3
"""Seconds, whatever the session's timeout: a member learns of a rebalance by its next heartbeat, and the first one to
learn of it stands still until the last one has.
"""
GROUP_COMMIT = 1.0
"""Seconds between two looks at what the group's offsets should be, for those who watch its lag."""


class NoTables(TableManager):  # type: ignore[misc]
    """Stock waits for a second at the start, for tables; there are none."""

    async def sleep(self, _seconds: Any, **_: Any) -> None:
        """Not at all."""


class SignalApp(faust.App):  # type: ignore[misc]
    """Faust's app with the owner that the transport asks, and the size of a chunk."""

    owner: Owner
    members: GroupMembers | None = None
    cross_sections: CrossSectionOwner | None
    chunk_records: int
    fetch_wait: FetchWait

    def _create_directories(self) -> None:
        """None: state lives on the log, so Faust's data folder would only litter the current one."""


def create_app(
    config: Config, bars: BarsOwner, writer: Writer, fetch_wait: FetchWait, cross_sections: CrossSectionOwner | None
) -> SignalApp:
    """An app that feeds the owner of the bars, and that of cross-sections where there are any; topics must exist. They
    resume by their own positions, so the group's offsets tell lag only.
    """
    own = this_worker(config.kafka, bars.strategies, bars.factory.exactly_once)
    # who is meant, and how it is configured, in what the group's leader tells of all
    app = _app(config, config.kafka.group, own.url(), fetch_wait)
    app.members = GroupMembers(own)
    app.owner = OwnerGroup(bars.die, [bars, cross_sections] if cross_sections else [bars])
    _add_agents(app, config, bars, writer)
    app.cross_sections = cross_sections
    if cross_sections is not None:
        _add_agent(app, "predictions", cross_sections)
    return app


def create_builder_app(config: Config, trades: TradesOwner, fetch_wait: FetchWait) -> SignalApp:
    """An app that feeds the owner of the trades, in a group of its own."""
    app = _app(config, f"{config.kafka.group}-bars", f"alphawire://{uuid4()}/", fetch_wait)
    app.owner = OwnerGroup(trades.die, [trades])
    app.cross_sections = None
    _add_agent(app, "trades", trades)
    _take_over_after_rebalances(app, trades.die)
    return app


def _app(config: Config, group: str, url: str, fetch_wait: FetchWait) -> SignalApp:
    kafka, settings = config.kafka, config.worker
    app = SignalApp(
        group,
        broker=f"alphawire://{kafka.bootstrap.replace(',', ';alphawire://')}",
        broker_credentials=_credentials(config),
        broker_session_timeout=kafka.session_timeout,
        broker_heartbeat_interval=HEARTBEAT,
        broker_request_timeout=max(30.0, 2 * kafka.session_timeout),
        broker_max_poll_interval=600.0,
        broker_commit_interval=max(GROUP_COMMIT, settings.commit_interval),
        producer_request_timeout=20.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1 << 20,
        stream_buffer_maxsize=4,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        table_standby_replicas=1,
        TableManager=NoTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        processing_guarantee="at_least_once",
        web_enabled=False,  # of Faust's own pages: tables, routes, sensors; ours are in `streams.service.web`
        canonical_url=url,
        worker_redirect_stdouts=False,
    )
    app.chunk_records = settings.chunk
    app.fetch_wait = fetch_wait
    return app


def _credentials(config: Config) -> Any:
    settings = client_settings(config.kafka)
    context = settings.get("ssl_context")
    if "sasl_mechanism" in settings:
        return faust.SASLCredentials(
            username=settings["sasl_plain_username"],
            password=settings["sasl_plain_password"],
            mechanism=settings["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _add_agents(app: SignalApp, config: Config, owner: BarsOwner, writer: Writer) -> None:
    _add_agent(app, "bars", owner)
    requests_topic = app.topic(topic_name(config.kafka, "plugins.requests"), schema=ChunkSchema())

    @app.agent(requests_topic, name="listing")  # type: ignore[untyped-decorator]
    async def listing(stream: Any) -> None:
        async for chunk in stream:
            await writer.write(0, reply_records(config.kafka, chunk.records))

    _take_over_after_rebalances(app, owner.die)


def _add_agent(app: SignalApp, name: str, owner: ChunkOwner[Any, Any]) -> None:
    """One that feeds the owner of its topic, and tells it where that ends."""

    @app.agent(app.topic(owner.topic, schema=ChunkSchema()), name=name)  # type: ignore[untyped-decorator]
    async def agent(stream: Any) -> None:
        async for chunk in stream:
            await owner.feed(chunk)

    if isinstance(owner, CrossSectionOwner):
        owner.log_end = lambda number: app.consumer.log_end(TP(owner.topic, number)) if app.consumer else None


def _take_over_after_rebalances(app: SignalApp, die: Die) -> None:
    async def restore(_app: Any, **_: Any) -> None:
        assigned = {TP(tp.topic, tp.partition) for tp in app.consumer.assignment()}
        with no_silent_end(die, "taking partitions over"):
            if app.members is not None:
                app.members.look(app.assignor.external_topic_distribution)
            await app.owner.on_assigned(assigned, app.consumer_generation_id)

    app.on_rebalance_complete.connect(restore, weak=False)
