"""``alphawire broker``: a broker for development."""

import signal
from pathlib import Path
from typing import Any

import click

from alphawire.commands.options import json_option, print_json
from schemas.errors import BrokerError


@click.command("broker")
@click.option("--engine", type=click.Choice(["tansu", "kafka"]), default="tansu", show_default=True,
              help="tansu: embedded, data in memory; kafka: Apache Kafka, which needs Java and Maven")  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="on loopback; 0 picks a free one"
)
@click.option("--data", "data_dir", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="where Apache Kafka keeps its data (default: nowhere)")  # fmt: skip
@json_option
def command(engine: str, port: int, data_dir: Path | None, as_json: bool) -> None:
    """A Kafka broker for development on this machine, until ctrl-C or SIGTERM; it leaves no process behind."""
    from streams.kafka.brokers import ENGINES, start_broker

    signal.signal(signal.SIGTERM, _interrupt)
    broker = None
    try:
        if not as_json:
            click.echo(f"starting {ENGINES[engine].title} …", err=True)
        broker = start_broker(engine, port, data_dir)
        if as_json:
            print_json({"bootstrap": broker.bootstrap, "engine": engine, "pid": broker.pid, "log": str(broker.log)})
        else:
            click.echo(f"{broker.bootstrap} is ready ({ENGINES[engine].title}; log: {broker.log}); ctrl-C ends it")
        broker.wait()
        raise BrokerError(f"the broker ended by itself: {broker.said or 'its log is empty'}")
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    finally:
        if broker is not None:
            broker.stop()


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
