"""``alphawire schemas``: JSON Schemas of the messages."""

from pathlib import Path

import click

from schemas import export


@click.command("schemas")
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=export.FOLDER,
    help="where to write them (default: schemas/json, as shipped)",
)
@click.option("--check", is_flag=True, help="write nothing; exit code 1 when a file there differs from the code")
def command(folder: Path, check: bool) -> int:
    """JSON Schemas of the messages, one file a topic, for consumers in other languages."""
    if not check:
        for path in export.write(folder):
            click.echo(path)
        return 0
    names = export.stale(folder)
    for name in names:
        click.echo(f"{folder / name}: not what the code says; run `alphawire schemas --out {folder}`", err=True)
    return 1 if names else 0
