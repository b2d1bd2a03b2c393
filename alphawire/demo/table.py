"""The table at the end of the demo."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from alphawire.demo.story import FILES, Story


def show_end(story: Story) -> None:
    """The table, the files, and what fell short."""
    screen = story.screen
    table = Table("what", "came of it", box=SIMPLE_HEAD, expand=False)
    for what, came in _rows(story):
        table.add_row(Text(what, "bold"), came)
    screen.text(table)
    files = Table.grid(padding=(0, 2))
    for name, what in FILES.items():
        if (story.folder / name).exists():
            files.add_row(f"  {story.folder / name}", Text(what, "dim"))
    screen.text(files)
    screen.text()
    for fault in screen.faults:
        screen.text(Text(f"fell short: {fault}", "bold red"))
    if not screen.faults:
        screen.text(Text("Everything held, and nothing is left running.", "bold green"))


def _rows(story: Story) -> Iterator[tuple[str, str]]:
    """What is known: a demo that fell short has not come to all of it."""
    f = story.figures
    if "bars_live" in f:
        yield "bars", f"{f['bars_to_train_on']:,} to train on, {f['bars_live']:,} live"
    if "signals" in f:
        decisions = ", ".join(f"{count:,} {name}" for name, count in f["decisions"].items())
        yield "signals", f"{f['signals']:,}: {decisions}"
        yield "kills", f"{f['kills']} by SIGKILL; the next worker went on after {f['outage_seconds']} s"
        yield "repeats", f"{f['repeats']}, each with the same bytes"
    if "verified" in f:
        yield "verified", "live and replay are equal, byte for byte" if f["verified"] else "NO: live and replay differ"
    if "plugins" in f:
        yield "plugins", f"{f['plugins']} listed on their topic"
    if "backtest" in f:
        b = f["backtest"]
        sharpe = "undefined" if b["sharpe"] is None else f"{b['sharpe']:.2f}"
        yield "backtest", f"return {b['total_return']:+.2%}, Sharpe {sharpe}, {b['trades']} trades"
        yield "", f"buy and hold: {b['buy_and_hold']:+.2%}; three days teach no model to trade"
    yield "time", f"{f['seconds']:.0f} s"
