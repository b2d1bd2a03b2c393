"""``alphawire worker``."""

import asyncio
import logging
import sys
from pathlib import Path

import click

from alphawire import __version__
from alphawire.options import config_option, plugins_option
from schemas.config import Config


@click.command("worker")
@config_option
@plugins_option
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the read-only pages (0: any free one)")
@click.option("--no-http", is_flag=True, help="without the read-only pages")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def command(config: Config, http_port: int | None, no_http: bool, log_level: str) -> None:
    """The live service: bars in, signals out, until SIGTERM or ctrl-C. Run several to share the partitions."""
    from plugins import discovery
    from plugins.strategy import ready_strategy
    from streams.brokers.embedded import embedded
    from streams.service import run_worker

    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for noisy in ("aiokafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel("ERROR" if log_level != "debug" else "DEBUG")
    for fault in discovery.faults:
        logging.getLogger("alphawire.plugins").warning("%s", fault)
    changes = {"http": False} if no_http else {"http_port": http_port} if http_port is not None else {}
    config = config.model_copy(update={"worker": config.worker.model_copy(update=changes)})
    strategies = [ready_strategy(name, strategy, Path()) for name, strategy in config.strategies.items()]
    with embedded(config.kafka):
        asyncio.run(run_worker(config, strategies, __version__))
