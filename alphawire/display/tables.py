"""Tables in text: nothing in them is cut, on a terminal or in a pipe."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_table(table: "Table", console: "Console | None" = None) -> None:
    """On a terminal what is too long goes on in the next line, the first column last; a pipe or a file gets each row as
    one line, as long as it is.
    """
    from rich.console import Console

    console = console or Console()
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    if not console.is_terminal:
        console.width = max(console.measure(table, options=console.options.update(max_width=100_000)).maximum, 1)
        with console.capture() as rows:
            console.print(table, markup=False)
        click.echo("\n".join(line.rstrip() for line in rows.get().splitlines()), file=sys.stdout)
        return
    console.print(table, markup=False)
