"""What the demo shows: a line for each step, the signals as they scroll by, a table at the end."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from schemas.errors import AlphawireError

Progress = Callable[[str, int], None]
"""Called with a text to show and how many are done."""

WIDTH = 100
NAME_WIDTH = 9
PAUSE = 0.5
"""Seconds between two signals where no terminal is there to scroll."""


class FellShort(AlphawireError):
    """The demo cannot go on: what should have held does not."""


@dataclass
class Step:
    """One step under way: `result` is the text of its line at the end, `fault` what is wrong with it."""

    name: str
    result: str = ""
    seconds: float = 0.0
    fault: str | None = None
    _status: Status | None = None

    def stage(self, text: str) -> None:
        """What is being done now, while it lasts."""
        if self._status is not None:
            self._status.update(text)

    def check(self, holds: bool, fault: str) -> None:
        """Notes the first thing that does not hold; the demo goes on, and ends with exit code 1."""
        if not holds and self.fault is None:
            self.fault = fault


@dataclass
class Screen:
    """Everything that is printed; for a terminal with a spinner and a bar, elsewhere in plain lines.

    `check` is called at the end of each step, and may end the demo.
    """

    console: Console
    check: Callable[[], None] = lambda: None
    steps: list[Step] = field(default_factory=list)
    _shown_at: float = 0.0

    def __post_init__(self) -> None:
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self.width = min(self.console.width, WIDTH)
        drawn = self.console.encoding.lower().startswith("utf")
        self.good, self.bad = ("✓", "✗") if drawn else ("+", "!")

    @property
    def faults(self) -> list[str]:
        return [f"{step.name}: {step.fault}" for step in self.steps if step.fault]

    def title(self, text: str) -> None:
        self.text(Text(text, "bold"))
        self.text()

    @contextlib.contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        """A spinner with `doing` (empty: none) while the block runs, then the step's line.

        An `AlphawireError` becomes the step's fault, and goes on.
        """
        step, began = Step(name), time.monotonic()
        try:
            with self._spinner(step, doing):
                yield step
            self.check()
        except AlphawireError as error:
            step.fault = str(error)
            raise
        finally:
            step.seconds = time.monotonic() - began
            if step.result or step.fault:
                self.steps.append(step)
                self.line(name, step.fault or step.result, step.seconds, bad=step.fault is not None)

    @contextlib.contextmanager
    def _spinner(self, step: Step, doing: str) -> Iterator[None]:
        if not (doing and self.console.is_terminal):
            yield
            return
        with self.console.status(doing) as step._status:
            yield

    def line(self, name: str, text: str, seconds: float | None = None, bad: bool = False) -> None:
        """One line of the story, its text wrapped within its column."""
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        grid.add_column(width=NAME_WIDTH)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", width=6)
        colour = "red" if bad else "green"
        mark, after = Text(self.bad if bad else self.good, colour), "" if seconds is None else f"{seconds:.1f} s"
        grid.add_row(mark, Text(name, "bold"), Text(text, "red" if bad else ""), Text(after, "dim"))
        self.console.print(grid, width=self.width)

    def text(self, renderable: RenderableType = "") -> None:
        self.console.print(renderable, width=self.width, highlight=False)

    @contextlib.contextmanager
    def counting(self, total: int) -> Iterator[Progress]:
        """A bar below the scrolling signals."""
        columns = TextColumn("  {task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn()
        off = not self.console.is_terminal
        with ProgressBar(*columns, console=self.console, transient=True, disable=off) as progress:
            task = progress.add_task("", total=total)
            yield lambda text, done: progress.update(task, description=text, completed=done)

    def scroll(self, line: Text) -> None:
        """A signal. Where there is no terminal only one now and then, so that a log stays readable."""
        now = time.monotonic()
        if self.console.is_terminal or now - self._shown_at >= PAUSE:
            self._shown_at = now
            self.console.print(line, no_wrap=True, overflow="crop", crop=True, highlight=False)
