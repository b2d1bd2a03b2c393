"""No function of the pipeline's room takes more than five parameters: what travels together is one value."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import plugins.pipeline

ROOM = Path(plugins.pipeline.__file__).parent
MOST = 5


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[str]:
    """Names of all parameters, without the object or class that a method belongs to."""
    of = function.args
    every = [*of.posonlyargs, *of.args, of.vararg, *of.kwonlyargs, of.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in ("self", "cls")]


def long_lists(source: str) -> Iterator[tuple[int, list[str]]]:
    """Line and parameters of each function that takes too many."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and len(parameters(node)) > MOST:
            yield node.lineno, parameters(node)


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: path.relative_to(ROOM).as_posix())
def test_no_function_takes_more_than_five(path: Path) -> None:
    assert list(long_lists(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(a, b, c, d, e, f): ...",
        "async def f(a, b, c, d, e, *, f=0): ...",
        "class A:\n    def f(self, a, b, /, c, *d, e, **f): ...",
        "f = lambda a, b, c, d, e, f: 0",
    ],
)
def test_six_are_seen(source: str) -> None:
    assert [names for _, names in long_lists(source)] == [list("abcdef")]


def test_five_are_allowed() -> None:
    assert list(long_lists("class A:\n    def f(self, a, b, c, *, d, e): ...")) == []
