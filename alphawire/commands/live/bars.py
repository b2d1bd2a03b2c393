"""``alphawire bars``."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.live.service import run_service
from alphawire.commands.options import TIME, config_option, format_option, json_option, print_json
from alphawire.commands.progress import counted, show_left_out
from alphawire.display.trades import bar_text
from schemas.atomic import atomic_write
from schemas.configuration import Config
from schemas.errors import AlphawireError, ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from backtest.verify.trade_bars import BuiltBarsVerdict
    from schemas.wire import Bar

SHOWN = 10


@click.command("bars")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="of --source FILE: bars.parquet or .jsonl")
@click.option("--produce", is_flag=True, help="of --source FILE: send the bars to the topic bars")
@click.option("--until", type=TIME, metavar="TIME", help="of --source FILE: bars that end by then have closed")
@click.option("--verify", is_flag=True, help="compare the bars on the topic with those that the trades give again")
@click.option(
    "--explain",
    "explained",
    metavar="BAR",
    help="which trades made the bar SYMBOL/INTERVAL/OPENING, and was it published",
)
@format_option
@click.option(
    "--source",
    default="kafka",
    show_default=True,
    metavar="kafka|DIR|NAME|FILE",
    help="the broker's topics; with --verify perhaps an archive; or a file of trades",
)
@config_option
@json_option
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the read-only pages (0: any free one)")
@click.option("--no-http", is_flag=True, help="without the read-only pages")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line, for programs")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(
    verify: bool, source: str, config: Config, as_json: bool, no_http: bool, http_port: int | None,
    out: Path | None, produce: bool, until: int | None, form: str | None, explained: str | None, **given: Any,
) -> int:  # fmt: skip
    """Trades in, bars out, until SIGTERM or ctrl-C. Run several to share the partitions of trades.

    With --source FILE the trades of a file become bars by the same code, to --out FILE or, with --produce, to the topic
    bars. With --verify nothing is made: the bars that were are compared, byte for byte; exit code 1 when they differ.
    With --explain neither: the trades of one bar are shown; exit code 1 where the bar on the topic is another.
    """
    if verify:
        return _verify(config, source, as_json)
    if explained is not None:
        return _explain(config, source, explained, as_json)
    if out is not None or produce:
        return _of_files(config, source, form, until, out, produce, as_json)
    if source != "kafka" or as_json or form or until is not None:
        raise click.UsageError("--source FILE goes with --out FILE or --produce; --source DIR and --json with --verify")
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"http": False} if no_http else {}
    update: dict[str, Any] = {"worker": config.worker.model_copy(update=changes)}
    if http_port is not None:
        update["trades"] = config.trades.model_copy(update={"http_port": http_port})
    return run_service(config.model_copy(update=update), _run)


def _of_files(
    config: Config, source: str, form: str | None, until: int | None, out: Path | None, produce: bool, as_json: bool
) -> int:
    from backtest.sources.files import files_of
    from backtest.sources.trade_bars import bars_of_files
    from streams.consuming.clock_bound import ClockBound
    from streams.ingest.produce import produce_bars
    from streams.owners.trades.owner import kinds_of

    if out is not None and out.suffix not in (".jsonl", ".parquet"):
        raise ConfigurationError(f"--out {out}: call it .parquet, or .jsonl for a line of JSON each")
    files = files_of(config, source, form)
    if isinstance(files, str):
        raise click.UsageError(f"--out and --produce make bars of a file of trades, and {files} is none")
    bound = ClockBound(clock=time.time, tolerance=config.worker.clock_tolerance)
    with counted("trades") as progress:
        made = bars_of_files(files, kinds_of(config), bound, until, progress)
    if out is not None:
        write_bars(made.bars, made.frame(), out)
    if produce:
        with counted("bars", len(made.bars)) as progress:
            asyncio.run(produce_bars(config.kafka, made.frame(), progress=progress))
    numbers = {"trades": made.trades, "bars": len(made.bars), "repeats": made.repeats, "still_open": made.still_open,
               "outside_sessions": made.outside}  # fmt: skip
    if as_json:
        print_json(numbers | {"refused": made.left.reasons, "examples": made.left.examples})
    else:
        show_left_out(made.left, "trades are in no bar and were")
        click.echo(
            f"{made.trades:,} trades ({made.repeats:,} of them repeats) made {len(made.bars):,} bars;"
            f" {made.still_open:,} have not closed, and are left out"
            + (f"; {made.outside:,} trades were outside of all sessions" if made.outside else "")
        )
    return 0 if made.bars else 1


def write_bars(bars: "Sequence[Bar]", frame: "pd.DataFrame", out: Path) -> None:
    """A line of JSON each, as on the topic, or Parquet, by the file's name."""
    from schemas.wire import encode

    try:
        with atomic_write(out) as aside:
            if out.suffix == ".jsonl":
                aside.write_bytes(b"".join(encode(bar) + b"\n" for bar in bars))
            else:
                frame.to_parquet(aside, index=False)
    except OSError as error:
        raise AlphawireError(f"cannot write {out}: {error.strerror or error}") from None


def _verify(config: Config, source: str, as_json: bool) -> int:
    from backtest.sources.log import require_log
    from backtest.verify.trade_bars import verify_bars

    with counted("records") as progress:
        verdict = asyncio.run(verify_bars(require_log(config, source), progress))
    if as_json:
        print_json(dataclasses.asdict(verdict) | {"ok": verdict.ok})
    else:
        click.echo("\n".join(_lines(verdict)))
    return 0 if verdict.ok else 1


def _explain(config: Config, source: str, explained: str, as_json: bool) -> int:
    from backtest.sources.log import require_log
    from backtest.verify.bar_trades import explain_bar, place_of

    place = place_of(explained, lambda text: TIME.convert(text, None, None))
    with counted("records") as progress:
        found = asyncio.run(explain_bar(require_log(config, source), place, progress))
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        click.echo(bar_text(found))
    return 0 if found.published else 1


def _lines(verdict: "BuiltBarsVerdict") -> Iterator[str]:
    repeated = f", {verdict.repeats} repeated" if verdict.repeats else ""
    yield f"{verdict.bars} bars of trades, {verdict.equal} equal to those on the topic to the byte{repeated}"
    if verdict.earlier:
        yield f"  {verdict.earlier} bars of kinds or rules that are not in force any more are not looked at"
    yield from verdict.unread
    for one in verdict.differences[:SHOWN]:
        what = f"another {one.field}" if one.field else one.kind
        yield f"  {one.symbol} {one.interval} that opens at {one.open_time} (bars/{one.partition}): {what}"
    if (more := len(verdict.differences) - SHOWN) > 0:
        yield f"  and {more} more"
    yield "verified: the bars are what the trades give" if verdict.ok else "NOT verified: the bars differ"


def _run(config: Config) -> None:
    from streams.kafka.brokers.embedded import embedded
    from streams.service.bar_builder import run_builder
    from streams.service.service import leave

    with embedded(config.kafka):
        asyncio.run(run_builder(config))
    leave()
