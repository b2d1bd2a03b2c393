"""``alphawire state leave-out``: bars that end their symbol, and the way back."""

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from alphawire.commands.options import config_option, json_option, plugins_option, print_json
from schemas.configuration import Config
from schemas.errors import AlphawireError, ConfigurationError

if TYPE_CHECKING:
    from streams.recovery.leave_out import Ending

SHOWN = 10


def place(text: str) -> tuple[int, int]:
    """``PARTITION:OFFSET``; `ConfigurationError` for anything else."""
    if not re.fullmatch(r"[0-9]+:[0-9]+", text):
        raise ConfigurationError(f"--at {text}: write PARTITION:OFFSET, such as 0:1234")
    partition, offset = text.split(":")
    return int(partition), int(offset)


@click.command("leave-out")
@click.argument("symbol")
@click.option(
    "--at", "places", multiple=True, metavar="PARTITION:OFFSET",
    help="the bar (any number of times); without it, the bars that make later ones late are listed",
)  # fmt: skip
@click.option("--new-origin", is_flag=True, help="also where the log no longer holds all that is in the states")
@config_option
@plugins_option
@json_option
def leave_out(symbol: str, places: tuple[str, ...], new_origin: bool, config: Config, as_json: bool) -> None:
    """Have a bar of SYMBOL be in no state any more: later bars, which were late because of it, are taken again. It is
    in force from where the partition's next owner goes on: restart the worker. Signals of before stay.
    """
    if not places:
        _list(config, symbol, as_json)
        return
    from plugins.strategy.ready import ready_strategy
    from streams.recovery.leave_out import leave_out as ask

    ready = [ready_strategy(name, strategy) for name, strategy in config.strategies.items()]
    asked = asyncio.run(ask(config.kafka, ready, symbol, [place(text) for text in places], new_origin))
    running = _running(config)
    if as_json:
        bars = [{"partition": bar.partition, "offset": bar.offset, "interval": bar.interval} for bar in asked]
        print_json({"symbol": symbol, "left_out": bars, "workers": running})
        return
    for bar in asked:
        click.echo(f"{bar.topic}/{bar.partition} offset {bar.offset} ({symbol} {bar.interval}) is left out", nl=False)
        click.echo(" from where the partition's next owner goes on" + (": restart the workers" if running else ""))


def _running(config: Config) -> int | None:
    """How many workers there are; None where the broker does not tell."""
    from streams.recovery.inspection import running

    try:
        return asyncio.run(running(config.kafka))
    except AlphawireError:
        return None


def _list(config: Config, symbol: str, as_json: bool) -> None:
    from streams.kafka.log import KafkaLog
    from streams.recovery.leave_out import endings

    found = asyncio.run(endings(KafkaLog(config.kafka), symbol))
    if as_json:
        print_json({"symbol": symbol, "endings": [_plain(ending) for ending in found]})
        return
    for ending in found[:SHOWN]:
        click.echo(
            f"bars/{ending.partition} offset {ending.offset}: the bar of {ending.bar.interval} from"
            f" {_utc(ending.bar.open_time)} makes {ending.late} later ones late; leave it out with"
            f" --at {ending.partition}:{ending.offset}"
        )
    if len(found) > SHOWN:
        click.echo(f"and {len(found) - SHOWN} more")
    if not found:
        click.echo(f"no bar of {symbol} makes later ones late")


def _plain(ending: "Ending") -> dict[str, object]:
    bar = ending.bar
    return {
        "partition": ending.partition, "offset": ending.offset, "interval": bar.interval,
        "open_time": bar.open_time, "close_time": bar.close_time, "late": ending.late,
    }  # fmt: skip


def _utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
