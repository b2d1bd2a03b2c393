"""Progress on long work, where a terminal is there to see it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.config import Config

if TYPE_CHECKING:
    import pandas as pd

LATEST = 253_402_300_799_999


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@contextlib.contextmanager
def counted(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on standard error; the value is called with how much more is done and, if it likes, the event time (ms)
    that is reached.
    """
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)

        def tell(more: int, at_ms: int | None = None) -> None:
            reached = f" up to {_time(at_ms)}" if at_ms is not None and 0 <= at_ms <= LATEST else ""
            progress.update(task, advance=more, description=what + reached)

        yield tell


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A spinner on standard error; the value is called with what is being done now."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield status.update


def tell_gaps(gaps: Sequence[str]) -> None:
    """What the log lacks, on standard error."""
    for gap in gaps:
        click.echo(f"a gap in the log: {gap}", err=True)


def tell_absent(config: Config, name: str, bars: "pd.DataFrame") -> None:
    """Symbols that the strategy's universe names and that have no bar, on standard error: perhaps misspelt."""
    from backtest.universes import absent
    from plugins.universe import universe_of

    missing = absent(universe_of(name, config.strategy(name)), bars)
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        are = "symbol of the universe has" if len(missing) == 1 else "symbols of the universe have"
        click.echo(f"{len(missing)} {are} no bars here: {shown}", err=True)
