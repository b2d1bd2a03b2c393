"""Tables on a terminal of any width and in a pipe: every key and every header is there as a whole."""

import io

import pytest
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from alphawire.display.tables import print_table

KEY = "mydesk.technical.exponential_moving_average_cross"
HEADERS = ("features.momentum.window", "features.rsi.period", "Sharpe ratio, annualised", "Maximum drawdown")


def table() -> Table:
    made = Table("point", *HEADERS, box=SIMPLE)
    made.add_row(KEY, "10", "14", "1.25", "what it is, in words that may go on in the next line " * 3)
    return made


def printed(width: int, terminal: bool, capsys: pytest.CaptureFixture[str]) -> str:
    file = io.StringIO()
    print_table(
        table(), Console(file=file if terminal else None, width=width, force_terminal=terminal, color_system=None)
    )
    return file.getvalue() if terminal else capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 100, 200])
def test_nothing_is_cut_on_a_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(width, True, capsys)
    assert "…" not in text
    assert KEY in text
    assert max(map(len, text.splitlines())) <= width
    # headers may be folded: their letters are all there
    top = "".join(text.partition("─")[0].split())
    assert sorted(top) == sorted("".join(["point", *HEADERS]).replace(" ", ""))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_pipe_gets_one_line_a_row(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in printed(width, False, capsys).splitlines() if line]
    assert len(lines) == 3, "headers, rule, row"
    assert all(header in lines[0] for header in HEADERS)
    assert KEY in lines[2]
    assert lines[2].endswith("in the next line")
    assert all(line == line.rstrip() for line in lines)
