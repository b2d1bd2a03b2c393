"""``alphawire gateway``."""

import asyncio
from pathlib import Path
from typing import Any

import click

from alphawire.commands.live.service import run_service
from alphawire.commands.options import config_option
from schemas.configuration import Config
from schemas.configuration.kafka_and_worker import LOOPBACK


@click.command("gateway")
@config_option
@click.option("--http-host", help="where it listens; other than loopback only with a token")
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the pages (0: any free one)")
@click.option("--token-file", type=click.Path(path_type=Path), help="its first line is the token that clients send")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line, for programs")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(config: Config, log_format: str | None, log_level: str | None, **given: Any) -> int:
    """Signals over HTTP, until SIGTERM or ctrl-C: queries, and a stream that goes on where a client left it."""
    logs = {"log_format": log_format, "log_level": log_level}
    worker = config.worker.model_copy(update={name: value for name, value in logs.items() if value})
    changed = {name: value for name, value in given.items() if value is not None}
    has_token = changed.get("token_file") or config.gateway.token_file
    if changed.get("http_host", "127.0.0.1") not in LOOPBACK and not has_token:
        raise click.UsageError("--http-host lets others read the signals; give --token-file with it")
    gateway = config.gateway.model_copy(update=changed)
    return run_service(config.model_copy(update={"worker": worker, "gateway": gateway}), _run)


def _run(config: Config) -> None:
    from streams.kafka.brokers.embedded import embedded
    from streams.service.gateway.service import run_gateway
    from streams.service.service import leave

    with embedded(config.kafka):
        asyncio.run(run_gateway(config))
    leave()
