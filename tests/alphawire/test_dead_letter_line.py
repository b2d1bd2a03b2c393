"""The list of dead letters says whose each is."""

import pytest

from alphawire.display.dead_letters import list_line
from streams.dead_letters.letters import Letter, Place


@pytest.mark.parametrize(
    ("key", "shown"),
    [(b"AAPL", "AAPL"), (None, "-"), (b"\x1b[2J", "\\x1b[2J"), (b"\xff", "\\xff"), (b"x" * 100, "x" * 23 + "…")],
)
def test_the_key_is_there(key: bytes | None, shown: str) -> None:
    letter = Letter(Place(0, 17), "bars", 0, 5, "late", "too late", key, b"{}", 1_380_000_000_000, None, None)
    line = list_line(letter, replayed=False)
    assert line.split() == ["0:17", "2013-09-24", "05:20:00Z", shown, "late", "too", "late"]
