"""The HTML pages: one head and one style sheet for all of them, and nothing that is fetched."""

from html import escape
from importlib.resources import files
from string import Template


def page(template: str, title: str, **parts: str) -> str:
    """The page whose body is the file `template`, filled with `parts`, which are HTML; `title` is plain text."""
    return around(title, _read(template).substitute(parts))


def around(title: str, body: str) -> str:
    """A page of this body, which is HTML."""
    return _read("page.html").substitute(title=escape(title), body=body)


def _read(name: str) -> Template:
    return Template(files("backtest.report").joinpath("templates", name).read_text(encoding="utf-8"))
