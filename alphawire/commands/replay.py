"""``alphawire replay``."""

import json
from pathlib import Path
from typing import Any

import click

from alphawire.options import TIME, config_option, json_option, news_option, plugins_option
from alphawire.progress import counted, tell_absent, tell_gaps
from schemas.config import Config


@click.command("replay")
@click.argument("strategy")
@click.option(
    "--source",
    default="kafka",
    show_default=True,
    metavar="kafka|DIR|FILE",
    help="the bars topic, the folder of an archive, or a CSV or Parquet file of bars",
)
@news_option
@click.option("--from", "start", type=TIME, help="first close time to put out")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON lines, or Parquet for FILE.parquet")
@config_option
@plugins_option
@json_option
def command(
    strategy: str,
    source: str,
    news: str | None,
    start: int | None,
    end: int | None,
    out: Path,
    config: Config,
    as_json: bool,
) -> None:
    """Signals of STRATEGY recomputed from history, by the pipeline that runs live."""
    from backtest.replay import check_file, replay, write_signals

    check_file(out)
    with counted("bars") as progress:
        result = replay(config, strategy, source, start, end, progress, news)
    write_signals(result.raw, out)
    tell_gaps(result.gaps)
    tell_absent(config, strategy, result.bars)
    summary: dict[str, Any] = {"strategy": strategy, "bars": len(result.bars), "signals": len(result.raw)}
    summary |= {"out": str(out), "gaps": result.gaps}
    click.echo(
        json.dumps(summary) if as_json else f"{len(result.raw)} signals of {len(result.bars)} bars written to {out}"
    )
