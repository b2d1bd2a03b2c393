"""``alphawire train``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.options import TIME, config_folder, config_option, json_option, plugins_option
from alphawire.progress import counted, stages
from schemas.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from backtest.training import Scores, Training


class Fraction(click.ParamType):
    """``20%`` or ``0.2``."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value[:-1]) / 100 if str(value).endswith("%") else float(value)
        except ValueError:
            number = -1.0
        if not 0.0 < number < 1.0:
            self.fail(f"{value!r} is no part of the rows; write 20% or 0.2", param, ctx)
        return number


@click.command("train")
@click.argument("strategy")
@click.option(
    "--bars", "sources", multiple=True, required=True, metavar="FILE|kafka|DIR",
    help="a CSV or Parquet file of bars or a folder of them (any number of times); or kafka, or an archive of topics",
)  # fmt: skip
@click.option("--from", "start", type=TIME, help="train on bars that close at this time or later; earlier ones warm up")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option("--holdout", type=Fraction(), help="20%: keep the latest rows out of the training, and score on them")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="over the configuration's model.artifact"
)
@config_option
@plugins_option
@json_option
def command(
    strategy: str,
    sources: tuple[str, ...],
    start: int | None,
    end: int | None,
    holdout: float | None,
    out: Path | None,
    config: Config,
    as_json: bool,
) -> None:
    """Trains STRATEGY's model on bars, through the features that run live, and writes a model artifact.

    The target is the return from the next open to the open `training.horizon_bars` bars later.
    """
    interval = config.strategy(strategy).interval
    bars = _read(config, sources, interval)

    from backtest.training import train

    with stages() as stage:
        done = train(strategy, config, bars, start=start, end=end, holdout=holdout, out=out, stage=stage)
    _count(strategy, done)
    if as_json:
        click.echo(json.dumps(_summary(strategy, done)))
    else:
        _show(done)


def _count(strategy: str, done: "Training") -> None:
    """Each different model is a trial of the strategy, whatever is done with it."""
    from backtest.trials import Ledger, trial

    training = done.manifest.training
    times = (training.first_time, training.last_time)
    Ledger(config_folder()).add([trial(strategy, "train", done.manifest.sha256, times=times)])


def _read(config: Config, sources: tuple[str, ...], interval: str) -> "pd.DataFrame":
    from backtest.sources import located, topic_bars, with_topics

    alone = next((source for source in sources if located(config, source)), None)
    if alone is None:
        from streams.files import read_bars, refused

        frame = read_bars(sources, interval)
        left = refused(frame)
        if left.rows:
            click.echo(f"{left.rows} rows are no bars and were left out: {left} ({'; '.join(left.examples)})", err=True)
        return frame
    if len(sources) > 1:
        raise click.UsageError(f"--bars {alone} stands alone; leave out the files, or {alone}")
    with counted("bars") as progress:
        return topic_bars(with_topics(config, alone), interval, progress)


def _summary(strategy: str, done: "Training") -> dict[str, Any]:
    import dataclasses

    manifest = done.manifest
    return {
        "strategy": strategy,
        "artifact": str(done.artifact),
        "sha256": manifest.sha256,
        "manifest": manifest.model_dump(mode="json"),
        "in_sample": dataclasses.asdict(done.in_sample),
        "holdout": dataclasses.asdict(done.holdout) if done.holdout else None,
        "dropped": done.dropped,
    }


def _show(done: "Training") -> None:
    manifest, training = done.manifest, done.manifest.training
    left = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in done.dropped.items() if count)
    rows = [
        ("model", f"{manifest.key} version {manifest.version}"),
        ("rows", f"{training.rows:,} of {', '.join(training.symbols)}" + (f" (left out: {left})" if left else "")),
        ("range", f"{_iso(training.first_time)} to {_iso(training.last_time)}"),
        ("target", f"{training.target}, {training.horizon_bars} bars"),
        ("columns", ", ".join(manifest.columns)),
        ("in sample", _scores(done.in_sample)),
        *([("holdout", f"{_scores(done.holdout)}, {done.holdout.rows:,} rows")] if done.holdout else []),
        ("sha256", manifest.sha256),
        ("artifact", str(done.artifact)),
    ]
    for name, value in rows:
        click.echo(f"{name:<10} {value}")


def _scores(scores: "Scores") -> str:
    values = (
        f"{name} {'undefined' if value is None else f'{value:.4f}'}"
        for name, value in (("R²", scores.r2), ("IC", scores.ic))
    )
    return ", ".join(values)


def _iso(time_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
