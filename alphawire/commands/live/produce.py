"""``alphawire produce``: files to topics."""

import asyncio
import contextlib
import dataclasses
import sys
import time
from pathlib import Path

import click

from alphawire.commands.options import TIME, config_option, format_option, json_option, prefix_option, print_json
from alphawire.commands.progress import NO_NEWS, counted, show_left_out
from schemas.configuration import Config


def wall_clock() -> int:
    """Now, in ms since the epoch, UTC."""
    return time.time_ns() // 1_000_000


@click.group("produce")
def command() -> None:
    """CSV or Parquet files to topics: bars, and news."""


@command.command("bars")
@click.argument("files", nargs=-1, metavar="[FILE…]")
@click.option("--source", metavar="NAME", help="a source of the configuration, instead of FILEs")
@format_option
@click.option("--interval", metavar="1m", help="how long the bars are, where the files do not say so in a column")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="bars a second (default: as fast as it goes)"
)
@click.option("--speed", type=click.FloatRange(0, min_open=True), metavar="X", help="times real time, by close time")
@click.option("--symbols", metavar="A,B", help="only these")
@click.option("--from", "start", type=TIME, help="first close time to send")
@click.option("--to", "end", type=TIME, help="close time to stop before")
@click.option(
    "--allow-unfinished", is_flag=True, help="send bars that close after now, too: a replay of what is to come"
)
@click.option("--dry-run", is_flag=True, help="say what would be read, and send nothing")
@prefix_option
@config_option
@json_option
def bars(
    files: tuple[str, ...],
    source: str | None,
    form: str | None,
    interval: str | None,
    rate: float | None,
    speed: float | None,
    symbols: str | None,
    start: int | None,
    end: int | None,
    allow_unfinished: bool,
    dry_run: bool,
    config: Config,
    as_json: bool,
) -> None:
    """Bars of FILES (of any kind that docs/sources.md names, or folders of them) to the topic bars, by close time and
    symbol.

    A bar that is still forming (it closes after now) is left out, counted and shown. Exit code 1 if none is left.
    """
    from backtest.sources.files import named_files
    from backtest.sources.inspection import lines
    from streams.ingest.ordered.bar_stream import open_bars
    from streams.ingest.produce import Chosen, produce_bars
    from streams.kafka.topics import require_own_bars, topic_name

    require_own_bars(config.kafka, "alphawire produce bars")
    given = named_files(config, files, source, form)
    with contextlib.ExitStack() as open_ones:
        with counted("bars read") as reading:
            stream = open_ones.enter_context(open_bars(given.paths, interval, given.source, reading))
        left = stream.survey.left_out
        for line in lines(stream.survey, given.source):
            click.echo(line, err=True)
        if dry_run:
            return
        names = [name.strip() for name in symbols.split(",") if name.strip()] if symbols else None
        chosen = Chosen(stream.survey.symbols, names, start, end, None if allow_unfinished else wall_clock)
        with counted("bars", len(stream)) as progress:
            done = asyncio.run(produce_bars(config.kafka, chosen.of(stream.chunks()), rate, speed, progress))
    topic = topic_name(config.kafka, "bars")
    show_left_out(chosen.left_out, "of the bars were")
    if as_json:
        left.take(chosen.left_out)
        print_json(dataclasses.asdict(done) | {"topic": topic, "refused": left.reasons, "examples": left.examples})
    else:
        show_left_out(left, "rows are no bars and were")
        pace = f" ({done.bars / done.seconds:,.0f} a second)" if done.seconds > 0 else ""
        where = f"{topic} at {config.kafka.bootstrap}"
        click.echo(f"{done.bars:,} bars of {done.symbols} symbols sent to {where} in {done.seconds:.1f} s{pace}")
    if not done.bars:
        sys.exit(1)


@command.command("news")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option(
    "--history", is_flag=True, help="old articles: they count from their publication + news.delay, not from now"
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="articles a second (default: as it goes)"
)
@click.option("--speed", type=click.FloatRange(0, min_open=True), metavar="X", help="times real time, by publication")
@click.option("--symbols", metavar="A,B", help="only articles about one of these")
@click.option("--from", "start", type=TIME, help="first publication to send")
@click.option("--to", "end", type=TIME, help="publication to stop before")
@prefix_option
@config_option
@json_option
def news(
    files: tuple[Path, ...],
    history: bool,
    rate: float | None,
    speed: float | None,
    symbols: str | None,
    start: int | None,
    end: int | None,
    config: Config,
    as_json: bool,
) -> None:
    """Articles of FILES (CSV, Parquet, or folders of them) to the topic news, by publication and id. Exit code
    1 if there is none."""
    from streams.ingest.article_files import produce_news, read_articles, select_articles
    from streams.kafka.topics import topic_name

    articles, left = read_articles(files, history, config.news)
    names = [name.strip() for name in symbols.split(",") if name.strip()] if symbols else None
    articles = select_articles(articles, names, start, end)
    with counted("articles", len(articles)) as progress:
        done = asyncio.run(produce_news(config.kafka, articles, rate, speed, progress))
    topic = topic_name(config.kafka, "news")
    if as_json:
        report = {
            "topic": topic,
            "refused": left.reasons,
            "examples": left.examples,
            "read_as": left.read_as,
        }
        print_json(dataclasses.asdict(done) | report)
    else:
        show_left_out(left, NO_NEWS)
        where = f"{topic} at {config.kafka.bootstrap}"
        click.echo(f"{done.articles:,} articles about {done.symbols} symbols sent to {where} in {done.seconds:.1f} s")
    if not done.articles:
        sys.exit(1)
