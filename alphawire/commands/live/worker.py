"""``alphawire worker``."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import click

from alphawire import __version__
from alphawire.commands.live.service import run_service
from alphawire.commands.options import config_option, plugins_option
from schemas.configuration import Config

TABLE = "-"
WEEKENDS = (
    "strategies.%s: signals hold for %s, over no weekend; name the market in execution.calendar (24/7: it never"
    " closes), or give valid_for"
)


@click.command("worker")
@config_option
@plugins_option
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the read-only pages (0: any free one)")
@click.option("--no-http", is_flag=True, help="without the read-only pages")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line, for programs")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--trace", is_flag=False, flag_value=TABLE, metavar="[FILE]",
    help="log where the time of each bar goes, as a table; FILE: the times, one JSON object for each run of bars",
)  # fmt: skip
def command(config: Config, no_http: bool, trace: str | None, **given: Any) -> int:
    """The live service: bars in, signals out, until SIGTERM or ctrl-C. Run several to share the partitions."""
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"http": False} if no_http else {}
    config = config.model_copy(update={"worker": config.worker.model_copy(update=changes)})
    return run_service(config, lambda settings: _run(settings, trace))


def _run(config: Config, trace: str | None) -> None:
    from plugins.base.loading import discovery
    from plugins.strategy.ready import ready_strategy
    from plugins.strategy.validity import overlooks_weekends
    from streams.kafka.brokers.embedded import embedded
    from streams.process.trace import tracing
    from streams.service.service import leave, run_worker

    for fault in discovery.faults:
        logging.getLogger("alphawire.plugins").warning("%s", fault)
    strategies = [ready_strategy(name, strategy, Path()) for name, strategy in config.strategies.items()]
    for name in filter(lambda name: overlooks_weekends(config.strategies[name]), config.strategies):
        logging.getLogger("alphawire.strategy").warning(WEEKENDS, name, config.strategies[name].interval)
    with contextlib.ExitStack() as stack:
        stack.enter_context(embedded(config.kafka))
        if trace is not None:
            stack.enter_context(tracing(None if trace == TABLE else Path(trace)))
        asyncio.run(run_worker(config, strategies, __version__))
    leave()
