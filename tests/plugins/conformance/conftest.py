"""One session of the kit for the whole table."""

from collections.abc import Iterator

import pytest

from plugins.checks import Session


@pytest.fixture(scope="session")
def kit() -> Iterator[Session]:
    with Session() as session:
        yield session
