"""``alphawire features``."""

from pathlib import Path

import click

from alphawire.commands.options import (
    TIME,
    config_option,
    format_option,
    json_option,
    news_option,
    plugins_option,
    print_json,
)
from alphawire.commands.progress import show_absent, show_data, show_missing, stages
from alphawire.commands.research.train import Fraction, read_bars_of
from alphawire.news_scores import news_of
from schemas.configuration import Config


@click.command("features")
@click.argument("strategy")
@click.option(
    "--bars", "--source", "sources", multiple=True, required=True, metavar="FILE|kafka|DIR|NAME",
    help="a file of bars or a folder of them (any number of times); or kafka, an archive of topics, or a source of the"
    " configuration",
)  # fmt: skip
@format_option
@news_option
@click.option("--from", "start", type=TIME, help="rows whose bar closes at this time or later; earlier bars warm up")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option("--holdout", type=Fraction(), help="20%: mark the latest rows as the holdout, as `train --holdout` does")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.parquet", help="the dataset")
@config_option
@plugins_option
@json_option
def command(
    strategy: str, sources: tuple[str, ...], form: str | None, news: str | None, start: int | None, end: int | None,
    holdout: float | None, out: Path, config: Config, as_json: bool,
) -> None:  # fmt: skip
    """The rows that STRATEGY's training sees, as a Parquet file: features, target, when the target is known, and split,
    with a manifest beside it. The features have the bits that a worker computes.
    """
    from backtest.replay.signal_files import check_file
    from backtest.sources.bars import log_gaps, log_scattered
    from backtest.sources.files import files_of
    from backtest.sources.log import find_log
    from backtest.training.dataset import dataset, manifest_path, write_dataset
    from streams.ingest.bar_files import Refused, refused

    manifest_path(out)
    check_file(out)
    given = [files_of(config, source, form, strategy) for source in sources]
    bars = read_bars_of(config, given, config.strategy(strategy).interval)
    show_absent(config, strategy, bars)
    log = next(filter(None, (find_log(config, source) for source in given)), None)
    unused = Refused()
    seen = news_of(config, strategy, log, news, unused)
    data = show_data(log_gaps(bars), refused(bars), unused, log_scattered(bars))
    data["missing_bars"] = show_missing(config, strategy, bars)
    with stages() as stage:
        stage(f"computing the features of {len(bars):,} bars")
        made = dataset(strategy, config, bars, start=start, end=end, holdout=holdout, news=seen)
        stage("writing the dataset")
        manifest = write_dataset(made, out)
    if as_json:
        print_json(made.manifest | data | {"out": str(out), "manifest": str(manifest)})
    else:
        counts = ", ".join(f"{count:,} {split}" for split, count in made.manifest["rows"].items() if count)
        click.echo(f"{len(made.rows):,} rows ({counts}) of {len(made.manifest['features'])} columns written to {out}")
        click.echo(f"what they were made of: {manifest}")
