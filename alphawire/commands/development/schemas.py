"""``alphawire schemas``: JSON Schemas of the messages, and the schema of signals in a registry."""

import asyncio
from pathlib import Path

import click

from alphawire.commands.options import config_option, json_option, print_json
from schemas import export
from schemas.configuration import Config
from schemas.errors import ConfigurationError


@click.group("schemas", invoke_without_command=True)
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=export.FOLDER,
    help="where to write them (default: schemas/json, as shipped)",
)
@click.option("--check", is_flag=True, help="write nothing; exit code 1 when a file there differs from the code")
@click.pass_context
def command(context: click.Context, folder: Path, check: bool) -> int:
    """JSON Schemas of the messages, one file a topic, for consumers in other languages."""
    if context.invoked_subcommand:
        return 0
    if not check:
        for path in export.write(folder):
            click.echo(path)
        return 0
    names = export.stale(folder)
    for name in names:
        click.echo(f"{folder / name}: not what the code says; run `alphawire schemas --out {folder}`", err=True)
    return 1 if names else 0


@command.command("register")
@config_option
@json_option
def register(config: Config, as_json: bool) -> None:
    """The Avro schema of signals, in the registry of the configuration, under the topic's name and -value; harmless
    when it is there. Workers with kafka.encoding {signals: avro} need it.
    """
    from schemas.wire.avro_signals import schema_text
    from streams.kafka.schema_registry import register as registered
    from streams.kafka.topics import topic_name

    if config.kafka.registry is None:
        raise ConfigurationError("the configuration names no registry: set kafka.registry: {url: …}")
    subject = f"{topic_name(config.kafka, 'signals')}-value"
    number = asyncio.run(registered(config.kafka.registry, subject, schema_text()))
    if as_json:
        print_json({"subject": subject, "id": number})
    else:
        click.echo(f"{subject}  schema {number}")
