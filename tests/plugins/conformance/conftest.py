"""One session of the kit for the whole table, and the table itself at the end of the run."""

from collections.abc import Iterator

import pytest

from plugins.checks import Session
from tests.plugins.conformance.table import ROWS


@pytest.fixture(scope="session")
def kit() -> Iterator[Session]:
    with Session() as session:
        yield session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.section("conformance: clean and faulty plugins")
        for row in ROWS:
            terminalreporter.write_line(row)
