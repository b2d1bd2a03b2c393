"""The site: it is built with every warning an error, has every page, and fetches nothing from anywhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

RESOURCES = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "srcset")}
LINKS_ONLY = ("canonical", "prev", "next")
"""Relations of a ``link`` that a browser does not fetch."""


class Resources(HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("rel") not in LINKS_ONLY:
            self.found += [value for name, value in attrs if (tag, name) in RESOURCES and value]
        assert "mermaid" not in (given.get("class") or ""), "Material fetches mermaid from elsewhere: draw an SVG"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-P", "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_has_every_page(site: Path) -> None:
    for page in PAGES:
        name = re.sub(r"README\.md$", "index.md", page.name)
        assert (site / name).with_suffix(".html").is_file(), page.name


def test_it_fetches_nothing_from_anywhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        page = Resources()
        page.feed(file.read_text())
        assert page.found
        for target in page.found:
            assert not re.match(r"(\w+:)?//", target), f"{file.relative_to(site)}: {target}"
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import\s+)[\"']?(?:\w+:)?//", sheet.read_text()), sheet


def test_its_search_works_without_a_server(site: Path) -> None:
    """A page that is opened as a file may not fetch: so the index is a script, and a shim takes the worker's place."""
    assert "var __index" in (site / "search" / "search_index.js").read_text()[:20]
    assert "IFrameWorker" in (site / "docs" / "assets" / "iframe-worker.js").read_text()
    assert 'src="docs/assets/iframe-worker.js"' in (site / "index.html").read_text()


def test_the_reference_shows_the_docstrings(site: Path) -> None:
    for page in PAGES:
        if page.name.startswith("docs/api/"):
            html = (site / page.name).with_suffix(".html").read_text()
            for name in re.findall(r"^::: (\S+)$", page.text, re.MULTILINE):
                assert f'id="{name}' in html, name
