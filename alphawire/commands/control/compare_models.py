"""``alphawire models compare``."""

from typing import TYPE_CHECKING

import click

from alphawire.commands.options import TIME, config_option, json_option, plugins_option, print_json, topics_option
from alphawire.commands.progress import counted, show_gaps
from alphawire.display.scores import interval_text
from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.training.shadow_comparison import ShadowComparison
    from plugins.models.artifacts.manifest import Estimate


@click.command("compare")
@click.argument("strategy")
@click.option("--from", "start", type=TIME, help="bars that close at this time or later")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@topics_option
@config_option
@plugins_option
@json_option
def compare(strategy: str, start: int | None, end: int | None, source: str, config: Config, as_json: bool) -> None:
    """STRATEGY's model and its shadow side by side: what both predicted live, and what came of it."""
    from backtest.training.shadow_comparison import compare_shadow

    with counted("bars") as progress:
        report = compare_shadow(config, strategy, start, end, progress, source)
    show_gaps(report.gaps)
    if as_json:
        plain = {"strategy": report.strategy, "target": report.target, "foreign": report.foreign, "gaps": report.gaps}
        print_json(plain | {"pairs": [pair.plain() for pair in report.pairs]})
        return
    for pair in report.pairs:
        for name, value in _rows(pair, report.target):
            click.echo(f"{name:<16} {value}")
        click.echo()
    if report.foreign:
        click.echo(f"{report.foreign} records cannot be read, and are left out", err=True)


def _rows(pair: "ShadowComparison", target: str) -> list[tuple[str, str]]:
    return [
        ("model", pair.model or "none"),
        ("shadow", f"{pair.shadow} ({pair.shadow_key})"),
        ("bars", f"{pair.bars:,}, {pair.both:,} with both predictions; the shadow failed at {pair.failed:,}"),
        ("correlation", _number(pair.correlation)),
        ("mean difference", _number(pair.mean_absolute_difference)),
        (
            "other sign",
            f"{_share(pair.other_prediction_sign)} of predictions, {_share(pair.other_signal_sign)} of signals",
        ),
        ("target", f"{target}, known for {pair.known:,} bars"),
        ("IC of model", _estimate(pair.ic_model)),
        ("IC of shadow", _estimate(pair.ic_shadow)),
        ("lead of shadow", f"{_estimate(pair.ic_lead)}: {_verdict(pair.ic_lead)}"),
    ]


def _verdict(lead: "Estimate") -> str:
    if lead.low is None or lead.high is None:
        return "undefined"
    if lead.low > 0:
        return "the shadow is better"
    return "the model is better" if lead.high < 0 else "no difference is proved"


def _estimate(estimate: "Estimate") -> str:

    return interval_text(estimate)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"
