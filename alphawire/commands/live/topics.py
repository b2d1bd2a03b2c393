"""``alphawire topics``: make the topics, or see which are there."""

import asyncio
import json
import sys

import click

from alphawire.commands.options import config_option, json_option, prefix_option
from schemas.configuration import Config


@click.group("topics")
def command() -> None:
    """The topics that alphawire uses: bars and all that is joined with it have equal numbers of partitions."""


@command.command("create")
@click.option(
    "--partitions", type=int, is_eager=True, help="of those that are joined with bars, over the configuration's"
)
@prefix_option
@config_option
@json_option
def create(config: Config, as_json: bool) -> None:
    """Make those that are missing; harmless when all are there."""
    from streams.kafka.topics import create_topics

    result = asyncio.run(create_topics(config.kafka))
    if as_json:
        click.echo(json.dumps({"created": result.created, "existing": result.existing}))
        return
    for name in result.created:
        click.echo(f"{name}  created")
    for name in result.existing:
        click.echo(f"{name}  was there")


@command.command("list")
@prefix_option
@config_option
@json_option
def show(config: Config, as_json: bool) -> None:
    """Each topic with its number of partitions; exit code 1 when one is missing."""
    from streams.kafka.topics import TOPICS, list_topics, topic_name

    there = asyncio.run(list_topics(config.kafka))
    kept = {topic_name(config.kafka, name): spec.kept for name, spec in TOPICS.items()}
    if as_json:
        click.echo(
            json.dumps([{"topic": name, "partitions": count, "kept": kept[name]} for name, count in there.items()])
        )
    else:
        width = max(map(len, there))
        for name, count in there.items():
            click.echo(f"{name:{width}}  {'missing' if count is None else f'{count} partitions'}  {kept[name]}")
    sys.exit(1 if None in there.values() else 0)
