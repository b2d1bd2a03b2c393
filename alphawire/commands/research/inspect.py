"""``alphawire inspect``."""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import config_option, format_option, json_option, print_json
from alphawire.commands.progress import counted
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.sources.files import Files
    from backtest.sources.inspection import Inspection


@click.command("inspect")
@click.argument("files", nargs=-1, metavar="[FILE…]")
@click.option("--source", metavar="NAME", help="a source of the configuration, instead of FILEs")
@format_option
@click.option("--interval", metavar="1m", help="how long the bars are (default: what their spacing says)")
@config_option
@json_option
def command(
    files: tuple[str, ...], source: str | None, form: str | None, interval: str | None, config: Config, as_json: bool
) -> None:
    """What would be read of FILES: bars, columns, gaps, what is left out, the preset that they look like, and a source
    to paste into the configuration. Nothing is sent. Exit code 1 where the files are not read as they stand.
    """
    from backtest.sources.files import named_files
    from backtest.sources.inspection import block, inspect

    given = named_files(config, files, source, form)
    with counted("bars read") as progress:
        seen = inspect(given, interval, progress)
    name = source or re.sub(r"\W+", "_", given.name.split(".")[0]).strip("_").lower() or "files"
    paste = block(seen, given, name if name[0].isalpha() else f"files_{name}")
    if as_json:
        print_json(_document(seen) | paste)
    else:
        _show(seen, paste, given)
    sys.exit(1 if seen.refusal else 0)


def _show(seen: "Inspection", paste: dict[str, Any], given: "Files") -> None:
    import yaml

    from backtest.sources.inspection import lines

    if seen.refusal:
        click.echo(f"not read as it stands: {seen.refusal}")
    if seen.guess:
        click.echo(f"looks like preset {seen.guess}: {seen.speaks}")
    if seen.note:
        click.echo(f"of that preset: {seen.note}")
    if seen.guess_refusal:
        click.echo(f"by that preset: {seen.guess_refusal}")
    if not seen.refusal or (seen.guess and not seen.guess_refusal):
        for line in lines(seen.survey, seen.source):
            click.echo(line)
    if not seen.refusal or seen.guess:
        click.echo()
        click.echo(yaml.safe_dump(paste, sort_keys=False, allow_unicode=True).rstrip())


def _document(seen: "Inspection") -> dict[str, Any]:
    from dataclasses import asdict

    from backtest.sources.inspection import lines

    survey = seen.survey
    document: dict[str, Any] = {
        "files": seen.files, "bars": survey.bars, "interval": seen.interval, "refusal": seen.refusal,
        "guess": seen.guess, "speaks_for_it": seen.speaks, "guess_refusal": seen.guess_refusal, "note": seen.note,
        "symbols": sorted(survey.symbols), "left_out": asdict(survey.left_out),
    }  # fmt: skip
    if not survey.bars:
        return document
    return document | {
        "first_start": survey.first_start,
        "last_close": survey.last_close,
        "columns": survey.columns,
        "lines": lines(survey, seen.source),
    }
