"""``alphawire resample``."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import config_option, format_option, json_option, prefix_option, print_json
from alphawire.commands.progress import counted, show_data
from schemas.configuration import Config
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

KINDS = (".parquet", ".csv")


@click.command("resample")
@click.argument("files", nargs=-1, metavar="[FILE…]")
@click.option("--source", metavar="SOURCE", help="instead of FILEs: kafka, an archive, or a name of `sources`")
@format_option
@click.option("--interval", metavar="1m", required=True, help="how long the bars are")
@click.option("--into", metavar="1h", required=True, help="how long the new ones are: a multiple")
@click.option("--session", metavar="XNYS", help="with --into 1d: a market's sessions instead of days by UTC")
@click.option("--out", metavar="FILE|kafka", required=True, help="a .parquet or .csv file, or the topic bars")
@prefix_option
@config_option
@json_option
def command(
    files: tuple[str, ...], source: str | None, form: str | None, interval: str, into: str, session: str | None,
    out: str, config: Config, as_json: bool,
) -> None:  # fmt: skip
    """Bars of FILES, or of a SOURCE, to bars of a longer interval, as features with an `interval` see them.

    A longer bar that is still forming at the end of the data is left out. Exit code 1 if none is complete.
    """
    from backtest.sources.resampling import resampled

    if out != "kafka" and Path(out).suffix not in KINDS:
        raise ConfigurationError(f"--out {out}: give a file {' or '.join(KINDS)}, or kafka")
    with counted("bars") as progress:
        bars = _bars(config, files, source, form, interval, progress)
    longer = resampled(bars, interval, into, session)
    data = _shown(bars)
    _put(config, longer, out)
    partial = int(longer["partial"].sum())
    if as_json:
        print_json({"bars": len(bars), "out": out, "longer": len(longer), "partial": partial} | data)
    else:
        where = f"sent to the topic bars at {config.kafka.bootstrap}" if out == "kafka" else f"written to {out}"
        click.echo(
            f"{len(longer):,} bars of {into} out of {len(bars):,} of {interval} {where}; {partial:,} are partial"
        )
    sys.exit(0 if len(longer) else 1)


def _bars(
    config: Config, files: tuple[str, ...], source: str | None, form: str | None, interval: str, progress: Any
) -> "pd.DataFrame":
    from backtest.sources.bars import file_bars, topic_bars
    from backtest.sources.files import files_of, named_files
    from backtest.sources.log import find_log

    given = named_files(config, files, source, form) if files or not source else files_of(config, source, form)
    log = find_log(config, given)
    return file_bars(given, interval) if log is None else topic_bars(log, interval, progress)


def _shown(bars: "pd.DataFrame") -> dict[str, Any]:
    """What of the data was missing or could not be used."""
    from backtest.sources.bars import log_gaps, log_scattered
    from streams.ingest.bar_files import Refused, refused

    return show_data(log_gaps(bars), refused(bars), Refused(), log_scattered(bars))


def _put(config: Config, longer: "pd.DataFrame", out: str) -> None:
    from schemas.atomic import atomic_write
    from streams.ingest.produce import produce_bars

    if out == "kafka":
        with counted("bars", len(longer)) as progress:
            asyncio.run(produce_bars(config.kafka, longer, progress=progress))
        return
    with atomic_write(Path(out)) as aside:
        if out.endswith(".csv"):
            longer.to_csv(aside, index=False)
        else:
            longer.to_parquet(aside, index=False)
