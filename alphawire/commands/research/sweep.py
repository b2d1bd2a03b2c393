"""``alphawire sweep``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import (
    TIME,
    config_folder,
    config_option,
    json_option,
    news_option,
    plugins_option,
    print_json,
    source_option,
)
from alphawire.commands.progress import counted, show_absent, show_data
from alphawire.commands.research.backtest import trusted
from alphawire.news_scores import news_of
from schemas.configuration import Config

if TYPE_CHECKING:
    import pandas as pd

    from backtest.sources.files import Files
    from backtest.sweep.points import Sweep

SHOWN = 10


@click.command("sweep")
@click.argument("strategy")
@click.option(
    "--grid", "given", multiple=True, required=True, metavar="KEY=V1,V2",
    help="values of a setting, such as signal.buy_threshold=0.01,0.02 (any number of times)",
)  # fmt: skip
@click.option("--engine", default="ledger", show_default=True, metavar="KEY")
@source_option
@news_option
@click.option("--from", "start", type=TIME, help="first close time to trade on; earlier bars warm up")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option("--per-symbol", is_flag=True, help="each symbol alone, with the whole capital")
@click.option(
    "--retrain", type=click.IntRange(1, 1000), default=None, metavar="N",
    help="train the model at each point, N times as time goes on, on what was known before; without --from the second"
    " half is traded",
)  # fmt: skip
@click.option(
    "--walk-forward", "windows", type=click.IntRange(2), default=None, metavar="N", help="in N windows of time"
)
@click.option("--backend", type=click.Choice(["loky", "threading", "dask", "ray"]), default="loky", show_default=True)
@click.option("--address", metavar="URL", help="of the Dask or Ray cluster (none: one on this machine)")
@click.option(
    "--jobs", type=int, default=-1, show_default=True, help="how many at once (-1: as many as there are cores)"
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="a new one, or this sweep's")
@config_option
@plugins_option
@json_option
def command(
    strategy: str,
    given: tuple[str, ...],
    source: str,
    form: str | None,
    news: str | None,
    start: int | None,
    end: int | None,
    retrain: int | None,
    windows: int | None,
    out: Path,
    config: Config,
    as_json: bool,
    **options: Any,
) -> None:
    """STRATEGY at every combination of the --grid settings, through one engine; a run that died is gone on with."""
    from backtest.sources.bars import log_gaps, log_scattered
    from backtest.sources.files import files_of
    from backtest.sources.log import find_log
    from backtest.sweep.folder import SUMMARY
    from backtest.sweep.grid import parse_grid, points
    from backtest.sweep.sweep import sweep
    from backtest.training.retraining import retraining_of
    from backtest.trials.trials import Ledger
    from streams.ingest.bar_files import Refused, refused

    grid = parse_grid(given)
    files = files_of(config, source, form, strategy)
    bars = _bars(config, strategy, files, end)
    show_absent(config, strategy, bars)
    unused = Refused()
    seen = news_of(config, strategy, find_log(config, files), news, unused)
    data = show_data(log_gaps(bars), refused(bars), unused, log_scattered(bars))
    ledger = Ledger(config_folder())
    retraining = retraining_of(config, strategy, bars, start, retrain, seen) if retrain else None
    count = len(points(grid)) * (bars["symbol"].nunique() if options["per_symbol"] else 1)
    with counted("points", count) as progress:
        done = sweep(
            config,
            strategy,
            bars,
            grid,
            out,
            start=retraining.start if retraining else start,
            retraining=retraining,
            windows=windows or 0,
            news=seen,
            ledger=ledger,
            progress=progress,
            **options,
        )
    if as_json:
        print_json(json.loads((out / SUMMARY).read_text(encoding="utf-8")) | data, indent=2)
    else:
        if retraining:
            click.echo(retraining.description)
        _show(done, out)


def _bars(config: Config, strategy: str, source: "str | Files", end: int | None) -> "pd.DataFrame":
    from backtest.sources.bars import distinct, file_bars, topic_bars
    from backtest.sources.log import find_log
    from streams.ingest.bar_files import select_bars

    interval = config.strategy(strategy).interval
    log = find_log(config, source)
    with counted("bars") as progress:
        bars = topic_bars(log, interval, progress) if log else distinct(file_bars(source, interval))
    return select_bars(bars, end=end)


def _show(done: "Sweep", out: Path) -> None:
    from dataclasses import asdict

    from rich.box import SIMPLE
    from rich.table import Table

    from alphawire.display.tables import print_table
    from backtest.report.report import METRICS, shown

    names = ("sharpe", "total_return", "max_drawdown", "trades")
    alone = any(point.symbol for point in done.points)
    keys = list(done.best.parameters)
    table = Table("point", *(["symbol"] if alone else []), *keys, *(METRICS[name][0] for name in names), box=SIMPLE)
    for point in sorted(done.points, key=lambda point: -point.sharpe)[:SHOWN]:
        values = [shown(point.metrics.get(name), METRICS[name][1]) for name in names]
        symbol = [point.symbol or ""] if alone else []
        table.add_row(str(point.number), *symbol, *(str(v) for v in point.parameters.values()), *values)
    print_table(table)
    if done.resumed:
        click.echo(f"{done.resumed} points were there from an earlier run")
    if done.verdict.overfitting is not None:
        click.echo(f"probability of backtest overfitting: {done.verdict.overfitting:.1%}")
    click.echo(trusted(asdict(done.verdict)))
    click.echo(f"{out / 'report.html'}: the page; beside it sweep.csv and sweep.json")
