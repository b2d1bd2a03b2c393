"""``alphawire topics``: make the topics, or see which are there, and how the broker keeps them."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import config_option, json_option, prefix_option, print_json
from schemas.configuration import Config

if TYPE_CHECKING:
    from streams.kafka.topics.status import TopicStatus


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
    """Make those that are missing; harmless when all are there. `topics list` shows how those are kept."""
    from streams.kafka.topics import create_topics

    result = asyncio.run(create_topics(config.kafka))
    if as_json:
        print_json({"created": result.created, "existing": result.existing})
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
    """Each topic with its partitions and how the broker keeps it, and where that is not as intended.

    Exit code 1 when a topic is missing, or kept so that no service starts.
    """
    from streams.kafka.topics.status import topic_statuses

    statuses = asyncio.run(topic_statuses(config.kafka))
    if as_json:
        print_json([_entry(status) for status in statuses])
    else:
        width = max(len(status.full_name) for status in statuses)
        for status in statuses:
            _print(status, width)
    failed = any(status.partitions is None or any(fault.refused for fault in status.faults) for status in statuses)
    sys.exit(1 if failed else 0)


def _entry(status: "TopicStatus") -> dict[str, Any]:
    return {
        "topic": status.full_name,
        "partitions": status.partitions,
        "kept": _kept(status),
        "intended": _intended(status),
        "differences": {
            setting: {"broker": value, "intended": wanted} for setting, (value, wanted) in _differences(status).items()
        },
        "faults": [{"fault": str(fault), "refused": fault.refused} for fault in status.faults],
    }


def _print(status: "TopicStatus", width: int) -> None:
    count = "missing" if status.partitions is None else f"{status.partitions} partitions"
    kept, intended = _kept(status), _intended(status)
    beside = "" if kept in (None, intended) else f"  (intended: {intended})"
    click.echo(f"{status.full_name:{width}}  {count}  {kept or intended}{beside}")
    at_fault = {fault.setting for fault in status.faults}
    for setting, (value, wanted) in _differences(status).items():
        if setting not in at_fault:
            click.echo(f"    {setting}={value} (intended: {wanted})")
    for fault in status.faults:
        word = "refused: " if fault.refused else ""
        click.echo(f"    {word}{fault.setting}={fault.value}: {fault.effect}; set {fault.setting}={fault.mend}")


def _kept(status: "TopicStatus") -> str | None:
    """In words, as the broker has it; None where it is missing."""
    from streams.kafka.topics.settings import kept

    return None if status.partitions is None else kept(status.settings or {})


def _intended(status: "TopicStatus") -> str:
    from streams.kafka.topics import TOPICS
    from streams.kafka.topics.settings import kept

    return kept(TOPICS[status.name].settings)


def _differences(status: "TopicStatus") -> dict[str, tuple[str, str]]:
    from streams.kafka.topics.settings import differences

    return differences(status.name, status.settings or {})
