"""``alphawire archive``."""

import asyncio
import sys
from pathlib import Path

import click

from alphawire.commands.options import config_option, json_option, prefix_option, print_json
from alphawire.commands.progress import counted, show_gaps
from schemas.configuration import Config
from streams.kafka.topics import TOPICS


@click.command("archive")
@click.option(
    "--topic", "topics", multiple=True, type=click.Choice(list(TOPICS)), metavar="NAME",
    help="without the prefix, any number of times (default: bars, control, signals and state)",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="a new folder, or an archive"
)
@prefix_option
@config_option
@json_option
def command(topics: tuple[str, ...], out: Path, config: Config, as_json: bool) -> None:
    """Topics to Parquet files by day, up to the end that they have now; the next run goes on from there.

    Exit code 1: the log had dropped records before they were archived.
    """
    from streams.archive.writer import DEFAULT, archive
    from streams.kafka.gaps import describe_gaps
    from streams.kafka.log import KafkaLog

    with counted("records") as progress:
        report = asyncio.run(archive(KafkaLog(config.kafka), out, topics or DEFAULT, progress))
    show_gaps([text for place, spans in report.gaps.items() for text in describe_gaps(place, spans)])
    if as_json:
        gaps = {place: [[span.begin, span.end] for span in spans] for place, spans in report.gaps.items()}
        plain = {"out": str(out), "added": report.records, "records": report.total, "gaps": gaps, "lost": report.lost}
        print_json(plain)
    else:
        for place, count in report.records.items():
            click.echo(f"{place}: {count} records added, {report.total[place]} archived in {out}")
    for text in report.lost:
        click.echo(f"lost: {text}", err=True)
    sys.exit(1 if report.lost else 0)
