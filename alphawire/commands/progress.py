"""Progress on long work, where a terminal is there to see it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.configuration import Config

if TYPE_CHECKING:
    import pandas as pd

    from streams.ingest.bar_files import Refused

NO_NEWS = "rows of news were"
LATEST = 253_402_300_799_999


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


class Done(MofNCompleteColumn):
    """``3/10``; where nobody knows how much there is, how much is done; nothing for work that is not counted."""

    def render(self, task: Task) -> Text:
        if task.total is not None:
            return super().render(task)
        return Text(f"{int(task.completed):,}" if task.completed else "", style="progress.download")


def _bar() -> Progress:
    """Seen on a terminal only."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        Done(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def counted(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on standard error; the value is called with how much more is done and, if it likes, the event time (ms)
    that is reached, and how much more there is than was known (transactions' marks are of it, which are never done).
    """
    with _bar() as progress:
        task = progress.add_task(what, total=total)

        def advance(more: int, at_ms: int | None = None, there: int = 0) -> None:
            nonlocal total
            if there:
                total = (total or 0) + there
            reached = f" up to {_time(at_ms)}" if at_ms is not None and 0 <= at_ms <= LATEST else ""
            progress.update(task, advance=more, total=total, description=what + reached)

        yield advance


@contextlib.contextmanager
def stages() -> Iterator[Callable[..., None]]:
    """A bar on standard error; the value is called with what is being done now and, if it comes in rounds, how many of
    how many are done.
    """
    with _bar() as progress:
        task = progress.add_task("starting", total=None)

        def show(text: str, done: int | None = None, total: int | None = None, /) -> None:
            nonlocal task
            if total is None:  # a bar that has come to its end cannot become one without an end
                progress.remove_task(task)
                task = progress.add_task(text, total=None)
            else:
                progress.update(task, description=text, completed=done, total=total)

        yield show


def show_gaps(gaps: Sequence[str]) -> None:
    """What the log lacks, on standard error."""
    for gap in gaps:
        click.echo(f"a gap in the log: {gap}", err=True)


def show_left_out(left: "Refused", what: str = "of the bars were") -> None:
    """What of a source was not used, on standard error: how many by reason, and the first few; what was read
    otherwise than it is written.
    """
    if left.rows:
        click.echo(f"{left.rows} {what} left out: {left} ({'; '.join(left.examples)})", err=True)
    if left.read_as:
        click.echo("read as: " + "; ".join(f"{how}: {what}" for how, what in left.read_as.items()), err=True)


def show_data(gaps: Sequence[str], bars: "Refused", news: "Refused", scattered: str | None = None) -> dict[str, Any]:
    """What is wrong with the data, on standard error; returns the same for ``--json``."""
    show_gaps(gaps)
    if scattered:
        click.echo(scattered, err=True)
    show_left_out(bars)
    show_left_out(news, NO_NEWS)
    left_out = {"left_out": asdict(bars), "news_left_out": asdict(news)}
    return {"gaps": list(gaps), "scattered": scattered, **left_out}


def show_missing(config: Config, name: str, bars: "pd.DataFrame") -> dict[str, Any]:
    """Where the strategy's bars have gaps, on standard error; returns the same for ``--json``, and in words."""
    from backtest.sources.market_time import as_records, describe_market_gaps, gaps_of
    from backtest.sources.universes import bars_of
    from plugins.strategy.universe import universe_of
    from schemas.wire import spacing_ms

    strategy = config.strategy(name)
    mine = bars_of(universe_of(name, strategy), bars)
    gaps = gaps_of(mine, spacing_ms(strategy.interval), strategy.execution.calendar)
    text = describe_market_gaps(gaps)
    if text:
        click.echo(text, err=True)
    return as_records(gaps) | {"text": text}


def show_absent(config: Config, name: str, bars: "pd.DataFrame") -> None:
    """Symbols that the strategy's universe names and that have no bar, on standard error: perhaps misspelt."""
    from backtest.sources.universes import absent
    from plugins.strategy.universe import universe_of

    missing = absent(universe_of(name, config.strategy(name)), bars)
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        are = "symbol of the universe has" if len(missing) == 1 else "symbols of the universe have"
        click.echo(f"{len(missing)} {are} no bars here: {shown}", err=True)
