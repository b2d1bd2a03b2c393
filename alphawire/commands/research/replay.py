"""``alphawire replay``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import (
    TIME,
    config_option,
    json_option,
    news_option,
    offsets_option,
    plugins_option,
    print_json,
    source_option,
)
from alphawire.commands.progress import counted, show_absent, show_data
from schemas.configuration import Config

if TYPE_CHECKING:
    import pandas as pd

    from backtest.sources.files import Files


@click.command("replay")
@click.argument("strategy")
@source_option
@news_option
@click.option("--from", "start", type=TIME, help="first close time to put out")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@offsets_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON lines, or Parquet for FILE.parquet")
@click.option(
    "--as-configured", is_flag=True, help="all bars with today's configuration and model, whatever was in force"
)
@config_option
@plugins_option
@json_option
def command(
    strategy: str, source: str, form: str | None, news: str | None, start: int | None, end: int | None,
    offsets: dict[int, range] | None,
    out: Path, as_configured: bool, config: Config, as_json: bool,
) -> None:  # fmt: skip
    """Signals of STRATEGY recomputed from history, by the pipeline that runs live: from topics with the configuration
    and the model that were in force for each bar. Exit code 1 if one of these is not available
    here, if symbols lie on several partitions, or if there is no bar to recompute.
    """
    from backtest.replay.replay import replay
    from backtest.replay.signal_files import check_file, write_signals
    from backtest.sources.files import Files, files_of

    check_file(out)
    files = files_of(config, source, form, strategy)
    if isinstance(files, Files) and offsets is None:
        _of_files(config, strategy, files, out, (start, end), news, as_json)
    with counted("bars") as progress:
        result = replay(config, strategy, files, start, end, progress, offsets, as_configured=as_configured, news=news)
    write_signals(result.raw, out)
    data = show_data(result.gaps, result.left_out, result.news_left_out, result.scattered)
    for fault in result.lacking:
        click.echo(f"not recomputed: {fault}", err=True)
    if result.other and not as_configured:
        warning = f"configuration {result.other} is in force, not the one here; --as-configured replays with this one"
        click.echo(warning, err=True)
    summary: dict[str, Any] = {"strategy": strategy, "bars": len(result.bars), "signals": len(result.raw)}
    summary |= {"out": str(out), "lacking": result.lacking} | data
    empty = _show(config, strategy, summary, result.bars, as_json)
    sys.exit(1 if result.lacking or result.scattered or empty else 0)


def _of_files(
    config: Config, strategy: str, files: "Files", out: Path, closes: tuple[int | None, int | None], news: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    from backtest.replay.replay_to_file import replay_to_file

    with counted("bars") as progress:
        result = replay_to_file(config, strategy, files, out, closes, progress, news)
    data = show_data([], result.left_out, result.news_left_out)
    summary: dict[str, Any] = {"strategy": strategy, "bars": result.bars.total(), "signals": result.signals}
    empty = _show(config, strategy, summary | {"out": str(out), "lacking": []} | data, result.symbols, as_json)
    sys.exit(1 if empty else 0)


def _show(config: Config, strategy: str, summary: dict[str, Any], bars: "pd.DataFrame", as_json: bool) -> bool:
    """The end of the command; whether no bar was used."""
    from backtest.sources.universes import bars_of
    from plugins.strategy.universe import universe_of

    show_absent(config, strategy, bars)
    if as_json:
        print_json(summary)
    else:
        click.echo(f"{summary['signals']} signals of {summary['bars']} bars written to {summary['out']}")
    empty = not len(bars_of(universe_of(strategy, config.strategy(strategy)), bars))
    if empty:
        click.echo("no bar was used: look at --from, --to, the universe, and what was left out", err=True)
    return empty
