"""``alphawire backtest``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import (
    TIME,
    config_folder,
    config_option,
    json_option,
    news_option,
    offsets_option,
    plugins_option,
    print_json,
    source_option,
)
from alphawire.commands.progress import counted, show_absent, show_data, show_missing
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.replay.replay import ReplayResult

SHOWN = (
    "final_equity", "total_return", "cagr", "volatility", "sharpe", "max_drawdown", "trades", "win_rate",
    "profit_factor", "turnover", "exposure", "fills",
)  # fmt: skip


@click.command("backtest")
@click.argument("strategy", required=False)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    default=("ledger",),
    show_default=True,
    metavar="KEY",
    help="an engine; give it several times for several",
)
@source_option
@click.option(
    "--compare", nargs=2, type=click.Path(path_type=Path), metavar="A B",
    help="instead of a STRATEGY: two folders of backtests side by side, as a page --out FILE.html",
)  # fmt: skip
@news_option
@click.option("--from", "start", type=TIME, help="first close time to trade on")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@offsets_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="a new or empty folder, or an earlier backtest's",
)
@config_option
@plugins_option
@json_option
def command(
    strategy: str | None,
    engines: tuple[str, ...],
    source: str,
    form: str | None,
    news: str | None,
    compare: tuple[Path, Path] | None,
    start: int | None,
    end: int | None,
    offsets: dict[int, range] | None,
    out: Path,
    config: Config,
    as_json: bool,
) -> None:
    """STRATEGY replayed through backtest engines: trades, equity and metrics in a folder, and a report to look at.

    Signals come from the pipeline that runs live, and are filled at the symbol's next open unless the strategy's
    execution section says otherwise.
    """
    if compare:
        _compare(compare, out, as_json)
        return
    if strategy is None:
        raise click.UsageError("name a STRATEGY, or two folders with --compare")
    from backtest.engines.backtest import SUMMARY, check_engines, check_folder, run_backtest
    from backtest.engines.in_sample import told_in_sample
    from backtest.replay.replay import replay
    from backtest.sources.files import files_of
    from backtest.trials.trials import Ledger

    keys = list(dict.fromkeys(engines))
    chosen = config.strategy(strategy)
    files = files_of(config, source, form, strategy)
    check_engines(keys)
    check_folder(out)
    with counted("bars") as progress:
        replayed = replay(config, strategy, files, start, end, progress, offsets, as_configured=True, news=news)
    data = show_data(replayed.gaps, replayed.left_out, replayed.news_left_out, replayed.scattered)
    show_absent(config, strategy, replayed.bars)
    data["missing_bars"] = show_missing(config, strategy, replayed.bars)
    used = replayed.raw[0].content.config_hash if replayed.raw else ""
    with counted("engines", len(keys)) as done:
        run_backtest(
            chosen, replayed.bars, replayed.signals, keys, out,
            name=strategy, config_hash=used, config=replayed.config, progress=done, ledger=Ledger(config_folder()),
            notes=[*_notes(replayed), *_missing(data["missing_bars"]), *told_in_sample(chosen, replayed.signals)],
        )  # fmt: skip
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    if as_json:
        print_json(summary | {"out": str(out)} | data)
    else:
        _show(summary, out)
    sys.exit(1 if replayed.scattered else 0)


def _notes(replayed: "ReplayResult") -> list[str]:
    """Notes on the data, for the top of the page."""
    notes = [f"{replayed.scattered}."] if replayed.scattered else []
    notes += [f"A gap in the log: {gap}." for gap in replayed.gaps]
    for what, left in (("bars", replayed.left_out), ("rows of news", replayed.news_left_out)):
        notes += [f"Of the {what}, {left.rows} were left out: {left}."] if left.rows else []
    return notes


def _missing(gaps: dict[str, Any]) -> list[str]:
    """What the data lacks, for the top of the page."""
    return [f"{gaps['text']}. Positions are held across them, and prices jump."] if gaps["text"] else []


def _compare(folders: tuple[Path, Path], out: Path, as_json: bool) -> None:
    from backtest.engines.compare import compare
    from backtest.replay.signal_files import check_file

    check_file(out)
    results = compare(*folders, out)
    if as_json:
        print_json({str(result.folder): result.summary for result in results})
    else:
        _show_table({str(result.folder): result.metrics for result in results})
        click.echo(f"{out}: the two side by side")


def _show(summary: dict[str, Any], out: Path) -> None:
    columns = {key: engine["metrics"] for key, engine in summary["engines"].items()} | {
        "buy and hold": summary["buy_and_hold"]
    }
    _show_table(columns)
    click.echo(trusted(summary["overfitting"]))
    for text in [finding["text"] for finding in summary["agreement"]] + summary["warnings"]:
        click.echo(text)
    click.echo(f"{out / 'report.html'}: the report; beside it metrics.json and, by engine, trades, equity, fills, cuts")


def _show_table(columns: dict[str, dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from alphawire.display.tables import print_table
    from backtest.report.report import METRICS, shown

    table = Table("", *columns, box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in SHOWN:
        label, kind = METRICS[name]
        table.add_row(label, *(shown(metrics.get(name), kind) for metrics in columns.values()))
    print_table(table)


def trusted(verdict: dict[str, Any]) -> str:
    """How far the Sharpe ratio is to be believed, in a line."""
    tried = f"{verdict['trials']} configurations tried in {verdict['runs']} runs"
    if verdict["deflated"] is None:
        return f"{tried}; too few returns, or none that vary, to judge the Sharpe ratio by"
    return (
        f"{tried}: the Sharpe ratio is above 0 with a probability of {verdict['probabilistic']:.1%}, above the luck of"
        f" so many trials with {verdict['deflated']:.1%} (deflated Sharpe ratio)"
    )
