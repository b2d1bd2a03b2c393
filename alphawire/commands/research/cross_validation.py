"""``alphawire train --cv``: a table at the terminal, a picture beside."""

import dataclasses
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alphawire.commands.options import print_json
from alphawire.commands.progress import counted
from alphawire.display.scores import interval_text, verdict_lines
from schemas.configuration import Config

if TYPE_CHECKING:
    import pandas as pd

    from backtest.sources.news import NewsOf
    from backtest.training.cross_validation import CrossValidation, Fold, Method
    from backtest.training.scores import Scores


def validate(
    strategy: str,
    config: Config,
    bars: "pd.DataFrame",
    method: "Method",
    folds: int,
    tested: int,
    start: int | None,
    end: int | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
    news: "NewsOf | None" = None,
) -> None:
    """Cross-validates and shows the scores; the picture goes to `out`, a folder (by default the working directory)."""
    from backtest.training import cross_validate
    from backtest.training.outcome.picture import page

    with counted("trainings", comb(folds, tested) if method == "cpcv" else folds) as progress:
        done = cross_validate(
            strategy, config, bars, method,
            folds=folds, tested=tested, start=start, end=end, jobs=jobs, progress=progress, news=news,
        )  # fmt: skip
    picture = (out or Path()) / f"{strategy}-{method}.html"
    picture.parent.mkdir(parents=True, exist_ok=True)
    verdict = verdict_lines(done.pooled) if done.pooled else []
    picture.write_text(page(strategy, done, verdict), encoding="utf-8")
    if as_json:
        print_json({"strategy": strategy, **_plain(done), "picture": str(picture)})
    else:
        _show(done, picture)


def _plain(done: "CrossValidation") -> dict[str, Any]:
    folds = [
        {"groups": fold.groups, "train_rows": fold.train_rows, "purged": fold.purged}
        | {"test": dataclasses.asdict(fold.test), "ic": fold.ic.model_dump()}
        | {"importance": fold.importance, "gain": fold.gain}
        for fold in done.folds
    ]
    return {
        "method": done.method,
        "folds": folds,
        "pooled": done.pooled.model_dump(mode="json") if done.pooled else None,
        "paths": [dataclasses.asdict(path) for path in done.paths],
    }


def _show(done: "CrossValidation", picture: Path) -> None:

    click.echo(
        "fold   test from to              train rows  purged  test rows  IC [95%]                     R²       hit rate"
    )
    for fold in done.folds:
        click.echo(_row(fold))
    for number, path in enumerate(done.paths, 1):
        click.echo(f"path {number}: IC {_number(path.ic)}, R² {_number(path.r2)}, hit rate {_number(path.hit_rate)}")
    for name, text in verdict_lines(done.pooled) if done.pooled else []:
        click.echo(f"{name:<10} {text}")
    click.echo(f"{'picture':<10} {picture}")


def _row(fold: "Fold") -> str:
    from backtest.training.outcome.picture import period

    groups = "+".join(str(group + 1) for group in fold.groups)
    test: Scores = fold.test
    return (
        f"{groups:<6} {period(fold)}  {fold.train_rows:>10,}  {fold.purged:>6,}  {test.rows:>9,}  "
        f"{interval_text(fold.ic):<27}  {_number(test.r2):>7}  {_number(test.hit_rate)}"
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
