"""``alphawire dead-letters``: what could not be used; see it, mend it, put it back."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alphawire.commands.options import TIME, config_option, json_option, prefix_option, print_json
from alphawire.display.dead_letters import (
    absent_text,
    details,
    letter_text,
    list_line,
    outcome,
    result_text,
    summary,
)
from schemas.configuration import Config
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from streams.dead_letters.letters import Choice

F = TypeVar("F", bound=Callable[..., Any])


@click.group("dead-letters")
def command() -> None:
    """What could not be used, as it came: list it, show it, mend it and put it back, each letter once."""


def choice_options(command: F) -> F:
    for option in reversed(
        [
            click.option("--error", "errors", multiple=True, help="only of this class (several times: of these)"),
            click.option("--from", "start", type=TIME, help="first time of a record (a bar's close)"),
            click.option("--to", "end", type=TIME, help="time to stop before"),
            click.option("--partition", "of_partitions", multiple=True, type=click.IntRange(0), help="only of it"),
        ]
    ):
        command = option(command)
    return command


def _choice(values: dict[str, Any], places: tuple[str, ...] = ()) -> "Choice":
    from streams.dead_letters.letters import Choice, Place

    return Choice(
        frozenset(values["errors"]), frozenset(values["of_partitions"]), frozenset(map(Place.parse, places)),
        values["start"], values["end"],
    )  # fmt: skip


@command.command("list")
@choice_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="the newest of each partition")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="write them there too, to mend: JSON lines"
)
@prefix_option
@config_option
@json_option
def show_list(config: Config, limit: int, out: Path | None, as_json: bool, **values: Any) -> None:
    """How many there are of each class of error, and the newest."""
    from streams.dead_letters.letters import find_letters

    results = asyncio.run(find_letters(config.kafka, _choice(values), limit))
    if out is not None:
        lines = (json.dumps(details(letter, letter.place in results.replayed)) for letter in results.letters)
        out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if as_json:
        letters = [summary(letter, letter.place in results.replayed) for letter in results.letters]
        print_json({"counts": dict(results.counts), "foreign": results.foreign, "letters": letters})
        return
    for letter in results.letters:
        click.echo(list_line(letter, letter.place in results.replayed))
    counts = ", ".join(f"{count} {error}" for error, count in sorted(results.counts.items()))
    click.echo(f"{results.counts.total()} dead letters{f': {counts}' if counts else ''}")
    if results.foreign:
        click.echo(f"{results.foreign} records on the topic are no letters of alphawire")


@command.command("show")
@click.argument("places", nargs=-1, required=True, metavar="PARTITION:OFFSET...")
@prefix_option
@config_option
@json_option
def show(places: tuple[str, ...], config: Config, as_json: bool) -> None:
    """One letter with all that is known of it; with --json as a line that `replay --file` takes when it is mended."""
    from streams.dead_letters.letters import Choice, Place, find_letters

    wanted = frozenset(map(Place.parse, places))
    results = asyncio.run(find_letters(config.kafka, Choice(places=wanted)))
    if absent := sorted(wanted - {letter.place for letter in results.letters}):
        raise ConfigurationError(absent_text(absent))
    for letter in results.letters:
        about = details(letter, letter.place in results.replayed)
        print_json(about) if as_json else click.echo(letter_text(about, letter))


@command.command("replay")
@click.argument("places", nargs=-1, metavar="[PARTITION:OFFSET]...")
@choice_options
@click.option("--all", "everything", is_flag=True, help="every letter that was not put back yet")
@click.option("--file", type=click.Path(path_type=Path), help="mended ones, JSON lines as `show --json` has them")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="set a field in each of them")
@click.option("--unset", multiple=True, metavar="FIELD", help="leave a field out of each of them")
@click.option("--dry-run", is_flag=True, help="only say what would become of each")
@prefix_option
@config_option
@json_option
def replay(
    places: tuple[str, ...], everything: bool, file: Path | None, fields: tuple[str, ...], unset: tuple[str, ...],
    dry_run: bool, config: Config, as_json: bool, **values: Any,
) -> None:  # fmt: skip
    """Put letters back on the topic that they came from, mended or as they are, each once; exit code 1 when one cannot
    go back.
    """
    from streams.consuming.clock_bound import latest_open
    from streams.dead_letters.mending import Mend, assignments, read_mended
    from streams.dead_letters.reinjection import replay_letters

    mended = read_mended(file) if file is not None else {}
    chosen = (*places, *map(str, mended)) if file is not None or places else ()
    if not (chosen or everything or any(value not in ((), None) for value in values.values())):
        raise ConfigurationError("which letters? Name them, give --file, --error or another condition, or --all")
    mend = Mend(mended, assignments(fields), frozenset(unset), latest_open(config.worker, time.time()))
    result = asyncio.run(replay_letters(config.kafka, _choice(values, chosen), mend, dry_run))
    print_json(outcome(result, dry_run)) if as_json else click.echo(result_text(result, dry_run))
    sys.exit(1 if result.refused or result.missing else 0)
