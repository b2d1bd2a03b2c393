"""No deadline of a test is a plain number: each comes from `tests.support.deadlines`, which stretches it by load."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHORT = 2.0
"""Seconds; below it, a time belongs to what a test is about: it measures something, or waits for what must not come."""
WAITS = {"wait", "communicate", "timeout", "join"}
"""Methods and functions whose first argument is a deadline."""


def plain_deadlines(source: str) -> Iterator[str]:
    """Line and call of each ``timeout=60``, ``process.wait(60)``, ``asyncio.timeout(60)``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        values = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        values += node.args[:1] if name in WAITS else []
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value > SHORT:
                yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "line",
    ["process.wait(60)", "process.wait(timeout=60)", "asyncio.timeout(10)", "urlopen(address, timeout=5.0)"],
)
def test_a_planted_deadline_is_found(line: str) -> None:
    assert [*plain_deadlines(f"\n{line}")] == [f"2: {line}"]


def test_a_deadline_of_the_one_place_is_none() -> None:
    assert not [*plain_deadlines("process.wait(deadline(60))\nanswers(port, timeout=0.05)\nrun(timeout=None)")]


def test_no_deadline_is_a_plain_number() -> None:
    files = {file.relative_to(TESTS): file.read_text() for file in TESTS.rglob("*.py")}
    assert [f"{file}:{line}" for file, text in files.items() for line in plain_deadlines(text)] == []
