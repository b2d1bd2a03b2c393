"""``alphawire state``: the states on the log, and how to have them folded anew."""

import asyncio
import dataclasses

import click

from alphawire.commands.control.leave_out import leave_out
from alphawire.commands.options import config_option, json_option, plugins_option, print_json
from schemas.configuration import Config


@click.group("state")
def command() -> None:
    """The states that workers keep on the log: what is there, and how to have it folded anew."""


@command.command("show")
@config_option
@plugins_option
@json_option
def show(config: Config, as_json: bool) -> None:
    """Markers, snapshots and what is in force, partition by partition; and what a worker with this configuration
    would fold again.
    """
    from plugins.strategy.ready import ready_strategy
    from streams.recovery.inspection import overview

    ready = [ready_strategy(name, strategy) for name, strategy in config.strategies.items()]
    states = asyncio.run(overview(config.kafka, ready))
    if as_json:
        print_json([dataclasses.asdict(state) for state in states])
        return
    for state in states:
        floor = "none yet" if state.floor is None else f"at {state.floor}"
        click.echo(
            f"bars/{state.partition}: log {state.begin} to {state.end}, published up to {state.marked},"
            f" round of snapshots {floor}"
        )
        for name, entry in state.applied.items():
            wished = f"{entry['artifact']} " if entry["artifact"] else ""
            model = f", model {wished}{entry['model'][:12]}" if entry["model"] else ""
            model += ", paused" if entry["paused"] else ""
            click.echo(
                f"  {name}: published up to {state.published.get(name, 0)}, configuration {entry['config_hash']} from"
                f" {entry['offset']} on, origin {entry['origin']}{model}"
            )
        for name, owner in state.owners.items():
            click.echo(f"  {name}: {owner.symbols} snapshots, {owner.bars} bars, {owner.bytes} bytes")
        for name, why in state.rebuilt.items():
            click.echo(f"  would be folded again: {'all' if name == '*' else name}: {why}")
        if state.refused:
            click.echo(f"  would be refused: {state.refused}")


@command.command("rebuild")
@click.argument("strategy")
@click.option("--partition", "only", type=int, multiple=True, help="only this one (any number of times)")
@config_option
@json_option
def rebuild(strategy: str, only: tuple[int, ...], config: Config, as_json: bool) -> None:
    """Take the snapshots of STRATEGY off the log while no worker runs (one that does writes them again): the next
    worker folds its states anew from their origin, and publishes on from where it was.
    """
    from streams.recovery.inspection import rebuild as forget

    config.strategy(strategy)
    taken = asyncio.run(forget(config.kafka, strategy, only or None))
    if as_json:
        print_json({"strategy": strategy, "snapshots": taken})
    else:
        click.echo(
            f"{sum(taken.values())} snapshots of {strategy} taken off {len(taken)} partitions;"
            " the next worker folds its states anew"
        )


command.add_command(leave_out)
