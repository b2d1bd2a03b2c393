"""``alphawire demo``: all of it on real bars in about a minute."""

import sys
from pathlib import Path

import click

from alphawire.commands.options import json_option, print_json
from alphawire.interruption import end_interrupted

TITLE = "Real bars to live signals, a killed worker, and proof that a replay agrees"


@click.command("demo")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-out"), show_default=True,
    metavar="DIR", help="where its files go",
)  # fmt: skip
@json_option
def command(folder: Path, as_json: bool) -> None:
    """All of it on real minute bars: a broker, topics, a trained model, a live worker that is killed half-way, the
    listing, a replay, the proof that live and replay are one, and a backtest. Needs nothing but this package.

    Exit code 1 when anything fell short. Ctrl-C ends it at any point, and leaves nothing running.
    """
    from rich.console import Console

    from alphawire.demo.interrupt import Interrupt
    from alphawire.demo.screen import Screen

    screen = Screen(Console(stderr=as_json), Interrupt().check)
    screen.title(TITLE)
    try:
        from alphawire.demo.story import Story
        from alphawire.demo.table import show_end

        story = Story(folder, screen)
        held = story.run()
    except KeyboardInterrupt:
        click.echo("\nstopped; nothing is left running", err=True)
        end_interrupted()
    if as_json:
        print_json(story.summary)
    else:
        show_end(story)
    sys.exit(0 if held else 1)
