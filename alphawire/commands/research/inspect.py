"""``alphawire inspect``."""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import config_option, format_option, json_option, print_json
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
    seen = inspect(given, interval)
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
    if seen.guess_refusal:
        click.echo(f"by that preset: {seen.guess_refusal}")
    if not seen.refusal or (seen.guess and not seen.guess_refusal):
        for line in lines(seen.bars, seen.source):
            click.echo(line)
    if not seen.refusal or seen.guess:
        click.echo()
        click.echo(yaml.safe_dump(paste, sort_keys=False, allow_unicode=True).rstrip())


def _document(seen: "Inspection") -> dict[str, Any]:
    from dataclasses import asdict

    from backtest.sources.inspection import left_out, lines

    bars = seen.bars
    document: dict[str, Any] = {
        "files": seen.files, "bars": len(bars), "interval": seen.interval, "refusal": seen.refusal, "guess": seen.guess,
        "speaks_for_it": seen.speaks, "guess_refusal": seen.guess_refusal,
    }  # fmt: skip
    if not len(bars):
        return document | {"symbols": [], "left_out": asdict(left_out(seen))}
    return document | {
        "symbols": sorted(map(str, bars["symbol"].unique())),
        "first_start": int(bars["open_time"].min()),
        "last_close": int(bars["close_time"].max()),
        "columns": bars.attrs.get("columns", {}),
        "left_out": asdict(left_out(seen)),
        "lines": lines(bars, seen.source),
    }
