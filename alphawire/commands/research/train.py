"""``alphawire train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import (
    TIME,
    config_folder,
    config_option,
    format_option,
    json_option,
    news_option,
    plugins_option,
    print_json,
)
from alphawire.commands.progress import counted, show_absent, show_data, show_missing, stages
from alphawire.display.scores import verdict_lines
from alphawire.news_scores import news_of
from schemas.configuration import Config

if TYPE_CHECKING:
    import pandas as pd

    from backtest.sources.files import Files
    from backtest.training import Scores, Training
    from backtest.training.cross_validation import Method
    from plugins.models.artifacts.manifest import Importance


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
    "--bars", "--source", "sources", multiple=True, required=True, metavar="FILE|kafka|DIR|NAME",
    help="a file of bars or a folder of them (any number of times); or kafka, an archive of topics, or a source of the"
    " configuration",
)  # fmt: skip
@format_option
@news_option
@click.option("--from", "start", type=TIME, help="train on bars that close at this time or later; earlier ones warm up")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option("--holdout", type=Fraction(), help="20%: keep the latest rows out of the training, and score on them")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER",
    help="over the configuration's model.artifact; with --cv, where the picture goes",
)  # fmt: skip
@click.option(
    "--cv", type=click.Choice(["walk-forward", "rolling", "cpcv"]), help="cross-validate, and write no artifact"
)
@click.option("--folds", type=click.IntRange(2, 100), help="blocks of time of --cv (5; of cpcv 6)")
@click.option(
    "--test-folds", type=click.IntRange(1, 99), default=2, show_default=True, help="blocks that cpcv tests at once"
)
@click.option(
    "--jobs", type=int, default=-1, show_default=True, help="trainings of --cv at once (-1: one for each core)"
)
@config_option
@plugins_option
@json_option
def command(
    strategy: str,
    sources: tuple[str, ...],
    form: str | None,
    news: str | None,
    start: int | None,
    end: int | None,
    holdout: float | None,
    out: Path | None,
    cv: "Method | None",
    folds: int | None,
    test_folds: int,
    jobs: int,
    config: Config,
    as_json: bool,
) -> None:
    """Trains STRATEGY's model on bars, through the features that run live, and writes a model artifact.

    With --cv it is trained and tested on one block of time after the other instead, and a table and a picture tell how
    it did. What it learns is said under `training:` in the configuration (docs/training.md).
    """
    if cv and holdout:
        raise click.UsageError("--cv tests on every block itself; leave out --holdout")
    from backtest.sources.bars import log_gaps, log_scattered
    from backtest.sources.files import files_of
    from backtest.sources.log import find_log
    from streams.ingest.bar_files import Refused, refused

    interval = config.strategy(strategy).interval
    given = [files_of(config, source, form, strategy) for source in sources]
    bars = read_bars_of(config, given, interval)
    show_absent(config, strategy, bars)
    log = next(filter(None, (find_log(config, source) for source in given)), None)
    unused = Refused()
    seen = news_of(config, strategy, log, news, unused)
    data = show_data(log_gaps(bars), refused(bars), unused, log_scattered(bars))
    data["missing_bars"] = show_missing(config, strategy, bars)

    if cv:
        from alphawire.commands.research.cross_validation import validate

        count = folds or (6 if cv == "cpcv" else 5)
        validate(strategy, config, bars, cv, count, test_folds, start, end, jobs, out, as_json, seen)
        return
    from backtest.training import train

    with stages() as stage:
        done = train(strategy, config, bars, start=start, end=end, holdout=holdout, out=out, stage=stage, news=seen)
    _count(strategy, done)
    if as_json:
        print_json(_summary(strategy, done) | data)
    else:
        _show(done)


def _count(strategy: str, done: "Training") -> None:
    """Each different model is a trial of the strategy, whatever is done with it."""
    from backtest.trials.trials import Ledger, trial

    training = done.manifest.training
    times = (training.first_time, training.last_time)
    Ledger(config_folder()).add([trial(strategy, "train", done.manifest.sha256, times=times)])


def read_bars_of(config: Config, sources: "list[str | Files]", interval: str) -> "pd.DataFrame":
    """The bars of files, or of one log."""
    from backtest.sources.bars import file_bars_together, topic_bars
    from backtest.sources.log import find_log

    logs = {str(source): log for source in sources if (log := find_log(config, source))}
    if not logs:
        return file_bars_together(sources, interval)
    source, log = next(iter(logs.items()))
    if len(sources) > 1:
        raise click.UsageError(f"--bars {source} stands alone; leave out the files, or {source}")
    with counted("bars") as progress:
        return topic_bars(log, interval, progress)


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
        "without_model": done.without_model,
    }


def _show(done: "Training") -> None:
    from backtest.training.fitting import VALIDATION
    from backtest.training.samples import few

    manifest, training = done.manifest, done.manifest.training
    early = manifest.params.get("early_stopping_rounds")
    left = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in done.dropped.items() if count)
    rows = [
        ("model", f"{manifest.key} version {manifest.version}"),
        ("rows", f"{training.rows:,} of {few(training.symbols)}" + (f" (left out: {left})" if left else "")),
        ("range", f"{_iso(training.first_time)} to {_iso(training.last_time)}"),
        ("target", f"{training.target}, {training.horizon_bars} bars"),
        ("columns", ", ".join(manifest.columns)),
        *([("left out", f"{few(manifest.left_out)}: NaN in all rows")] if manifest.left_out else []),
        ("in sample", _scores(done.in_sample)),
        *([("stopped by", f"the latest {VALIDATION:.0%} of the rows: early_stopping_rounds")] if early else []),
        *([("holdout", f"{_scores(done.holdout)}, {done.holdout.rows:,} rows")] if done.holdout else []),
        *(verdict_lines(manifest.out_of_sample) if manifest.out_of_sample else []),
        *([("importance", _weights(manifest.importance))] if manifest.importance else []),
        *([("no model", f"{few(done.without_model)}: too few rows of their own")] if done.without_model else []),
        ("sha256", manifest.sha256),
        ("artifact", str(done.artifact)),
    ]
    for name, value in rows:
        click.echo(f"{name:<10} {value}")


def _weights(importance: "Importance") -> str:
    """Of the columns that weigh most."""
    gain, lost = importance.gain or {}, importance.permutation or {}
    names = sorted(gain or lost, key=lambda name: -(gain or lost)[name])[:8]
    told = [
        [*([f"gain {gain[name]:.0%}"] if gain else []), *([f"IC lost {lost[name]:.4f}"] if lost else [])]
        for name in names
    ]
    return "; ".join(f"{name} {', '.join(each)}" for name, each in zip(names, told, strict=True))


def _scores(scores: "Scores") -> str:
    values = (
        f"{name} {'undefined' if value is None else f'{value:.4f}'}"
        for name, value in (("R²", scores.r2), ("IC", scores.ic), ("hit rate", scores.hit_rate))
    )
    return ", ".join(values)


def _iso(time_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
