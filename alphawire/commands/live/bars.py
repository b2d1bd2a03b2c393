"""``alphawire bars``."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.live.service import run_service
from alphawire.commands.options import config_option, json_option, print_json, topics_option
from alphawire.commands.progress import counted
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.verify.trade_bars import BuiltBarsVerdict

SHOWN = 10


@click.command("bars")
@click.option("--verify", is_flag=True, help="compare the bars on the topic with those that the trades give again")
@topics_option
@config_option
@json_option
@click.option("--http-port", type=click.IntRange(0, 65535), help="port of the read-only pages (0: any free one)")
@click.option("--no-http", is_flag=True, help="without the read-only pages")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line, for programs")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(
    verify: bool, source: str, config: Config, as_json: bool, no_http: bool, http_port: int | None, **given: Any
) -> int:
    """Trades in, bars out, until SIGTERM or ctrl-C. Run several to share the partitions of trades.

    With --verify nothing is made: the bars that were are compared, byte for byte; exit code 1 when they differ.
    """
    if verify:
        return _verify(config, source, as_json)
    if source != "kafka" or as_json:
        raise click.UsageError("--source and --json go with --verify")
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"http": False} if no_http else {}
    update: dict[str, Any] = {"worker": config.worker.model_copy(update=changes)}
    if http_port is not None:
        update["trades"] = config.trades.model_copy(update={"http_port": http_port})
    return run_service(config.model_copy(update=update), _run)


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


def _lines(verdict: "BuiltBarsVerdict") -> Iterator[str]:
    repeated = f", {verdict.repeats} repeated" if verdict.repeats else ""
    yield f"{verdict.bars} bars of trades, {verdict.equal} equal to those on the topic to the byte{repeated}"
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
