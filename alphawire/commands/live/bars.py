"""``alphawire bars``."""

import asyncio
from typing import Any

import click

from alphawire.commands.live.service import run_service
from alphawire.commands.options import config_option
from schemas.configuration import Config


@click.command("bars")
@config_option
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the read-only pages (0: any free one)")
@click.option("--no-http", is_flag=True, help="without the read-only pages")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line, for programs")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(config: Config, no_http: bool, http_port: int | None, **given: Any) -> int:
    """Trades in, bars out, until SIGTERM or ctrl-C. Run several to share the partitions of trades."""
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"http": False} if no_http else {}
    update: dict[str, Any] = {"worker": config.worker.model_copy(update=changes)}
    if http_port is not None:
        update["trades"] = config.trades.model_copy(update={"http_port": http_port})
    return run_service(config.model_copy(update=update), _run)


def _run(config: Config) -> None:
    from streams.kafka.brokers.embedded import embedded
    from streams.service.bar_builder import run_builder
    from streams.service.service import leave

    with embedded(config.kafka):
        asyncio.run(run_builder(config))
    leave()
