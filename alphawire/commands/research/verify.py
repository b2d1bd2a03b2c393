"""``alphawire verify``."""

import dataclasses
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from alphawire.commands.options import (
    TIME,
    config_option,
    json_option,
    offsets_option,
    plugins_option,
    print_json,
    topics_option,
)
from alphawire.commands.progress import counted, show_gaps
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.verify.verify import VerifyResult

SHOWN = 10


@click.command("verify")
@click.argument("strategy")
@topics_option
@click.option("--from", "start", type=TIME, help="first close time to compare")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@offsets_option
@config_option
@plugins_option
@json_option
def command(
    strategy: str,
    source: str,
    start: int | None,
    end: int | None,
    offsets: dict[int, range] | None,
    config: Config,
    as_json: bool,
) -> None:
    """Live signals of STRATEGY on the topic against a replay of the same log, byte for byte; exit code 1 when they
    differ.
    """
    from backtest.verify.verify import verify

    with counted("bars") as progress:
        verdict = verify(config, strategy, start, end, progress, offsets, source)
    show_gaps(verdict.gaps)
    if as_json:
        print_json(dataclasses.asdict(verdict) | {"ok": verdict.ok})
    else:
        click.echo(describe(verdict))
    sys.exit(0 if verdict.ok else 1)


def describe(verdict: "VerifyResult") -> str:
    """What was found, in lines for people; the first differing bar first."""
    if verdict.not_reproducible:
        scattered = [verdict.scattered] if verdict.scattered else []
        return "\n".join([*verdict.unread, f"not reproducible here: {verdict.not_reproducible}", *scattered])
    lines = [
        f"{verdict.strategy}: {verdict.signals} live signals, {verdict.equal} equal to the replay to the byte"
        + (f", {verdict.repeats} repeated with equal bytes" if verdict.repeats else "")
        + (f", {verdict.unpublished} bars not published yet" if verdict.unpublished else "")
    ]
    if verdict.open:
        lines.append(f"{verdict.open} predictions are of cross-sections that are not closed yet, and have no signals")
    if verdict.other:
        lines.append(f"configuration {verdict.other} is in force, not the one here; each is compared with its own")
    if verdict.older:
        lines.append(f"{verdict.older} signals are older than the state's origin: the log no longer reaches theirs")
    lines += verdict.unread
    if verdict.scattered:
        lines.append(verdict.scattered)
    if verdict.foreign:
        lines.append(f"{verdict.foreign} records on the topic are no signals")
    for difference in verdict.differences[:SHOWN]:
        time = datetime.fromtimestamp(difference.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        where = f"{difference.symbol} {time}Z (bars/{difference.partition} offset {difference.offset})"
        what = (
            f"{difference.field}: live {difference.live!r}, replayed {difference.replayed!r}"
            if difference.field
            else difference.kind
        )
        lines.append(f"  {where}: {what}")
    if len(verdict.differences) > SHOWN:
        lines.append(f"  and {len(verdict.differences) - SHOWN} more")
    lines.append(_conclusion(verdict))
    return "\n".join(lines)


def _conclusion(verdict: "VerifyResult") -> str:
    if verdict.ok:
        return "verified: live is what replay says"
    agrees = not verdict.differences and not verdict.foreign
    return f"NOT verified: live and replay {'agree on bars that are not whole' if agrees else 'differ'}"
