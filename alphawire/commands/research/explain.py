"""``alphawire explain``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import (
    config_option,
    format_option,
    json_option,
    plugins_option,
    print_json,
    topics_option,
)
from alphawire.commands.progress import counted
from alphawire.display.explanation import difference_text, show
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.explain.explain import Explanation
    from backtest.explain.first_difference import FirstDifference


@click.command("explain")
@click.argument("signal_ids", nargs=-1, metavar="SIGNAL_ID...")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), metavar="FILE",
    help="JSON lines or Parquet that `replay` wrote, instead of the topic",
)  # fmt: skip
@click.option("--bars", metavar="FILE", help="the file of bars behind them, instead of the topic")
@format_option
@click.option("--news", metavar="FILE", help="the file of scores behind them, with --bars")
@click.option(
    "--check", type=click.Path(path_type=Path), metavar="FILE", help="an explanation kept as JSON: does it still hold?"
)
@topics_option
@config_option
@plugins_option
@json_option
def command(
    signal_ids: tuple[str, ...],
    file: Path | None,
    bars: str | None,
    form: str | None,
    news: str | None,
    check: Path | None,
    source: str,
    config: Config,
    as_json: bool,
) -> None:
    """Where a signal came from, recomputed from its inputs and compared with what was published, to the byte; exit
    code 1 when they differ, or the symbol has bars on several partitions.
    """
    from backtest.explain.explain import explain_many
    from backtest.sources.files import files_of

    if form and not bars:
        raise click.UsageError("--format says what is what in the file of --bars: name it")
    document = _document(check) if check else None
    ids = [*signal_ids, *([str(document.get("id", ""))] if document else [])]
    if not ids or (document is not None and signal_ids):
        raise click.UsageError("give the id of a signal, or --check with an explanation")
    with counted("bars") as progress:
        given = files_of(config, bars, form) if bars else None
        explanations = explain_many(config, ids, file, given, progress, news, source)
    difference = _check(document, explanations[0]) if document else None
    if as_json:
        plain = [one.plain() for one in explanations]
        print_json(plain[0] if len(plain) == 1 else plain, indent=2)
    else:
        for one in explanations:
            show(one)
    if difference:
        click.echo(f"{check} does NOT hold: {difference_text(difference)}", err=True)
    for fault in dict.fromkeys(one.scattered for one in explanations if one.scattered):
        click.echo(fault, err=True)
    whole = all(one.reproduced and not one.scattered for one in explanations)
    sys.exit(0 if difference is None and whole else 1)


def _document(path: Path) -> dict[str, Any]:
    from schemas.errors import ConfigurationError

    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        document = None
    if not isinstance(document, dict) or not document.get("id"):
        raise ConfigurationError(f"{path} holds no explanation; write one with `alphawire explain ID --json`")
    return document


def _check(document: dict[str, Any], explanation: "Explanation") -> "FirstDifference | None":
    from backtest.explain.explain import check_document

    return check_document(document, explanation)
